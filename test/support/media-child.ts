// A media process of its own, for tests that kill it: `media-child.ts '{"id":"a",…}'`. Says `ready` over IPC when it serves.
import { join } from 'node:path';
import type { Logger, MediaId } from '../../src/base/index.ts';
import { startMedia } from '../../src/media/index.ts';
import { type DtlsIdentity, systemClock, systemRandom } from '../../src/native/index.ts';

export interface MediaChildOptions {
  readonly id: string;
  readonly twin: string;
  readonly directory: string;
  readonly first: number;
  readonly last: number;
  readonly dtls?: readonly DtlsIdentity[];
}

const options = JSON.parse(process.argv[2] ?? '{}') as MediaChildOptions;
const say = (fields: object, event: string) => process.send?.({ event, ...fields });
const log: Logger = { debug() {}, info: say, warn: say, error: say, child: () => log };

const media = await startMedia({
  id: options.id as MediaId,
  addresses: { 4: '127.0.0.1' },
  portRange: { first: options.first, last: options.last },
  listenPath: join(options.directory, `${options.id}.sock`),
  mirrorPath: join(options.directory, `${options.id}.mirror`),
  twinMirror: join(options.directory, `${options.twin}.mirror`),
  ...(options.dtls && { dtls: options.dtls }),
  clock: systemClock,
  random: systemRandom,
  log,
});
process.on('message', (question) => {
  if (question === 'status')
    process.send?.({ event: 'status', ...media.status(), usage: process.cpuUsage() });
});
process.on('message', async (word) => {
  if (word !== 'stop') return;
  await media.stop();
  // The channel to the test would keep it alive.
  process.exit(0);
});
process.on('disconnect', () => process.exit(0));
process.send?.({ event: 'ready' });
