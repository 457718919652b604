import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { silentLogger, VirtualClock } from '../../src/base/index.ts';
import { systemRandom } from '../../src/native/index.ts';
import {
  type LmdbState,
  MemoryCluster,
  type MemoryState,
  openLmdbState,
  openRedisState,
  type StatePort,
} from '../../src/state/index.ts';
import { hasRedis, RedisServer } from '../support/redis.ts';
import { stateContract } from './state.ts';

stateContract('memory', async () => {
  const clock = new VirtualClock();
  const cluster = new MemoryCluster({ clock });
  return {
    clock,
    open: async (zone, twin) => cluster.open(zone, twin),
    sweep: async (port) => {
      for (let round = 0; round < 2; round++) await (port as MemoryState).sweep(10_000);
    },
    async dispose() {},
  };
});

stateContract('LMDB', async () => {
  const clock = new VirtualClock();
  const directory = await mkdtemp(join(tmpdir(), 'twinline-state-'));
  const ports: LmdbState[] = [];
  return {
    clock,
    async open(zone, twin) {
      const port = await openLmdbState({
        directory,
        zone,
        twin,
        clock,
        log: silentLogger,
        bootId: 'boot-1',
        // This time stands still.
        gatherMs: 0,
      });
      ports.push(port);
      clock.advance(1000);
      return port;
    },
    sweep: async (port) => {
      clock.advance(2000);
      for (let round = 0; round < 4; round++) await (port as LmdbState).sweep();
    },
    async dispose() {
      for (const port of ports) await port.close();
      await rm(directory, { recursive: true });
    },
  };
});

describe.skipIf(!hasRedis)('with a Redis of its own', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server?.close());

  stateContract('Redis', async () => {
    await server.ask('FLUSHALL');
    const clock = new VirtualClock();
    const ports: StatePort[] = [];
    return {
      clock,
      async open(zone, twin) {
        const place = { server: { host: '127.0.0.1', port: server.port } };
        const port = await openRedisState({
          place,
          zone,
          twin,
          clock,
          random: systemRandom,
          log: silentLogger,
        });
        ports.push(port);
        return port;
      },
      // The server forgets by itself.
      sweep: async () => {},
      async dispose() {
        for (const port of ports) await port.close();
      },
    };
  });
});
