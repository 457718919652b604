import { resolve } from 'node:path';
import { silentLogger, TwinlineError } from '../base/index.ts';
import type { ControlCommands } from '../control/index.ts';
import { type Channel, connectLink } from '../link/index.ts';
import { processStartTime, systemClock, systemRandom } from '../native/index.ts';
import { controlSocket } from './paths.ts';

type Kind = keyof ControlCommands;
type Data<K extends Kind> = Omit<ControlCommands[K], 'reply'>;
type Reply<K extends Kind> = ControlCommands[K] extends { reply: infer R } ? R : never;

/** Long enough for `start`, which waits until a zone serves. */
const ANSWER_MS = 30_000;
/** Everything in turn. */
const RESTART_MS = 180_000;

/** One way to ask control: the CLI and the launcher both come by it. */
export interface ControlClient {
  ask<K extends Kind>(kind: K, data: Data<K>): Promise<Reply<K>>;
  close(): void;
}

/** Connects once. Rejects with `not_running` when no installation runs with that data directory. */
export function connectControl(data: string, role: 'cli' | 'launcher' = 'cli'): Promise<ControlClient> {
  const path = controlSocket(resolve(data));
  return new Promise((connected, failed) => {
    const client = connectLink({
      path,
      self: { role, id: role, pid: process.pid, startTime: processStartTime(process.pid) },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      onChannel: (channel) =>
        connected({ ask: (kind, data) => ask(channel, kind, data), close: () => client.close('done') }),
      onState: (state) => {
        if (state !== 'down') return;
        // After the caller has the client this rejects a promise that is settled: harmless.
        queueMicrotask(() => client.close('down'));
        failed(
          new TwinlineError(
            'not_running',
            `no installation runs with data directory ${data}: start one with "twinline up --data ${data}", or name the right one with --data`,
          ),
        );
      },
    });
  });
}

async function ask<K extends Kind>(channel: Channel, kind: K, data: Data<K>): Promise<Reply<K>> {
  const waitMs = kind === 'restart' ? RESTART_MS : ANSWER_MS;
  try {
    return (await channel.request({ kind, data }, waitMs)).data as Reply<K>;
  } catch (error) {
    if (error instanceof TwinlineError && error.code === 'link_timeout')
      throw new TwinlineError('no_answer', `control did not answer "${kind}" within ${waitMs / 1000} s`);
    throw error;
  }
}
