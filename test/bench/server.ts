import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Plan } from '../../src/cli/plan.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { RedisServer } from '../support/redis.ts';
import { processesBelow, processesNamed, type ServerProcess } from './cpu.ts';
import type { BenchOptions } from './options.ts';

/** What is measured: an installation of our own, started for it, or another server that runs already. */
export interface Server {
  readonly address: string;
  readonly port: number;
  readonly domain: string;
  readonly own: Installation | undefined;
  /** Where our own keeps its state, if not in itself. */
  readonly redis?: RedisServer;
  /** Looked up anew each time: a killed process has a successor. */
  processes(): ServerProcess[];
  stop(): Promise<void>;
}

/** Wide enough for a thousand calls; a port that someone else has is passed over. */
const MEDIA_PORTS = '20000-32767';

/** With `edit` our own is of another topology. */
export async function openServer(
  { target, pids, state, checkpoints, media }: BenchOptions,
  edit: (topology: string) => string = (topology) => topology,
): Promise<Server> {
  if (target !== undefined) {
    return {
      ...target,
      domain: 'demo.twinline.test',
      own: undefined,
      processes: () => processesNamed(pids),
      stop: async () => {},
    };
  }
  const redis = state === 'redis' ? await RedisServer.start() : undefined;
  const directory = mkdtempSync(path.join(tmpdir(), 'twinline-bench-'));
  const topology = path.join(directory, 'topology.yaml');
  writeFileSync(topology, edit(topologyText(redis, checkpoints, media)));
  const own = await Installation.start({ topology, arguments: ['--media-ports', MEDIA_PORTS] });
  const { launcher } = planOf(own);
  return {
    address: '127.0.0.1',
    port: own.port('udp'),
    domain: 'demo.twinline.test',
    own,
    ...(redis && { redis }),
    processes: () => processesBelow(launcher.pid),
    stop: async () => {
      await own.stop();
      await redis?.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** That of `scripts/up`; with Redis it names our own. */
function topologyText(
  redis: RedisServer | undefined,
  checkpoints: boolean,
  media: BenchOptions['media'],
): string {
  const file = media === 'rtpengine' ? 'sip-zones/rtpengine.yaml' : 'sip-zones/local.yaml';
  // Its ports of ng lie among those of media here.
  const local = readFileSync(path.join(ROOT, file), 'utf8').replace(/127\.0\.0\.1:2222/g, '127.0.0.1:1998');
  const state = [
    `engine: ${redis === undefined ? 'lmdb' : 'redis'}`,
    ...(redis === undefined ? [] : [`url: "redis://127.0.0.1:${redis.port}"`]),
    ...(checkpoints ? [] : ['checkpoints: no']),
  ];
  return `${local}\nstate: { ${state.join(', ')} }\n`;
}

export const planOf = (own: Installation): Plan =>
  JSON.parse(readFileSync(path.join(own.data, 'run', 'plan.json'), 'utf8')) as Plan;
