import type { AccountId, ZoneId } from '../../src/base/index.ts';
import type { CallRecord } from '../../src/call/index.ts';
import { CALL_INDEX_ACCOUNT } from '../../src/link/index.ts';
import { countRegistrations } from '../../src/registrar/index.ts';
import { header, type SipMessage, tagOf, toOf } from '../../src/sip/index.ts';
import { BUNDLES_PER_SWITCH } from '../../src/zone/grants.ts';
import type { PhoneCall } from '../support/phone.ts';
import { type Conversation, type Crowd, sessionOf } from './crowd.ts';
import type { Faults } from './faults.ts';
import type { SimStream } from './media.ts';
import type { SimPhoneMedia } from './phones.ts';
import type { World } from './world.ts';

/**
 * Whether what `from` says reaches `to`'s ear now: each phone sends to a stream that a living media process carries, and the stream that
 * faces the listener sends that one's audio to where the listener's phone listens.
 */
export function hears(world: World, to: PhoneCall, from: PhoneCall): boolean {
  const ear = to.media as SimPhoneMedia | undefined;
  const mouth = from.media as SimPhoneMedia | undefined;
  if (ear?.remote === undefined || mouth?.remote === undefined) return false;
  const facingMouth = streamAt(world, mouth.remote.port);
  const facingEar = streamAt(world, ear.remote.port);
  if (facingMouth === undefined || facingEar === undefined) return false;
  const arrives =
    facingEar.spec.remote?.address === ear.local.address && facingEar.spec.remote.port === ear.local.port;
  const flows = facingEar.spec.source === facingMouth.spec.id;
  const may =
    mouth.sends &&
    ear.receives &&
    (facingMouth.spec.direction === 'sendrecv' || facingMouth.spec.direction === 'sendonly') &&
    (facingEar.spec.direction === 'sendrecv' || facingEar.spec.direction === 'recvonly');
  return arrives && flows && may;
}

/** The streams of every living media process that sits at that port: more than one is a broken promise. */
export function streamAt(world: World, port: number): SimStream | undefined {
  const found = [...world.media.values()]
    .filter((media) => media.speaks)
    .flatMap((media) => [...media.streams.values()].filter((stream) => media.isAt(stream)))
    .filter((stream) => stream.opened.port === port);
  if (found.length > 1) throw new Error(`two media processes hold port ${port}`);
  return found[0];
}

/** The promise: within this time after whatever broke, both hear each other again. */
const HEARD_AGAIN_MS = 3_000;
/** Offers and answers of people take their time over a bad network. */
const SETTLED_MS = 1_000;

/** So long an ACK may be lost and lost again. */
const BRIEF_MS = 4_000;

/** Whoever talks and holds nobody hears the other. Asked again and again while a run goes on. */
export function whoDoesNotHear(world: World, crowd: Crowd, faults: Faults): string[] {
  if (!faults.quietFor(HEARD_AGAIN_MS)) return [];
  const nowMs = world.clock.nowMs();
  return crowd.conversations.flatMap((conversation) => {
    const { caller, callee, name } = conversation;
    if (caller === undefined || callee === undefined || !conversation.established) return [];
    if (conversation.hangUp !== undefined || conversation.offers > 0 || conversation.holders.size > 0)
      return [];
    // Of two phones that answered at once one was told that it was too late; the other one's ACK is still on its way.
    if (callee.end !== undefined) return [];
    const settledMs = Math.max(
      conversation.acknowledgedMs ?? 0,
      conversation.answeredMs ?? 0,
      conversation.lastOfferMs,
    );
    if (nowMs - settledMs < SETTLED_MS) return [];
    return [
      ...(hears(world, caller, callee) ? [] : [`${name}: the caller does not hear the callee`]),
      ...(hears(world, callee, caller) ? [] : [`${name}: the callee does not hear the caller`]),
    ];
  });
}

/** So long a BYE may be on its way to a phone over the worst network, or wait for a phone to come back. */
const BYE_MS = 40_000;

/** Both phones take the call for up, or both for over. Asked again and again while a run goes on. */
export function whoIsLeftAlone(world: World, crowd: Crowd, faults: Faults): string[] {
  if (!faults.quietFor(BYE_MS)) return [];
  const nowMs = world.clock.nowMs();
  return crowd.conversations.flatMap(({ caller, callee, hangUp, name }) => {
    if (caller === undefined || callee === undefined || hangUp === undefined) return [];
    if (nowMs - hangUp.atMs < BYE_MS || (caller.end === undefined) === (callee.end === undefined)) return [];
    return [
      `${name}: the ${caller.end === undefined ? 'caller' : 'callee'} is left in a call that the other one has ended`,
    ];
  });
}

