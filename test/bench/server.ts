import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plan } from '../../src/cli/plan.ts';
import { Installation } from '../support/installation.ts';
import { processesBelow, processesNamed, type ServerProcess } from './cpu.ts';
import type { BenchOptions } from './options.ts';

/** What is measured: an installation of our own, started for it, or another server that runs already. */
export interface Server {
  readonly address: string;
  readonly port: number;
  readonly domain: string;
  readonly own: Installation | undefined;
  /** Looked up anew each time: a killed process has a successor. */
  processes(): ServerProcess[];
  stop(): Promise<void>;
}

/** Wide enough for a thousand calls; a port that someone else has is passed over. */
const MEDIA_PORTS = '20000-32767';

export async function openServer({ target, pids }: BenchOptions): Promise<Server> {
  if (target !== undefined) {
    return {
      ...target,
      domain: 'demo.twinline.test',
      own: undefined,
      processes: () => processesNamed(pids),
      stop: async () => {},
    };
  }
  const own = await Installation.start({ arguments: ['--media-ports', MEDIA_PORTS] });
  const { launcher } = planOf(own);
  return {
    address: '127.0.0.1',
    port: own.port('udp'),
    domain: 'demo.twinline.test',
    own,
    processes: () => processesBelow(launcher.pid),
    stop: async () => {
      await own.stop();
    },
  };
}

export const planOf = (own: Installation): Plan =>
  JSON.parse(readFileSync(path.join(own.data, 'run', 'plan.json'), 'utf8')) as Plan;
