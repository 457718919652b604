import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Call } from '../../src/call/index.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { CallTable } from '../../src/switch/calls.ts';
import type { Faults } from './faults.ts';
import { type Moment, planOf, slowDown } from './moments.ts';
import { demoDirectory } from './phones.ts';
import type { CallPlan } from './plan.ts';
import type { SimProcess } from './process.ts';
import { run } from './run.ts';
import type { World, ZoneName } from './world.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Plays one call; `when` breaks something the first time that the call is written in `state`. */
async function play(
  call: Partial<CallPlan>,
  state: Call['state'],
  when: (its: { zone: ZoneName; owner: SimProcess; world: World; faults: Faults }) => void,
  slow?: Moment['slow'],
): Promise<readonly string[]> {
  let happened = false;
  const { broken } = await run(planOf(call), {
    directory,
    prepare: (world, faults) => {
      slowDown(world, slow);
      world.onCall = (now, owner) => {
        if (happened || now.state !== state) return;
        happened = true;
        when({ zone: owner.id[0] as ZoneName, owner, world, faults });
      };
    },
  });
  expect(happened).toBe(true);
  return broken;
}

/** Histories that went wrong once, each found with a seed. */
describe('a call', () => {
  it('is heard though its media process hung when it was answered, and was replaced', async () => {
    const broken = await play({ lateOffer: true, ringMs: 400, holds: [] }, 'ringing', ({ zone, faults }) =>
      faults.happen({ what: 'freeze', role: 'media', id: zone, forMs: 2_500 }),
    );
    expect(broken).toEqual([]);
  });

  it('rings though nobody could be asked for the phones at first', async () => {
    const broken = await play(
      {},
      'routing',
      ({ faults }) => faults.happen({ what: 'state-away', how: 'rejects', forMs: 2_500 }),
      'registrations',
    );
    expect(broken).toEqual([]);
  });

  it('is one though its owner died with the first INVITE in hand while the state was away', async () => {
    const broken = await play(
      {},
      'routing',
      ({ owner, faults }) => {
        faults.happen({ what: 'state-away', how: 'rejects', forMs: 2_500 });
        faults.happen({ what: 'kill', role: 'switch', id: owner.id, forMs: 100 });
      },
      'registrations',
    );
    expect(broken).toEqual([]);
  });

  it('leaves nothing behind though the state was away when an adopter ended it', async () => {
    const broken = await play({}, 'talking', ({ owner, world, faults }) => {
      faults.happen({ what: 'kill', role: 'switch', id: owner.id, forMs: 100 });
      let isEnding = false;
      world.onCall = ({ state }) => {
        if (isEnding || state !== 'ending') return;
        isEnding = true;
        world.clock.after(3, () => faults.happen({ what: 'state-away', how: 'rejects', forMs: 60_000 }));
      };
    });
    expect(broken).toEqual([]);
  });

  it('is ended over an edge that stood still while it was adopted', async () => {
    const broken = await play({ talkMs: 3_500, holds: [] }, 'talking', ({ owner, faults }) => {
      faults.happen({ what: 'freeze', role: 'edge', id: 'edge1', forMs: 3_000 });
      faults.happen({ what: 'kill-zone', zone: owner.id[0] as ZoneName, forMs: 30_000 });
    });
    expect(broken).toEqual([]);
  });

  it('rings on though its owner was stopped before it heard that an edge is back', async () => {
    const broken = await play({ ringMs: 20_000, holds: [] }, 'ringing', ({ owner, world, faults }) => {
      world.clock.after(50, () => faults.happen({ what: 'kill', role: 'edge', id: 'edge1', forMs: 300 }));
      world.clock.after(200, () =>
        faults.happen({ what: 'freeze-zone', zone: owner.id[0] as ZoneName, forMs: 20_000 }),
      );
    });
    expect(broken).toEqual([]);
  });
});

describe('a state that forgets its last second and comes back', () => {
  /** It forgets the whole call, which was answered at once; a little later the owner's zone is killed. */
  async function forgetsTheTalk(): Promise<readonly string[]> {
    return playForgetting(undefined, 'talking', ({ zone, world, faults }) =>
      world.clock.after(2_000, () => faults.happen({ what: 'kill-zone', zone, forMs: 20_000 })),
    );
  }

  async function playForgetting(
    from: Call['state'] | undefined,
    to: Call['state'],
    then: (its: { zone: ZoneName; world: World; faults: Faults }) => void = () => {},
  ): Promise<readonly string[]> {
    let forget: (() => void) | undefined;
    let happened = false;
    const { broken } = await run(planOf({ ringMs: 200, talkMs: 9_000, holds: [] }), {
      directory,
      prepare: (world, faults) => {
        if (from === undefined) forget = world.cluster.remember();
        world.onCall = ({ state }, owner) => {
          if (state === from) forget ??= world.cluster.remember();
          if (state !== to || happened || forget === undefined) return;
          happened = true;
          const lose = forget;
          world.clock.after(300, () => {
            lose();
            then({ zone: owner.id[0] as ZoneName, world, faults });
          });
        };
      },
    });
    expect(happened).toBe(true);
    return broken;
  }

  it('is told again what its owners know: an adopter goes on with the call', async () => {
    expect(await forgetsTheTalk()).toEqual([]);
  });

  it('would cost the call if nobody wrote again', async () => {
    vi.spyOn(CallTable.prototype, 'writeAgain').mockResolvedValue();
    expect(await forgetsTheTalk()).not.toEqual([]);
  });

  it('keeps no call that has ended in that second', async () => {
    expect(await playForgetting('talking', 'ended')).toEqual([]);
  });
});

describe('a zone', () => {
  it.each(['rejects', 'hangs'] as const)('adopts when the state is back that %s', async (how) => {
    const broken = await play({ ringMs: 400, holds: [] }, 'talking', ({ owner, faults }) => {
      faults.happen({ what: 'state-away', how, forMs: 2_500 });
      faults.happen({ what: 'kill', role: 'switch', id: owner.id, forMs: 100 });
    });
    expect(broken).toEqual([]);
  });

  it('gives a new switch its bundles when the state has room again', async () => {
    const broken = await play({ ringMs: 400, holds: [] }, 'talking', ({ owner, faults }) => {
      faults.happen({ what: 'state-full', forMs: 2_500 });
      faults.happen({ what: 'kill', role: 'switch', id: owner.id, forMs: 100 });
    });
    expect(broken).toEqual([]);
  });
});
