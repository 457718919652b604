import { type Random, randomBelow } from '../../src/base/index.ts';
import type { Point } from './history.ts';
import { type MachineFault, machineFault } from './machine-faults.ts';
import type { EdgeName, Role, ZoneName } from './world.ts';

/** What breaks and when, as plain data. */
export type FaultPlan = {
  /** From the beginning; with `point` that many of those later. */
  readonly atMs: number;
  readonly point?: { readonly of: Point; readonly count: number };
} & Fault;

export type Fault =
  | MachineFault
  | {
      /** Killed; stopped; late with everything; not let run at all; at something that does not end. */
      readonly what: 'kill' | 'freeze' | 'slow' | 'starve' | 'spin';
      readonly role: Role;
      readonly id: string;
      readonly forMs: number;
    }
  /** Every process of the zone. */
  | {
      readonly what: 'kill-zone' | 'freeze-zone' | 'starve-zone';
      readonly zone: ZoneName;
      readonly forMs: number;
    }
  /** Both media processes at once; what their ports were may be another program's then. */
  | { readonly what: 'kill-media'; readonly portsTaken: boolean; readonly forMs: number }
  | { readonly what: 'cut-twins'; readonly forMs: number }
  /** No switch of the zone and that edge hear each other. */
  | { readonly what: 'cut-edge'; readonly zone: ZoneName; readonly edge: EdgeName; readonly forMs: number }
  | { readonly what: 'cut-media'; readonly id: string; readonly media: ZoneName; readonly forMs: number }
  /** With `only` for one switch. */
  | {
      readonly what: 'state-away';
      readonly how: 'rejects' | 'hangs';
      readonly only?: string;
      readonly forMs: number;
    }
  | { readonly what: 'state-slow' | 'state-full'; readonly forMs: number }
  /** What was written in that time is lost at its end: a server that had not yet saved or copied it is started again. */
  | { readonly what: 'state-forgets'; readonly forMs: number }
  /** A switch is stopped inside a write transaction: no other process of its zone can write. */
  | { readonly what: 'state-locked'; readonly id: string; readonly forMs: number }
  | { readonly what: 'clock-jumps'; readonly byMs: number; readonly forMs: number };

/** What may not meet another of its kind: an installation with both zones hit is no promise, nor is one without any edge. */
export type Domain = 'installation' | 'edge' | 'switch';

export function domainOf(fault: Fault): Domain {
  switch (fault.what) {
    case 'kill':
    case 'freeze':
    case 'slow':
    case 'starve':
    case 'spin':
      return fault.role === 'switch' ? 'switch' : fault.role === 'edge' ? 'edge' : 'installation';
    case 'cut-media':
      return 'switch';
    case 'state-away':
      return fault.only === undefined ? 'installation' : 'switch';
    default:
      return 'installation';
  }
}

/** Two that concern the whole installation are so far apart: it may be whole again before it is hit again. */
const RECOVERY_MS = 9_000;
const HOUR_MS = 3_600_000;

/** Those of the installation one after the other; a switch or an edge may go in between, or at the same time. */
export function faultsFor(random: Random, { twoMachines = false } = {}): FaultPlan[] {
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
    const heavy = twoMachines ? machineFault(random) : heavyFault(random);
    faults.push({ ...timed(nextMs), ...heavy });
    if (below(3) === 0) faults.push({ ...timed(nextMs + below(heavy.forMs + 1)), ...lightFault(random) });
    if (below(5) === 0) faults.push({ ...timed(nextMs + below(heavy.forMs + 1)), ...edgeFault(random) });
    nextMs += heavy.forMs + RECOVERY_MS + below(8_000);
  }
  const alone = below(5);
  if (faults.length === 0 && alone < 3)
    faults.push({ ...timed(3_000 + below(25_000)), ...(alone < 2 ? lightFault(random) : edgeFault(random)) });
  // Last, so that what a seed meant before it still means.
  if (below(4) === 0 && !twoMachines)
    faults.push({ ...timed(nextMs), what: 'kill-media', portsTaken: below(2) === 0, forMs: 300 });
  return faults;
}

function heavyFault(random: Random): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  const zone: ZoneName = below(2) === 0 ? 'a' : 'b';
  const edge: EdgeName = below(2) === 0 ? 'edge1' : 'edge2';
  const forMs = 300 + below(6_000);
  const how = below(2) === 0 ? 'rejects' : 'hangs';
  const faults: readonly Fault[] = [
    { what: 'kill-zone', zone, forMs },
    { what: 'kill-zone', zone, forMs },
    { what: 'freeze-zone', zone, forMs },
    { what: 'starve-zone', zone, forMs },
    { what: 'kill', role: 'zone', id: zone, forMs },
    { what: 'freeze', role: 'zone', id: zone, forMs },
    { what: 'starve', role: 'zone', id: zone, forMs },
    { what: 'kill', role: 'media', id: zone, forMs },
    { what: 'freeze', role: 'media', id: zone, forMs },
    { what: 'starve', role: 'media', id: zone, forMs },
    { what: 'cut-twins', forMs },
    { what: 'cut-edge', zone, edge, forMs: 300 + below(4_000) },
    { what: 'state-away', how, forMs },
    { what: 'state-slow', forMs },
    { what: 'state-full', forMs },
    { what: 'state-forgets', forMs: 200 + below(1_000) },
    { what: 'state-locked', id: `${zone}${1 + below(2)}`, forMs },
    { what: 'clock-jumps', byMs: [-HOUR_MS, -30_000, 30_000, HOUR_MS][below(4)]!, forMs: 0 },
  ];
  return faults[below(faults.length)]!;
}

function lightFault(random: Random): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  const id = `${below(2) === 0 ? 'a' : 'b'}${1 + below(2)}`;
  const forMs = 200 + below(4_000);
  const role = 'switch';
  const faults: readonly Fault[] = [
    { what: 'kill', role, id, forMs },
    { what: 'kill', role, id, forMs },
    { what: 'freeze', role, id, forMs },
    { what: 'slow', role, id, forMs },
    { what: 'starve', role, id, forMs: 500 + below(7_000) },
    { what: 'spin', role, id, forMs: 500 + below(5_000) },
    { what: 'cut-media', id, media: below(2) === 0 ? 'a' : 'b', forMs },
    { what: 'state-away', how: below(2) === 0 ? 'rejects' : 'hangs', only: id, forMs },
  ];
  return faults[below(faults.length)]!;
}

function edgeFault(random: Random): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  const what = (['kill', 'kill', 'freeze', 'slow', 'starve'] as const)[below(5)]!;
  return { what, role: 'edge', id: below(2) === 0 ? 'edge1' : 'edge2', forMs: 100 + below(5_000) };
}

export function tellFault(fault: FaultPlan): string {
  const { atMs, point, ...rest } = fault;
  const when = point === undefined ? `at ${atMs} ms` : `at the ${point.count}. ${point.of} after ${atMs} ms`;
  return `${when}: ${Object.values(rest).join(' ')}`;
}
