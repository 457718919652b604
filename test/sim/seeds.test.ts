import { beforeAll, describe, expect, it } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { reproduction } from './main.ts';
import { demoDirectory } from './phones.ts';
import { planFor } from './plan.ts';
import { run } from './run.ts';

/** What every run of the tests plays; `scripts/sim` and `scripts/soak` play more. */
const SEEDS = 180;

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

describe('a crowd of phones, whatever breaks', () => {
  it.each(Array.from({ length: SEEDS }, (_, at) => at + 1))(
    'keeps every promise with seed %i',
    async (seed) => {
      const plan = planFor(seed);
      const { broken } = await run(plan, { directory });
      expect(broken, reproduction(plan)).toEqual([]);
    },
  );
});

describe('one seed', () => {
  it('is one history, byte for byte', async () => {
    // With a bad network, a zone that dies and a switch that is stopped: 29 is as good as any.
    const plan = planFor(29);
    const first = await run(plan, { directory });
    const second = await run(plan, { directory });
    expect(second.digest).toBe(first.digest);
    expect(Number(first.digest.split(' ')[0])).toBeGreaterThan(1_000);
  });

  it('is another history than the next seed', async () => {
    const digests = await Promise.all(
      [1, 2].map(async (seed) => (await run(planFor(seed), { directory })).digest),
    );
    expect(new Set(digests).size).toBe(2);
  });

  it('leaves the rest of a plan as it was when a call is left out', () => {
    const plan = planFor(3);
    expect(planFor(3)).toEqual(plan);
    expect(reproduction({ ...plan, calls: plan.calls.slice(1), faults: [] })).toMatch(
      /^scripts\/sim --seed 3 --calls 2,3.* --faults none$/,
    );
  });
});
