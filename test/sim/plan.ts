import { type Random, randomBelow, seededRandom } from '../../src/base/index.ts';
import type { Point } from './history.ts';
import type { Network, ZoneName } from './world.ts';

/** What a seed means, as plain data: who calls whom and how it goes, what the network does, and what breaks when. */
export interface Plan {
  readonly seed: number;
  readonly network: Network;
  readonly phones: readonly PhonePlan[];
  readonly calls: readonly CallPlan[];
  readonly faults: readonly FaultPlan[];
}

export interface PhonePlan {
  readonly user: string;
  readonly registersAtMs: number;
}

export interface CallPlan {
  /** From 1 on; also its Session-ID, by which both its ends are known. */
  readonly n: number;
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly lateOffer: boolean;
  /** What the callee does. */
  readonly callee: 'answers' | 'is-busy' | 'declines' | 'does-not-answer';
  readonly earlyMedia: boolean;
  readonly ringMs: number;
  /** The caller loses patience so long after the INVITE. */
  readonly cancelAfterMs?: number;
  readonly talkMs: number;
  readonly hangsUp: 'caller' | 'callee' | 'both';
  readonly holds: readonly { readonly by: Side; readonly afterMs: number; readonly forMs: number }[];
}

export type Side = 'caller' | 'callee';

export type FaultPlan = {
  /** From the beginning; with `point` that many of those later. */
  readonly atMs: number;
  readonly point?: { readonly of: Point; readonly count: number };
} & Fault;

export type Fault =
  | {
      readonly what: 'kill' | 'freeze' | 'slow';
      readonly role: 'switch' | 'media' | 'zone';
      readonly id: string;
      readonly forMs: number;
    }
  /** Every process of the zone. */
  | { readonly what: 'kill-zone' | 'freeze-zone'; readonly zone: ZoneName; readonly forMs: number }
  | { readonly what: 'cut-twins'; readonly forMs: number }
  | { readonly what: 'state-away'; readonly how: 'rejects' | 'hangs'; readonly forMs: number };

/** The office: eight users, some with two phones. */
const USERS = ['1001', '1002', '1003', '1004', '1005', '1006', '1007', '1008'] as const;

const FIRST_CALL_MS = 4_000;
/** Two heavy faults are so far apart: the installation may be whole again before it is hit again. */
const RECOVERY_MS = 9_000;

export function planFor(seed: number): Plan {
  const random = seededRandom(seed * 7919 + 17);
  const below = (bound: number) => randomBelow(random, bound);
  const bad = below(3);
  return {
    seed,
    network:
      bad === 0
        ? { lossRatio: 0, duplicateRatio: 0, delayMs: { min: 1, max: 3 } }
        : {
            lossRatio: below(bad === 1 ? 3 : 11) / 100,
            duplicateRatio: below(8) / 100,
            delayMs: { min: 1, max: 2 + below(bad === 1 ? 20 : 200) },
          },
    phones: USERS.flatMap((user) =>
      Array.from({ length: below(4) === 0 ? 2 : 1 }, () => ({ user, registersAtMs: 300 + below(1_500) })),
    ),
    calls: Array.from({ length: 4 + below(9) }, (_, at) => callFor(random, at + 1)),
    faults: faultsFor(random),
  };
}

function callFor(random: Random, n: number): CallPlan {
  const below = (bound: number) => randomBelow(random, bound);
  const from = below(USERS.length);
  const to = (from + 1 + below(USERS.length - 1)) % USERS.length;
  const kind = below(20);
  const callee = kind < 14 ? 'answers' : kind < 16 ? 'is-busy' : kind < 18 ? 'declines' : 'does-not-answer';
  const ringMs = 100 + below(6_000);
  return {
    n,
    atMs: FIRST_CALL_MS + below(25_000),
    from: USERS[from]!,
    to: USERS[to]!,
    lateOffer: below(8) === 0,
    callee,
    earlyMedia: callee === 'answers' && below(4) === 0,
    ringMs,
    ...(below(6) === 0 ? { cancelAfterMs: 50 + below(ringMs + 500) } : {}),
    talkMs: 500 + below(25_000),
    hangsUp: (['caller', 'callee', 'both'] as const)[below(3)]!,
    holds: Array.from({ length: Math.max(0, below(4) - 1) }, () => ({
      by: below(2) === 0 ? ('caller' as const) : ('callee' as const),
      afterMs: 200 + below(15_000),
      forMs: 100 + below(6_000),
    })),
  };
}

/** Heavy ones one after the other; a switch of either zone may go in between. Never both zones at once. */
function faultsFor(random: Random): FaultPlan[] {
  const below = (bound: number) => randomBelow(random, bound);
  const faults: FaultPlan[] = [];
  const timed = (atMs: number) => ({
    atMs,
    ...(below(2) === 0
      ? {}
      : {
          point: {
            of: (['to-edge', 'to-phone', 'between-processes', 'commit', 'commit'] as const)[below(5)]!,
            count: 1 + below(12),
          },
        }),
  });
  let nextMs = 2_500 + below(10_000);
  for (let left = below(4); left > 0; left--) {
    const zone: ZoneName = below(2) === 0 ? 'a' : 'b';
    const forMs = 300 + below(6_000);
    const heavy: Fault = (
      [
        { what: 'kill-zone', zone, forMs },
        { what: 'kill-zone', zone, forMs },
        { what: 'freeze-zone', zone, forMs },
        { what: 'kill', role: 'zone', id: zone, forMs },
        { what: 'freeze', role: 'zone', id: zone, forMs },
        { what: 'kill', role: 'media', id: zone, forMs },
        { what: 'freeze', role: 'media', id: zone, forMs },
        { what: 'cut-twins', forMs },
        { what: 'state-away', how: below(2) === 0 ? 'rejects' : 'hangs', forMs },
      ] as const
    )[below(9)]!;
    faults.push({ ...timed(nextMs), ...heavy });
    // The same moment must not take the state away from those who have to adopt.
    if (heavy.what !== 'state-away' && below(3) === 0) {
      faults.push({ ...timed(nextMs + below(forMs)), ...lightFault(random) });
    }
    nextMs += forMs + RECOVERY_MS + below(8_000);
  }
  if (faults.length === 0 && below(3) > 0)
    faults.push({ ...timed(3_000 + below(25_000)), ...lightFault(random) });
  return faults;
}

function lightFault(random: Random): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  return {
    what: (['kill', 'kill', 'freeze', 'slow'] as const)[below(4)]!,
    role: 'switch',
    id: `${below(2) === 0 ? 'a' : 'b'}${1 + below(2)}`,
    forMs: 200 + below(4_000),
  };
}
