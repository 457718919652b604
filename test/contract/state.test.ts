import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, VirtualClock } from '../../src/base/index.ts';
import { type LmdbState, MemoryCluster, type MemoryState, openLmdbState } from '../../src/state/index.ts';
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
      const port = await openLmdbState({ directory, zone, twin, clock, log: silentLogger, bootId: 'boot-1' });
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