/** A digit arrives once, or at most once when the call ended meanwhile. */
export function wrongDigits(crowd: Crowd): string[] {
  return crowd.conversations.flatMap(({ pressed, caller, callees, name }) => {
    const heardByCallee = callees.reduce((sum, { digits }) => sum + digits.length, 0);
    return [
      ...(heardByCallee > pressed.caller
        ? [`${name}: of ${pressed.caller} digits ${heardByCallee} arrived`]
        : []),
      ...((caller?.digits.length ?? 0) > pressed.callee
        ? [`${name}: of ${pressed.callee} digits of the callee ${caller?.digits.length} arrived`]
        : []),
    ];
  });
}

/** No established call was lost, and no hold, resume or BYE refused: each phone says what it did not expect. */
export function surprises(crowd: Crowd): string[] {
  return [
    ...crowd.surprises,
    ...crowd.conversations.flatMap((one) => one.surprises.map((what) => `${one.name}: ${what}`)),
  ];
}

/** Each attempt to call ended as the two people meant it to. */
export function wrongEnds(crowd: Crowd, isExcused: (one: Conversation) => boolean): string[] {
  return crowd.conversations.flatMap((one) => {
    const { caller, name } = one;
    if (caller === undefined) return [];
    const wrong = wrongEndOf(one, caller, isExcused(one));
    return wrong === undefined ? [] : [`${name}: ${wrong}`];
  });
}

function wrongEndOf(one: Conversation, caller: PhoneCall, isExcused: boolean): string | undefined {
  const { end } = caller;
  if (end === undefined) return 'the call of the caller never ended';
  const stays = one.callees.find((call) => call.end === undefined);
  if (stays !== undefined) return 'a call at the callee never ended';
  if (isExcused && !one.established) return undefined;
  const how = `the caller saw ${end.how} ${end.status ?? ''}`;
  if (one.answeredMs !== undefined) {
    // Who hangs up at once may be quicker than a repeated ACK.
    const wasBrief = one.hangUp !== undefined && one.hangUp.atMs - one.answeredMs < BRIEF_MS;
    if (one.acknowledgedMs === undefined && !wasBrief)
      return `${how}, was connected, and no phone of the callee was`;
    return one.hangUp === undefined ? `${how} though nobody hung up` : undefined;
  }
  if (one.cancelledMs !== undefined && end.how === 'cancel') return undefined;
  switch (one.plan.callee) {
    case 'answers':
      return `${how}, not the answer`;
    case 'is-busy':
      return end.status === 486 ? undefined : `${how}, not busy`;
    case 'declines':
      return end.status === 603 ? undefined : `${how}, not that the callee declined`;
    case 'does-not-answer':
      return end.status === 480 ? undefined : `${how}, not that nobody answered`;
  }
}

/** Who rings for a while is heard ringing: to be asked where the network loses nothing, for a 180 is said once (RFC 3261 §13.2.2.1). */
export function unheardRinging(
  crowd: Crowd,
  withinMs: number,
  isExcused: (one: Conversation) => boolean,
): string[] {
  return crowd.conversations.flatMap((one) => {
    const { calleeRangMs, rangMs, caller, plan, name } = one;
    if (isExcused(one) && !one.established) return [];
    if (calleeRangMs === undefined || rangMs !== undefined || caller?.end?.how === 'cancel') return [];
    return plan.ringMs < withinMs ? [] : [`${name}: it rang, and the caller did not hear it ring`];
  });
}

/** What a phone got that belongs to no call of its own. */
export function strays(crowd: Crowd): string[] {
  return crowd.phones.flatMap((phone) => {
    const own = new Set<string>();
    for (const one of crowd.conversations) {
      for (const call of [one.caller, ...one.callees]) if (call !== undefined) own.add(call.callId);
    }
    return phone.received.items.flatMap(({ message }) => {
      const what = strayOf(message, own);
      return what === undefined ? [] : [`phone ${phone.options.user} got ${what}`];
    });
  });
}

function strayOf(message: SipMessage, own: ReadonlySet<string>): string | undefined {
  const cseq = header(message, 'CSeq') ?? '';
  const known = own.has(header(message, 'Call-ID') ?? '');
  if (message.kind === 'request') {
    return tagOf(toOf(message)) !== undefined && !known ? `${message.method} out of nowhere` : undefined;
  }
  // REGISTER has its own check.
  return !known && !cseq.endsWith('REGISTER') ? `${message.status} to a ${cseq} of no call` : undefined;
}

