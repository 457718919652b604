import type { Call } from '../../src/call/index.ts';
import type { CallPlan, Plan } from './plan.ts';
import { type RunOptions, type RunResult, run } from './run.ts';
import type { World, ZoneName } from './world.ts';

/** Ada calls Charles, who answers; they talk, she holds him for a while, and hangs up. */
const talk: CallPlan = {
  n: 1,
  atMs: 3_000,
  from: '1001',
  to: '1002',
  lateOffer: false,
  callee: 'answers',
  earlyMedia: false,
  ringMs: 5_000,
  talkMs: 9_000,
  hangsUp: 'caller',
  holds: [{ by: 'caller', afterMs: 1_500, forMs: 3_500 }],
};

export interface Moment {
  readonly state: Call['state'];
  readonly name: string;
  readonly call?: Partial<CallPlan>;
  /** What takes its time: otherwise nothing is written before the first phone is to hear of it. */
  readonly slow?: 'registrations' | 'media';
  /** More than the state says. */
  readonly is?: (call: Call) => boolean;
}

const sent = (call: Call, method: string, leg: 'caller' | 'callee'): boolean =>
  call.legs.some(({ role, clients }) => role === leg && clients.some((client) => client.method === method));
const answered = (call: Call, method: string, leg: 'caller' | 'callee'): boolean =>
  call.legs.some(
    ({ role, servers }) =>
      role === leg && servers.some((server) => server.method === method && server.status !== undefined),
  );

/** Every state of a call, and within some of them what can be half done. */
export const moments: readonly Moment[] = [
  { state: 'routing', name: 'the INVITE has come in and nobody rings yet', slow: 'registrations' },
  {
    state: 'calling',
    name: 'devices are given their media ports',
    slow: 'media',
    is: (call) => !sent(call, 'INVITE', 'callee'),
  },
  { state: 'calling', name: 'the INVITE has gone out', is: (call) => sent(call, 'INVITE', 'callee') },
  { state: 'ringing', name: 'it rings' },
  { state: 'ringing', name: 'it rings with early media', call: { earlyMedia: true } },
  { state: 'answered', name: 'the callee has answered, the ACK has not come' },
  { state: 'answered', name: 'the callee has answered with an offer', call: { lateOffer: true } },
  { state: 'talking', name: 'they talk' },
  {
    state: 'talking',
    name: 'a hold is under way',
    is: (call) => call.legs[1]?.clients.some(({ purpose }) => purpose.kind === 'relay') === true,
  },
  { state: 'held', name: 'one is held' },
  {
    state: 'held',
    name: 'a resume is under way',
    is: (call) =>
      call.legs[1]?.clients.some(({ purpose, cseq }) => purpose.kind === 'relay' && cseq > 2) === true,
  },
  { state: 'ending', name: 'the BYE of the caller goes on' },
  { state: 'ending', name: 'the BYE of the callee goes on', call: { hangsUp: 'callee' } },
  {
    state: 'ending',
    name: 'both have hung up',
    call: { hangsUp: 'both' },
    is: (call) => answered(call, 'BYE', 'callee'),
  },
  {
    state: 'ending',
    name: 'the CANCEL goes on',
    call: { cancelAfterMs: 400 },
    is: (call) => sent(call, 'CANCEL', 'callee'),
  },
  { state: 'ending', name: 'the callee is busy', call: { callee: 'is-busy' } },
  { state: 'ending', name: 'the callee has declined', call: { callee: 'declines' } },
  { state: 'ending', name: 'nobody has answered', call: { callee: 'does-not-answer' } },
  { state: 'ended', name: 'it is over' },
  { state: 'ended', name: 'it was cancelled', call: { cancelAfterMs: 400 } },
];

/** How long after the call was written in that state its zone dies. */
export const delays = [
  ['before anything of it has left', 0],
  ['when the first of it is on its way', 0.9],
  ['when the phones have it', 3],
] as const;

/** More than the switch waits for answers from inside the zone before it writes what it has. */
const SLOW_MS = 150;

/** Makes slow what the moment needs to be so. */
export function slowDown(world: World, slow: Moment['slow']): void {
  // Phones register before that.
  world.clock.after(2_500, () => {
    if (slow === 'registrations') world.registrationsWaitMs = SLOW_MS;
    if (slow === 'media') for (const media of world.media.values()) media.opensAfterMs = SLOW_MS;
  });
}

export const planOf = (call: Partial<CallPlan>): Plan => ({
  seed: 5,
  network: { lossRatio: 0, duplicateRatio: 0, delayMs: { min: 1, max: 1.5 } },
  phones: ['1001', '1002'].map((user) => ({ user, registersAtMs: 500 })),
  calls: [{ ...talk, ...call }],
  faults: [],
});

/** Plays the call; its zone dies 200 ms after the first message that begins so was lost on its way to a phone. */
export async function killAfterLosing(
  begins: string,
  call: Partial<CallPlan>,
  options: RunOptions,
): Promise<RunResult & { readonly cameTo: boolean }> {
  let owner: ZoneName | undefined;
  let cameTo = false;
  const result = await run(planOf(call), {
    ...options,
    prepare: (world, faults) => {
      world.onCall = (_, by) => {
        owner ??= by.id[0] as ZoneName;
      };
      world.network.loses = (bytes) => {
        if (cameTo || owner === undefined || !Buffer.from(bytes).toString('latin1').startsWith(begins))
          return false;
        cameTo = true;
        const zone = owner;
        world.clock.after(200, () => faults.happen({ what: 'kill-zone', zone, forMs: 20_000 }));
        return true;
      };
    },
  });
  return { ...result, cameTo };
}

/** Plays the call, and kills its zone at that moment. `cameTo`: whether the moment came. */
export async function killAt(
  { state, call, slow, is = () => true }: Moment,
  afterMs: number,
  options: RunOptions,
): Promise<RunResult & { readonly cameTo: boolean }> {
  let killed: ZoneName | undefined;
  const result = await run(planOf(call ?? {}), {
    ...options,
    prepare: (world, faults) => {
      slowDown(world, slow);
      world.onCall = (now, by) => {
        if (killed !== undefined || now.state !== state || !is(now)) return;
        const zone = by.id[0] as ZoneName;
        killed = zone;
        world.clock.after(afterMs, () => faults.happen({ what: 'kill-zone', zone, forMs: 20_000 }));
      };
    },
  });
  return { ...result, cameTo: killed !== undefined };
}
