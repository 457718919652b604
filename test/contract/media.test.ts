import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { type MediaId, silentLogger } from '../../src/base/index.ts';
import {
  OUR_CAPABILITIES,
  RTPENGINE_CAPABILITIES,
  startMedia,
  startRtpengineMedia,
} from '../../src/media/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import { Rtpengine } from '../support/rtpengine.ts';
import { mediaContract } from './media.ts';

const common = (directory: string) => ({
  id: 'm' as MediaId,
  listenPath: join(directory, 'm.sock'),
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
});
const newDirectory = (): string => mkdtempSync(join(tmpdir(), 'tl-'));

mediaContract('our own process', async () => {
  const directory = newDirectory();
  const media = await startMedia({
    ...common(directory),
    addresses: { 4: '127.0.0.1' },
    portRange: { first: 15_000, last: 15_199 },
    mirrorPath: join(directory, 'm.mirror'),
    priority: 'ordinary',
  });
  return {
    directory,
    capabilities: OUR_CAPABILITIES,
    stop: async () => {
      await media.stop();
      rmSync(directory, { recursive: true });
    },
  };
});

// It is Debian's (rtpengine-daemon); scripts/test installs it where it may. Elsewhere one skipped test says that it was not tried.
if (Rtpengine.program === undefined) test.skip('media by rtpengine: it is not installed', () => {});
else
  mediaContract("Debian's rtpengine", async () => {
    const directory = newDirectory();
    const rtpengine = await Rtpengine.start({ threads: 1, mediaPorts: [15_200, 15_399] });
    const media = await startRtpengineMedia({
      ...common(directory),
      ng: { address: '127.0.0.1', port: rtpengine.port },
    });
    return {
      directory,
      capabilities: RTPENGINE_CAPABILITIES,
      stop: async () => {
        await media.stop();
        await rtpengine.stop();
        rmSync(directory, { recursive: true });
      },
    };
  });
