import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { Permission } from '../../src/zone/permission.ts';
import type { Fault, FaultPlan } from './fault-plan.ts';
import { reproduction } from './main.ts';
import { demoDirectory } from './phones.ts';
import { type CallPlan, type Plan, planFor } from './plan.ts';
import { run } from './run.ts';
import type { Mistake } from './world.ts';

/** What every run of the tests plays; `scripts/sim --two-machines` plays more. */
const SEEDS = 7;

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('a pair on two machines, whatever is cut, frozen and dead', () => {
  it.each(Array.from({ length: SEEDS }, (_, at) => at + 1))(
    'keeps every promise with seed %i',
    async (seed) => {
      const plan = planFor(seed, { twoMachines: true });
      const { broken } = await run(plan, { directory });
      expect(broken, reproduction(plan)).toEqual([]);
    },
  );
});

const call = (n: number, from: string, to: string): CallPlan => ({
  n,
  atMs: 3_000 + 100 * n,
  from,
  to,
  lateOffer: false,
  callee: 'answers',
  earlyMedia: false,
  ringMs: 300,
  talkMs: 16_000,
  hangsUp: 'caller',
  holds: [
    { by: 'callee', afterMs: 4_500, forMs: 500 },
    { by: 'caller', afterMs: 6_200, forMs: 700 },
  ],
  digits: [],
});

/** Two calls, both of which hold and resume while something is wrong with zone `a`'s machine, or with `b`'s. */
function withFault(fault: Fault): Plan {
  const faults: FaultPlan[] = [{ atMs: 6_000, ...fault }];
  const users = ['1001', '1002', '1003', '1004'];
  return {
    seed: 1,
    twoMachines: true,
    network: { lossRatio: 0, duplicateRatio: 0, delayMs: { min: 1, max: 3 } },
    phones: users.map((user) => ({ user, registersAtMs: 500, sessionSec: 90 })),
    calls: [
      call(1, '1001', '1002'),
      call(2, '1003', '1004'),
      call(3, '1002', '1003'),
      call(4, '1004', '1001'),
    ],
    faults,
  };
}

const both = (fault: (zone: 'a' | 'b') => Fault): Plan[] =>
  (['a', 'b'] as const).map((zone) => withFault(fault(zone)));

const isolated = both((zone) => ({
  what: 'sever',
  zone,
  twin: true,
  state: 'away',
  door: false,
  forMs: 5_000,
}));
const stateless = both((zone) => ({
  what: 'sever',
  zone,
  twin: false,
  state: 'away',
  door: false,
  forMs: 5_000,
}));
const off = both((zone) => ({ what: 'kill-machine', zone, forMs: 5_000 }));

async function brokenIn(plans: readonly Plan[], mistake?: Mistake): Promise<string[]> {
  const broken: string[] = [];
  for (const plan of plans)
    broken.push(...(await run(plan, { directory, ...(mistake && { mistake }) })).broken);
  return broken;
}

it('wakes a call once, whose time is that of another machine (seed 38)', async () => {
  const { broken } = await run(planFor(38, { twoMachines: true }), { directory });
  expect(broken).toEqual([]);
});

describe('a mistake that is planted', () => {
  it('is none: a machine cut off from all, from the state alone, and one without power', async () => {
    expect(await brokenIn([...isolated, ...stateless, ...off])).toEqual([]);
  });

  it('a zone that speaks after its term is found', async () => {
    expect(await brokenIn(isolated, 'speaks-after-its-term')).toContainEqual(
      expect.stringMatching(/spoke for .* after its zone was taken/),
    );
  });

  it('a twin that adopts though it has promised not to is found', async () => {
    const { promise } = Permission.prototype;
    const asked = new WeakSet<Permission>();
    vi.spyOn(Permission.prototype, 'promise').mockImplementation(function (this: Permission, holder) {
      // It is remembered once, and said every time.
      if (asked.has(this)) return true;
      asked.add(this);
      return promise.call(this, holder);
    });
    expect(await brokenIn(stateless)).toContainEqual(expect.stringMatching(/after its zone was taken/));
  });

  it('a call that takes the times of another machine for its own is found', async () => {
    // A hold that waits for its adopter would begin the session timer anew.
    const calm = off.map((plan) => ({ ...plan, calls: plan.calls.map((one) => ({ ...one, holds: [] })) }));
    expect(await brokenIn(calm, 'takes-any-clock-for-its-own')).toContainEqual(
      expect.stringMatching(/nobody hung up/),
    );
  });
});
