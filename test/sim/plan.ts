import { type Random, randomBelow, seededRandom } from '../../src/base/index.ts';
import { type FaultPlan, faultsFor } from './fault-plan.ts';
import type { EdgeName, Network } from './world.ts';

/** What a seed means, as plain data: who calls whom and how it goes, what the network does, and what breaks when. */
export interface Plan {
  readonly seed: number;
  /** The zones are on two machines. */
  readonly twoMachines?: true;
  readonly network: Network;
  readonly phones: readonly PhonePlan[];
  readonly calls: readonly CallPlan[];
  readonly faults: readonly FaultPlan[];
}

export interface PhonePlan {
  readonly user: string;
  readonly registersAtMs: number;
  readonly transport?: 'udp' | 'tcp';
  /** Where it registers; `edge1` when nothing is said. */
  readonly edge?: EdgeName;
  /** It does PRACK (RFC 3262). */
  readonly reliable?: boolean;
  /** Seconds; it asks for a session timer of that length (RFC 4028). */
  readonly sessionSec?: number;
  /** It encrypts end to end, and takes no description without the mark. */
  readonly endToEnd?: boolean;
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
  /** The callee sends the caller on to another user, so long after the answer. */
  readonly transfer?: { readonly to: string; readonly afterMs: number };
  /** Keypad digits by INFO. */
  readonly digits?: readonly { readonly by: Side; readonly afterMs: number }[];
}

export type Side = 'caller' | 'callee';

/** The office: eight users, some with two phones. */
const USERS = ['1001', '1002', '1003', '1004', '1005', '1006', '1007', '1008'] as const;

const FIRST_CALL_MS = 4_000;

export function planFor(seed: number, how: { readonly twoMachines?: true } = {}): Plan {
  const random = seededRandom(seed * 7919 + 17);
  const below = (bound: number) => randomBelow(random, bound);
  const bad = below(3);
  return {
    seed,
    ...how,
    network:
      bad === 0
        ? { lossRatio: 0, duplicateRatio: 0, delayMs: { min: 1, max: 3 } }
        : {
            lossRatio: below(bad === 1 ? 3 : 11) / 100,
            duplicateRatio: below(8) / 100,
            delayMs: { min: 1, max: 2 + below(bad === 1 ? 20 : 200) },
          },
    phones: USERS.flatMap((user) =>
      Array.from({ length: below(4) === 0 ? 2 : 1 }, () => phoneFor(random, user)),
    ),
    calls: Array.from({ length: 4 + below(9) }, (_, at) => callFor(random, at + 1)),
    faults: faultsFor(random, how),
  };
}

function phoneFor(random: Random, user: string): PhonePlan {
  const below = (bound: number) => randomBelow(random, bound);
  return {
    user,
    registersAtMs: 300 + below(1_500),
    transport: below(3) === 0 ? 'tcp' : 'udp',
    edge: below(2) === 0 ? 'edge1' : 'edge2',
    reliable: below(4) === 0,
    ...(below(4) === 0 ? { sessionSec: 90 } : {}),
  };
}

function callFor(random: Random, n: number): CallPlan {
  const below = (bound: number) => randomBelow(random, bound);
  const from = below(USERS.length);
  const to = (from + 1 + below(USERS.length - 1)) % USERS.length;
  const kind = below(20);
  const callee = kind < 14 ? 'answers' : kind < 16 ? 'is-busy' : kind < 18 ? 'declines' : 'does-not-answer';
  const ringMs = 100 + below(6_000);
  // A few last long enough for session timers.
  const talkMs = 500 + below(below(8) === 0 ? 120_000 : 25_000);
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
    talkMs,
    hangsUp: (['caller', 'callee', 'both'] as const)[below(3)]!,
    holds: holdsFor(random),
    digits: Array.from({ length: Math.max(0, below(5) - 2) }, () => ({
      by: below(2) === 0 ? ('caller' as const) : ('callee' as const),
      afterMs: 200 + below(15_000),
    })),
  };
}

function holdsFor(random: Random): CallPlan['holds'] {
  const below = (bound: number) => randomBelow(random, bound);
  const hold = (by: Side) => ({ by, afterMs: 200 + below(15_000), forMs: 100 + below(6_000) });
  if (below(8) === 0) {
    // Both press the key at once: glare (RFC 3261 §14.1).
    const one = hold('caller');
    return [one, { ...one, by: 'callee' }];
  }
  return Array.from({ length: Math.max(0, below(4) - 1) }, () => hold(below(2) === 0 ? 'caller' : 'callee'));
}
