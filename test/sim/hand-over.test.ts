import { beforeAll, describe, expect, it } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { memoryLink } from '../../src/link/index.ts';
import { delays, type Moment, moments, planOf, slowDown } from './moments.ts';
import { demoDirectory } from './phones.ts';
import { type RunResult, run } from './run.ts';
import type { World, ZoneName } from './world.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

/** What control asks a zone's supervisor. */
async function ask(world: World, zone: ZoneName, kind: string, data: unknown): Promise<unknown> {
  const supervisor = world.zones.get(zone)!.supervisor;
  const link = memoryLink({
    clock: world.clock,
    left: { role: 'control', id: 'control', pid: 9, startTime: 1 },
    right: { role: 'zone', id: zone, pid: 1, startTime: 1 },
  });
  supervisor.accept(link.right);
  return (await link.left.request({ kind, data }, 20_000)).data;
}

/** Who is emptied, and who dies in the middle of it. */
const drains = [
  ['its switch is emptied into the sibling', { whole: false }],
  ['its zone is emptied into the twin', { whole: true }],
  ['its switch is emptied, and dies 1 ms later', { whole: false, dies: 'switch' }],
  ['its switch is emptied, and the sibling dies 2 ms later', { whole: false, dies: 'sibling' }],
  ['its zone is emptied, and dies 2 ms later', { whole: true, dies: 'zone' }],
] as const;

interface Drain {
  readonly whole: boolean;
  readonly dies?: 'switch' | 'sibling' | 'zone';
}

async function drainAt(
  { state, call, slow, is = () => true }: Moment,
  afterMs: number,
  { whole, dies }: Drain,
) {
  let emptied: string | undefined;
  let moved: unknown;
  const result: RunResult = await run(planOf(call ?? {}), {
    directory,
    prepare: (world, faults) => {
      slowDown(world, slow);
      world.onCall = (now, by) => {
        if (emptied !== undefined || now.state !== state || !is(now)) return;
        const zone = by.id[0] as ZoneName;
        emptied = by.id;
        const sibling = by.id.endsWith('1') ? `${zone}2` : `${zone}1`;
        world.clock.after(afterMs, () => {
          const target = whole ? `zone ${zone}` : `switch ${by.id}`;
          void ask(world, zone, 'drain', { target, on: true }).then(
            (reply) => {
              moved = reply;
            },
            () => {},
          );
          if (dies === 'zone')
            world.clock.after(2, () => faults.happen({ what: 'kill-zone', zone, forMs: 20_000 }));
          if (dies === 'switch')
            world.clock.after(1, () =>
              faults.happen({ what: 'kill', role: 'switch', id: by.id, forMs: 1_000 }),
            );
          if (dies === 'sibling')
            world.clock.after(2, () =>
              faults.happen({ what: 'kill', role: 'switch', id: sibling, forMs: 1_000 }),
            );
        });
      };
    },
  });
  return { ...result, cameTo: emptied !== undefined, moved };
}

describe.each(drains)('a call in the middle of which %s', (_, drain) => {
  describe.each(moments)('$state: $name', (moment) => {
    it.each(delays)('%s', async (_, afterMs) => {
      const { broken, cameTo, moved } = await drainAt(moment, afterMs, drain);
      expect(cameTo, 'the call came to that moment').toBe(true);
      expect(broken).toEqual([]);
      if (!('dies' in drain)) expect(moved).toMatchObject({ bundles: expect.any(Number) });
    });
  });
});
