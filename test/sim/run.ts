import type { DirectorySnapshot } from '../../src/directory/index.ts';
import {
  leftBehind,
  lostRegistrations,
  strays,
  surprises,
  twoOwners,
  unheardRinging,
  whoDoesNotHear,
  whoIsLeftAlone,
  wrongDigits,
  wrongEnds,
  wrongRecords,
} from './checks.ts';
import { Crowd } from './crowd.ts';
import { mayNotComeAbout } from './excuses.ts';
import { Faults } from './faults.ts';
import type { Plan } from './plan.ts';
import { type Mistake, runUntil, World, type WorldOptions } from './world.ts';

export interface RunResult {
  /** A sentence for each broken promise. */
  readonly broken: readonly string[];
  readonly digest: string;
  readonly virtualMs: number;
}

/** How often it is asked whether people hear each other. */
const LOOK_EVERY_MS = 500;
/** By then every call of a plan has ended, also one that nobody answers over a bad network. */
const ALL_OVER_MS = 300_000;
/** The longest timer of what is over (64 × T1, 32 s, at either side of a lossy network), and the edge's sweep after it. */
const LINGER_MS = 80_000;
/** 64 × T1: a refresh has its answer by then, or has failed. */
const REFRESHED_MS = 40_000;
/** A caller hears it ring so soon, also when the message was lost with a switch. */
const RINGING_HEARD_MS = 4_000;

export interface RunOptions {
  readonly directory: DirectorySnapshot;
  readonly mistake?: Mistake;
  readonly readsForm?: WorldOptions['readsForm'];
  readonly tell?: (line: string) => void;
  /** For what a plan cannot say: called when the world stands and nothing has happened in it. */
  readonly prepare?: (world: World, faults: Faults) => void;
}

export async function run(plan: Plan, options: RunOptions): Promise<RunResult> {
  const { seed, twoMachines = false } = plan;
  const world = new World({ seed, twoMachines, ...plan.network, ...options });
  const crowd = new Crowd(world, plan);
  const faults = new Faults(world, plan.faults);
  options.prepare?.(world, faults);
  const broken = new Set<string>();
  const begin = world.clock.nowMs();
  const look = (): void => {
    for (const what of whoDoesNotHear(world, crowd, faults)) broken.add(what);
    for (const what of whoIsLeftAlone(world, crowd, faults)) broken.add(what);
    world.clock.after(LOOK_EVERY_MS, look);
  };
  look();
  await crowd.open(plan);
  const lastMs = Math.max(
    0,
    ...plan.calls.map(({ atMs }) => atMs),
    ...plan.faults.map(({ atMs, forMs }) => atMs + forMs + 3_000),
  );
  await runUntil(world, begin + lastMs + 1_000);
  const isOver = () => crowd.conversations.every((one) => one.over);
  await runUntil(world, begin + ALL_OVER_MS, isOver);
  await runUntil(world, world.clock.nowMs() + LINGER_MS);
  // Where messages get lost a registration may run out before its refresh comes through.
  const isRefreshing = () => crowd.phones.some((phone) => phone.registrations.some((one) => one.refreshing));
  await runUntil(world, world.clock.nowMs() + REFRESHED_MS, () => !isRefreshing());
  const { account } = options.directory;
  const isExcused = mayNotComeAbout(plan, faults);
  for (const what of [
    ...surprises(crowd),
    ...wrongEnds(crowd, isExcused),
    ...wrongDigits(crowd),
    ...(plan.network.lossRatio === 0 ? unheardRinging(crowd, RINGING_HEARD_MS, isExcused) : []),
    ...strays(crowd),
    ...twoOwners(world),
    ...(await wrongRecords(world, crowd, account, isExcused)),
    ...(await leftBehind(world, account)),
    ...(await lostRegistrations(world, crowd, account)),
  ]) {
    broken.add(what);
  }
  return { broken: [...broken], digest: world.history.digest(), virtualMs: world.clock.nowMs() - begin };
}