/** Two owners of one bundle spoke to phones, or one spoke that was taken. */
export const twoOwners = (world: World): readonly string[] => [
  ...world.fenceWatches.flatMap(({ broken }) => broken),
  ...new Set(world.machines?.broken ?? []),
];

/** Every call that began has one record, which says how it went. What is written twice must say the same (its key is the call's id). */
export async function wrongRecords(
  world: World,
  crowd: Crowd,
  account: AccountId,
  isExcused: (one: Conversation) => boolean,
): Promise<string[]> {
  const state = world.cluster.open('a' as ZoneId, 'b' as ZoneId);
  const entries = await state.read(account, 'records', undefined, 100_000);
  const records = entries.map(({ entry }) => entry as CallRecord);
  return crowd.conversations.flatMap((one) => {
    if (one.caller === undefined) return [];
    const own = records.filter(({ sessionId }) => sessionId === sessionOf(one.plan.n));
    // Who gave up while being asked for a password has begun no call.
    if (own.length === 0 && [401, 407].includes(one.caller.end?.status ?? 0)) return [];
    // Nor has one whose INVITE ended with its connection.
    const isLost = isExcused(one) && !one.established;
    if (isLost && own.length === 0) return [];
    const ids = new Set(own.map(({ id }) => id));
    if (ids.size !== 1)
      return [`${one.name} has ${ids.size} records (${own.map(({ outcome }) => outcome).join(', ')})`];
    if (isLost) return [];
    const expected = outcomesOf(one);
    const wrong = own.find(({ outcome }) => !expected.includes(outcome));
    return wrong === undefined
      ? []
      : [`${one.name} is recorded as ${wrong.outcome}, and was ${expected.join(' or ')}`];
  });
}

function outcomesOf({ answeredMs, caller, plan, hangUp, cancelledMs }: Conversation): string[] {
  // An answer that crossed the CANCEL: the caller hung up at once, as far as the record can tell.
  if (answeredMs !== undefined)
    return cancelledMs !== undefined && hangUp !== undefined ? ['answered', 'cancelled'] : ['answered'];
  if (caller?.end?.how === 'cancel') return ['cancelled', 'answered', 'busy', 'declined', 'no-answer'];
  switch (plan.callee) {
    case 'answers':
      return ['answered'];
    case 'is-busy':
      return ['busy'];
    case 'declines':
      return ['declined'];
    case 'does-not-answer':
      return ['no-answer'];
  }
}

/** After the last call and all its timers nothing of it is anywhere. */
export async function leftBehind(world: World, account: AccountId): Promise<string[]> {
  const left: string[] = [];
  const say = (what: string, count: number) => {
    if (count > 0) left.push(`${count} ${what} left behind`);
  };
  for (const media of world.media.values()) {
    if (!media.process.alive) continue;
    say(`streams in media ${media.id}`, media.streams.size);
    say(`stand-by streams in media ${media.id}`, media.standby.size);
  }
  const live = [...world.switches.values()].filter(({ process }) => process.alive);
  for (const { process, callSwitch } of live) say(`calls in switch ${process.id}`, callSwitch.callCount);
  const state = world.cluster.open('a' as ZoneId, 'b' as ZoneId);
  say('calls in the state', (await state.list(account, 'call')).length);
  say('entries of the call index', (await state.list(CALL_INDEX_ACCOUNT, 'call-index')).length);
  for (const { core } of world.edges.values()) {
    const { id, transactions, waiting } = core.status();
    say(`transactions at ${id}`, transactions);
    say(`messages waiting at ${id}`, waiting);
  }
  const leases = await state.leases();
  const owned = new Map<string, number>();
  for (const { owner } of leases) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  for (const [owner, count] of owned) {
    if (!live.some(({ process }) => process.id === owner)) say(`bundles of ${owner}, which is gone,`, count);
    else if (count !== BUNDLES_PER_SWITCH)
      left.push(`switch ${owner} holds ${count} bundles, not ${BUNDLES_PER_SWITCH}`);
  }
  return left;
}

/** Every phone is registered still, and the state knows it. */
export async function lostRegistrations(world: World, crowd: Crowd, account: AccountId): Promise<string[]> {
  const lost = crowd.phones
    .filter((phone) => phone.registrations[0]?.registered !== true)
    .map((phone) => `phone ${phone.options.user} is no longer registered`);
  const state = world.cluster.open('a' as ZoneId, 'b' as ZoneId);
  const count = await countRegistrations(state, account, world.wallClock.utcMs());
  return count === crowd.phones.length
    ? lost
    : [...lost, `${count} registrations are known of ${crowd.phones.length} phones`];
}
