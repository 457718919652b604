import { randomInt } from 'node:crypto';
import {
  type AccountId,
  type BundleId,
  type Clock,
  type SwitchId,
  silentLogger,
  type ZoneId,
} from '../../src/base/index.ts';
import { openLmdbState } from '../../src/state/index.ts';

/**
 * A process of a zone for the tests: `state-child.ts DIRECTORY ZONE TWIN TASK`. Prints `ready`, then a line for each thing
 * done, until it is ended.
 */
const [directory, zone, twin, task] = process.argv.slice(2) as [string, ZoneId, ZoneId, string];
const demo = 'demo' as AccountId;
const clock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
  utcMs: () => Date.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const state = await openLmdbState({
  directory,
  zone,
  twin,
  clock,
  log: silentLogger,
  bootId: 'boot-1',
});
console.log('ready');

const tasks: Record<string, () => Promise<void>> = {
  /** Pairs of records that must always be equal, by several commits at once, for ever. */
  async pairs() {
    for (let round = 1; ; round++) {
      const commits = Array.from({ length: 20 }, () => {
        const id = String(randomInt(50));
        const value = { round, fill: 'x'.repeat(6000), by: process.pid };
        return state.commit(
          ['left', 'right'].map((side) => ({
            op: 'put' as const,
            key: { account: demo, kind: 'call' as const, id: `${id}/${side}` },
            value,
          })),
          { durability: 'volatile' },
        );
      });
      await Promise.all(commits);
      console.log(`round ${round}`);
    }
  },
  async append() {
    for (let i = 1; i <= 200; i++) {
      await state.append(demo, 'records', { pid: process.pid, i });
      console.log(`appended ${i}`);
    }
  },
  async grants() {
    for (let i = 0; i < 100; i++) {
      const lease = await state.grant('0123456789' as BundleId, String(process.pid) as SwitchId, zone);
      console.log(`epoch ${lease.epoch}`);
    }
  },
  async large() {
    for (let i = 0; i < 40; i++) {
      await state.commit(
        [
          {
            op: 'put',
            key: { account: demo, kind: 'directory', id: String(i) },
            value: 'x'.repeat(1_000_000),
          },
        ],
        { durability: 'durable' },
      );
    }
    console.log('written');
  },
  /** Writes until the limit of the file's size, which stands for a full disk, and then something small. */
  async full() {
    process.on('SIGXFSZ', () => {});
    for (let i = 0; ; i++) {
      try {
        await state.commit(
          [
            {
              op: 'put',
              key: { account: demo, kind: 'directory', id: String(i) },
              value: 'x'.repeat(500_000),
            },
          ],
          { durability: 'durable' },
        );
      } catch (error) {
        console.log(`failed ${(error as { code?: string }).code} ${(error as Error).message}`);
        break;
      }
    }
    const first = await state.get<string>({ account: demo, kind: 'directory', id: '0' });
    console.log(`still reads ${first?.value.length}`);
  },
};

await tasks[task]!();
await state.close();
