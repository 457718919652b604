import { type Call, situationsOf } from '../../src/call/index.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import type { Fault } from './fault-plan.ts';
import { planOf, slowDown } from './moments.ts';
import type { CallPlan, PhonePlan, Plan } from './plan.ts';
import { type RunOptions, type RunResult, run } from './run.ts';
import type { ZoneName } from './world.ts';

/** A call that together with the others comes into everything that the table of adoptions names. */
export interface Variant {
  readonly name: string;
  readonly call?: Partial<CallPlan>;
  readonly phones?: readonly PhonePlan[];
  readonly slow?: 'registrations' | 'media';
  /** What else breaks, and how long after the call is answered. */
  readonly fault?: { readonly afterMs: number; readonly what: Fault };
}

const phone = (user: string, more: Partial<PhonePlan> = {}): PhonePlan => ({
  user,
  registersAtMs: 500,
  ...more,
});

export const variants: readonly Variant[] = [
  { name: 'rings, is held and ended' },
  {
    name: 'with early media in reliable responses',
    call: { earlyMedia: true },
    phones: [phone('1001', { reliable: true }), phone('1002', { reliable: true })],
  },
  { name: 'with a late offer', call: { lateOffer: true } },
  { name: 'is cancelled', call: { cancelAfterMs: 400 } },
  { name: 'is cancelled before the phone has said anything', call: { cancelAfterMs: 15 } },
  {
    name: 'is answered before the early media is acknowledged',
    call: { earlyMedia: true, ringMs: 1 },
    phones: [phone('1001', { reliable: true }), phone('1002')],
  },
  { name: 'is declined', call: { callee: 'declines' } },
  { name: 'is ended by both', call: { hangsUp: 'both' } },
  { name: 'with digits', call: { digits: [{ by: 'caller', afterMs: 1_000 }] } },
  {
    name: 'held by both at once',
    call: {
      holds: [
        { by: 'caller', afterMs: 1_500, forMs: 2_000 },
        { by: 'callee', afterMs: 1_500, forMs: 2_000 },
      ],
    },
  },
  { name: 'rings two phones', phones: [phone('1001'), phone('1002'), phone('1002')] },
  {
    name: 'rings one phone after the other',
    call: { to: '1003', ringMs: 60_000, callee: 'does-not-answer' },
    phones: [phone('1001'), phone('1003'), phone('1003')],
  },
  {
    name: 'with session timers',
    call: { talkMs: 100_000 },
    phones: [phone('1001', { sessionSec: 90 }), phone('1002', { sessionSec: 90 })],
  },
  {
    name: 'encrypted end to end',
    phones: [phone('1001', { endToEnd: true }), phone('1002', { endToEnd: true })],
  },
  {
    name: 'is transferred while the caller is held',
    call: {
      talkMs: 20_000,
      ringMs: 2_000,
      holds: [{ by: 'callee', afterMs: 1_500, forMs: 18_000 }],
      transfer: { to: '1004', afterMs: 3_000 },
    },
    phones: [phone('1001'), phone('1002'), phone('1004')],
  },
  { name: 'while registrations are slow', slow: 'registrations' },
  { name: 'while media are slow', slow: 'media' },
  {
    name: 'whose phone loses its connection',
    call: { talkMs: 20_000, holds: [] },
    phones: [phone('1001'), phone('1002', { transport: 'tcp' })],
    fault: { afterMs: 2_000, what: { what: 'kill', role: 'edge', id: 'edge1', forMs: 400 } },
  },
  {
    name: 'whose media and their ports are lost',
    call: { talkMs: 20_000, holds: [] },
    fault: { afterMs: 2_000, what: { what: 'kill-media', portsTaken: true, forMs: 300 } },
  },
  {
    name: 'held while its phone has no connection',
    call: { talkMs: 20_000, holds: [{ by: 'caller', afterMs: 2_500, forMs: 4_000 }] },
    phones: [phone('1001', { edge: 'edge2' }), phone('1002', { transport: 'tcp' })],
    fault: { afterMs: 2_000, what: { what: 'kill', role: 'edge', id: 'edge1', forMs: 400 } },
  },
];

/** For 1003 phones ring one after the other. */
const inOrder = (directory: DirectorySnapshot): DirectorySnapshot => ({
  ...directory,
  users: directory.users.map((user) =>
    user.extension === '1003' ? { ...user, ring: { mode: 'in-order', maxWaitSec: 30 } } : user,
  ),
});

function planFor({ call = {}, phones }: Variant): Plan {
  const plan = planOf(call);
  return phones === undefined ? plan : { ...plan, phones };
}

/** Plays it. `written`: the call has been written as it now is; its zone dies `killAfterMs` after the first time that this says true. */
export async function playVariant(
  variant: Variant,
  options: RunOptions,
  written: (call: Call) => boolean,
  killAfterMs = 0,
): Promise<RunResult> {
  return run(planFor(variant), {
    ...options,
    directory: inOrder(options.directory),
    prepare: (world, faults) => {
      slowDown(world, variant.slow);
      let killed = false;
      let answered = false;
      world.onCall = (call, by) => {
        if (call.state === 'talking' && !answered) {
          answered = true;
          const { fault } = variant;
          if (fault !== undefined) world.clock.after(fault.afterMs, () => faults.happen(fault.what));
        }
        if (killed || !written(call)) return;
        killed = true;
        const zone = by.id[0] as ZoneName;
        world.clock.after(killAfterMs, () => faults.happen({ what: 'kill-zone', zone, forMs: 20_000 }));
      };
    },
  });
}

/** Which variant comes to which entry of the table first. */
export async function whereReached(options: RunOptions): Promise<ReadonlyMap<string, Variant>> {
  const reached = new Map<string, Variant>();
  for (const variant of variants) {
    await playVariant(variant, options, (call) => {
      for (const name of situationsOf(call)) if (!reached.has(name)) reached.set(name, variant);
      return false;
    });
  }
  return reached;
}
