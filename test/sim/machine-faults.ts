import { type Random, randomBelow } from '../../src/base/index.ts';
import type { Fault } from './fault-plan.ts';
import type { World, ZoneName } from './world.ts';

/** What befalls a zone's machine, of which the other one sees nothing but silence. */
export type MachineFault =
  /** Its power is cut: nothing says goodbye, and nobody says that it is dead. */
  | { readonly what: 'kill-machine'; readonly zone: ZoneName; readonly forMs: number }
  /** It does not reach the other zone's machine, the state, the edges. */
  | {
      readonly what: 'sever';
      readonly zone: ZoneName;
      readonly twin: boolean;
      readonly state: 'reached' | 'away' | 'away-from-both';
      readonly door: boolean;
      readonly forMs: number;
    };

/** The launcher of a living machine sees a death, and puts in order what is left. */
const SEEN_DEAD_MS = 60;

/** Begins it; what it gives ends it. */
export function sever(
  world: World,
  { zone, twin, state, door }: Omit<MachineFault & { what: 'sever' }, 'what' | 'forMs'>,
) {
  const stateless: ZoneName[] = state === 'reached' ? [] : state === 'away' ? [zone] : ['a', 'b'];
  const set = (on: boolean): void => {
    if (twin) world.cutMachines(on);
    for (const one of stateless) world.stateCut(one, on);
    if (door) world.cutDoor(zone, on);
  };
  set(true);
  return () => set(false);
}

/** The machine is off until what it gives is called. */
export function cutPower(world: World, zone: ZoneName): () => void {
  const joinAgain = sever(world, { zone, twin: true, state: 'away', door: true });
  world.killZone(zone);
  world.machines?.loseAddresses(zone);
  return joinAgain;
}

/** A zone without its supervisor on a machine that lives: the launcher ends the rest and says that it is dead. */
export function tidyUp(world: World, zone: ZoneName): void {
  const { machines } = world;
  if (machines === undefined || world.running('zone', zone) !== undefined) return;
  world.clock.after(SEEN_DEAD_MS, () => {
    if (world.running('zone', zone) !== undefined) return;
    world.killZone(zone);
    machines.sayDead(zone);
  });
}

/** Whether the zone falls silent and is adopted; else everybody goes on, or everybody waits. */
export const isAdoptedWhile = ({ twin, state }: MachineFault & { what: 'sever' }): boolean =>
  twin && state === 'away';

export function machineFault(random: Random): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  const zone: ZoneName = below(2) === 0 ? 'a' : 'b';
  const forMs = 300 + below(6_000);
  const kind = below(12);
  if (kind < 3) return { what: 'kill-machine', zone, forMs };
  if (kind < 8) return severing(random, zone, forMs);
  const alone = ['kill-zone', 'freeze-zone', 'starve-zone'] as const;
  if (kind < 10) return { what: alone[below(3)]!, zone, forMs };
  const role = below(2) === 0 ? 'zone' : 'media';
  const what = (['kill', 'freeze', 'starve'] as const)[below(3)]!;
  if (kind === 10) return { what, role, id: zone, forMs };
  const ofTheState = ['state-slow', 'state-full', 'state-forgets', 'state-away'] as const;
  const one = ofTheState[below(4)]!;
  return one === 'state-away'
    ? { what: one, how: below(2) === 0 ? 'rejects' : 'hangs', forMs }
    : { what: one, forMs: one === 'state-forgets' ? 200 + below(1_000) : forMs };
}

function severing(random: Random, zone: ZoneName, forMs: number): Fault {
  const below = (bound: number) => randomBelow(random, bound);
  return {
    what: 'sever',
    zone,
    twin: below(4) > 0,
    state: (['reached', 'away', 'away', 'away-from-both'] as const)[below(4)]!,
    door: below(3) === 0,
    forMs,
  };
}
