import { type LegId, randomText } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import {
  escapeUser,
  fromUtf8,
  type SipHeader,
  serializeNameAddr,
  sessionTimerRequestHeaders,
} from '../sip/index.ts';
import { cancelLeg, closeStreamOf, finishLeg } from './end.ts';
import { ringable } from './end-to-end.ts';
import { newSessionId, newTag, supportedOn } from './headers.ts';
import { mediaCan } from './media-can.ts';
import type { Leg, MediaPolicy, TrunkEnd, TrunkWay } from './model.ts';
import { familyOf, newMedia, readOffer } from './negotiate.ts';
import { makeOffer, offersSecureProfile } from './negotiate-offer.ts';
import { outcomeOf } from './record.ts';
import { indexOf, mediaPolicyOf } from './route.ts';
import { SESSION_POLICY } from './session.ts';
import { putStream } from './streams.ts';
import { agreedTerms } from './terms.ts';
import { ringingFailed } from './transferring.ts';
import { TRUNK_POLICY, trunkDevice, trunkHeaders } from './trunk.ts';
import { isEndToEndRefusal, warningOf } from './warning.ts';
import { newIce, offersWebrtc } from './webrtc.ts';
import { openClientInvite, sendFirstInvite } from './wire.ts';
import { callerLeg, liveCallees, type Work } from './work.ts';

/** One user's phones that ring for one call; more bindings than this are a mistake or an attack. */
const MAX_DEVICES = 10;
/** In order each device gets its share of the waiting time, but time enough to reach for it. */
const MIN_SHARE_SEC = 5;
/** PH-CALL-07. */
const MAX_WAIT_SEC = { least: 5, most: 60 };

/** The callee's devices are known: all ring at once, or the first one (PH-CALL-07). None: another data centre is asked, else 480. */
export function ringDevices(
  work: Work,
  bindings: readonly Binding[],
  elsewhere: readonly TrunkWay[] = [],
): void {
  const { call, ctx } = work;
  const caller = callerLeg(call);
  const registered = bindings
    .filter((binding) => binding.expiresUtcMs > ctx.utcMs)
    // Who calls an own number rings the other devices, not the one in the hand.
    .filter((binding) => binding.userId !== caller.user || !isPhoneOf(caller, binding, bindings))
    .sort((a, b) => b.q - a.q || b.registeredUtcMs - a.registeredUtcMs)
    .filter(isFirstOfPhone);
  const { bindings: able, refusal } = ringable(work, registered);
  const reachable = able.slice(0, MAX_DEVICES);
  // A loop ends here: what came from another data centre goes to no other.
  const ways = caller.trunk === undefined ? elsewhere : [];
  if (refusal !== undefined) {
    const answerHeaders = [warningOf(work, refusal)];
    ringingFailed(work, { outcome: 'failed', status: 488, by: 'system', reason: refusal, answerHeaders });
    return;
  }
  if (reachable.length === 0 && ways.length === 0) {
    ringingFailed(work, {
      outcome: 'unreachable',
      status: 480,
      by: 'system',
      reason: 'no device is registered',
    });
    return;
  }
  call.state = 'calling';
  const waitSec = Math.min(Math.max(call.target?.maxWaitSec ?? 30, MAX_WAIT_SEC.least), MAX_WAIT_SEC.most);
  call.ringUntilMs = ctx.nowMs + waitSec * 1000;
  if (reachable.length === 0) {
    call.ways = ways;
    ringElsewhere(work);
  } else if (call.target?.inOrder === true) {
    call.queue = reachable;
    ringNext(work);
  } else {
    for (const binding of reachable) addDevice(work, binding);
  }
}

const isPhoneOf = ({ flow }: Leg, binding: Binding, all: readonly Binding[]): boolean => {
  if (binding.flow.id === flow.id) return true;
  const own = all.find((one) => one.flow.id === flow.id);
  return binding.instanceId !== undefined && binding.instanceId === own?.instanceId;
};

/** RFC 5626 §5.3: of several flows of one phone only one is asked at a time, else it would ring twice for one call. */
const isFirstOfPhone = (binding: Binding, at: number, sorted: readonly Binding[]): boolean =>
  binding.instanceId === undefined ||
  sorted.findIndex(
    ({ deviceId, instanceId }) => deviceId === binding.deviceId && instanceId === binding.instanceId,
  ) === at;

/** The next device of the order. False when there is none. */
function ringNext(work: Work): boolean {
  const { call, ctx } = work;
  const [binding, ...rest] = call.queue;
  if (binding === undefined) return false;
  call.queue = rest;
  const leg = addDevice(work, binding);
  const remainingMs = (call.ringUntilMs ?? ctx.nowMs) - ctx.nowMs;
  leg.ringUntilMs = ctx.nowMs + Math.max(remainingMs / (rest.length + 1), MIN_SHARE_SEC * 1000);
  return true;
}

/**
 * A phone that said 488 is asked once more, in other words, beside its first leg, which is over. Phones that demand SRTP may take
 * RTP/SAVP alone (baresip with `srtp-mand`): to keys under RTP/AVP, which those without SRTP need to see (PH-SEC-05), they say 488. So
 * does a phone that looks like a browser and is none to an offer of DTLS, and a browser that does not look like one to any other.
 */
export function askAgain(work: Work, refused: Leg): void {
  const { mediaPolicy, media, target } = refused;
  const policy = otherOffer(refused);
  if (policy === undefined || media.firstOffer === undefined || target === undefined) return;
  const device = { userId: refused.user, deviceId: refused.device, flow: refused.flow, ...target };
  const leg = addDevice(
    work,
    {
      ...device,
      ...(refused.instanceId === undefined ? {} : { instanceId: refused.instanceId }),
      ...(refused.peer.endToEnd === undefined ? {} : { endToEnd: true }),
    },
    { ...mediaPolicy, ...policy },
  );
  if (refused.ringUntilMs !== undefined) leg.ringUntilMs = refused.ringUntilMs;
}

function otherOffer({ mediaPolicy, media, flow }: Leg): Partial<MediaPolicy> | undefined {
  const { tlsId, crypto = [] } = media.firstOffer ?? {};
  const isFirst = mediaPolicy.webrtc === undefined;
  if (tlsId !== undefined) return isFirst ? { webrtc: false } : undefined;
  if (crypto.length > 0 && !offersSecureProfile(mediaPolicy)) return { encryptionRequired: true };
  return isFirst && (flow.transport === 'ws' || flow.transport === 'wss') ? { webrtc: true } : undefined;
}

/** The same phone once more: the flow that it was asked over turned out to be dead before it (430). */
export function ringOverOtherFlow(work: Work, before: Leg, binding: Binding): void {
  const leg = addDevice(work, binding, before.mediaPolicy);
  if (before.ringUntilMs !== undefined) leg.ringUntilMs = before.ringUntilMs;
  // What was found dead stays known, else two dead flows would be asked in turn.
  if (before.leftFlows !== undefined) leg.leftFlows = before.leftFlows;
  closeStreamOf(work, before);
}

/** Asks the next data centre. False when there is none. */
function ringElsewhere(work: Work): boolean {
  const { call, ctx } = work;
  const [way, ...rest] = call.ways ?? [];
  if (way === undefined || call.target === undefined) return false;
  const { dataCentre, region, flow } = way;
  const lock = ctx.snapshot.regionLock;
  call.ways = rest;
  const extension = escapeUser(fromUtf8(call.target.extension));
  addDevice(
    work,
    {
      userId: call.target.user,
      deviceId: trunkDevice(dataCentre),
      flow,
      contact: `sip:${extension}@${ctx.snapshot.domains[0] ?? 'invalid'}`,
      path: [],
    },
    TRUNK_POLICY,
    { dataCentre, ...(lock === undefined || lock === region ? {} : { leftRegion: region ?? '' }) },
  );
  return true;
}

/** Whether a data centre that said so may not have been the right one, or was not to be had. */
const mayBeElsewhere = (status: number): boolean =>
  status === 404 || status === 408 || status === 480 || (status >= 500 && status < 600);

type Device = Pick<Binding, 'userId' | 'deviceId' | 'flow' | 'instanceId' | 'contact' | 'path' | 'endToEnd'>;

function addDevice(work: Work, binding: Device, policy?: MediaPolicy, trunk?: TrunkEnd): Leg {
  const { call, ctx } = work;
  call.legsMade++;
  const device = indexOf(ctx.snapshot).deviceById(binding.deviceId);
  const user = indexOf(ctx.snapshot).userById(binding.userId);
  const leg: Leg = {
    id: `b${call.legsMade}` as LegId,
    role: 'callee',
    user: binding.userId,
    device: binding.deviceId,
    mediaPolicy:
      policy ?? mediaPolicyOf(ctx.snapshot, user?.siteId ?? '', device?.mediaProfile ?? 'desk-128'),
    flow: binding.flow,
    ...(binding.instanceId === undefined ? {} : { instanceId: binding.instanceId }),
    ...(trunk === undefined ? {} : { trunk }),
    state: 'new',
    sipCallId: randomText(ctx.random, 26),
    localTag: newTag(work),
    remoteTag: '',
    target: { contact: binding.contact, path: binding.path },
    sessionId: newSessionId(ctx.random),
    clients: [],
    servers: [],
    peer: { update: false, timer: false, ...(binding.endToEnd === true ? { endToEnd: true } : {}) },
    media: newMedia(work, familyOf(binding.flow.remote.address)),
  };
  if (offersWebrtc(leg) && mediaCan(work, 'ice')) leg.media.ice = newIce(work);
  call.legs.push(leg);
  putStream(work, leg);
  return leg;
}

/** Sends the INVITEs that waited for a media port. */
export function inviteReadyDevices(work: Work): void {
  const { call } = work;
  if (callerLeg(call).media.opened === undefined) return;
  for (const leg of call.legs) {
    if (leg.role === 'callee' && leg.state === 'new' && leg.media.opened !== undefined) invite(work, leg);
  }
}

function invite(work: Work, leg: Leg): void {
  const { call, ctx } = work;
  const offer = offerTo(work, leg);
  if (offer !== undefined && !offer.ok) {
    deviceFailed(work, leg, 488, offer.error);
    return;
  }
  const domain = ctx.snapshot.domains[0] ?? 'invalid';
  const address = (extension: string, display: string): string =>
    serializeNameAddr({
      displayName: fromUtf8(display),
      uri: `sip:${escapeUser(fromUtf8(extension))}@${domain}`,
      params: {},
    });
  const target = call.target ?? call.caller;
  const shown = call.presented ?? call.caller;
  // Without an offer of ours a reliable 1xx would bring one, to be answered in PRACK before the caller could.
  const options = supportedOn(leg);
  const supported = offer === undefined ? options.filter((option) => option !== '100rel') : options;
  const headers: SipHeader[] = [
    ...(leg.target?.path ?? []).map((value) => ({ name: 'Route', value })),
    { name: 'Max-Forwards', value: String(call.maxForwards) },
    { name: 'From', value: `${address(shown.extension, shown.display)};tag=${leg.localTag}` },
    { name: 'To', value: address(target.extension, target.display) },
    { name: 'Call-ID', value: leg.sipCallId },
    { name: 'CSeq', value: '1 INVITE' },
    { name: 'Supported', value: supported.join(', ') },
    ...sessionTimerRequestHeaders(SESSION_POLICY),
    ...call.carried,
    ...(leg.trunk === undefined ? [] : trunkHeaders(call, domain)),
  ];
  leg.state = 'calling';
  sendFirstInvite(work, leg, { uri: leg.target?.contact ?? '', headers, body: offer?.value ?? '' });
}

/** The caller's offer in the callee's words; undefined when the caller made none (RFC 3261 §13.2.1). */
function offerTo(work: Work, leg: Leg): ReturnType<typeof makeOffer> | undefined {
  const caller = callerLeg(work.call);
  // A device that rings after another has given early media is offered only what the caller was told.
  if (caller.media.agreed) {
    return makeOffer(work, leg, { ...agreedTerms(caller), direction: 'sendrecv' });
  }
  if (caller.media.unanswered === undefined) return undefined;
  const offer = readOffer(caller, caller.media.unanswered);
  return offer.ok ? makeOffer(work, leg, offer.value) : offer;
}

/** A device is out: refused, unreachable, or its time is over. The best of all answers ends the call (RFC 3261 §16.7). */
export function deviceFailed(work: Work, leg: Leg, status: number, reason: string): void {
  const { call } = work;
  const asksOn = leg.trunk !== undefined && leg.state !== 'ringing' && mayBeElsewhere(status);
  // One that cannot be reached still has its INVITE under way, to be cancelled if the phone comes back.
  if (openClientInvite(leg) !== undefined && leg.state !== 'ending') cancelLeg(work, leg);
  else if (leg.state !== 'ending') finishLeg(leg);
  const caller = callerLeg(call);
  const wasHeard = leg.media.stream !== undefined && caller.media.source === leg.media.stream;
  closeStreamOf(work, leg);
  if (call.end !== undefined) return;
  if (wasHeard) {
    delete caller.media.source;
    putStream(work, caller);
  }
  leg.failure = { status, reason };
  if (asksOn && ringElsewhere(work)) return;
  // A 6xx speaks for the person, not for the device.
  const final = status >= 600 || (liveCallees(call).length === 0 && !ringNext(work));
  if (final) refuse(work);
}

/** The device's own waiting time is over, another may be next. */
export function deviceTimedOut(work: Work, leg: Leg): void {
  cancelLeg(work, leg);
  deviceFailed(work, leg, 480, 'no answer');
}

/** PH-CALL-09. */
export function nobodyAnswered(work: Work): void {
  ringingFailed(work, { outcome: 'no-answer', status: 480, by: 'system', reason: 'nobody answered in time' });
}

function refuse(work: Work): void {
  const failures = work.call.legs.flatMap((leg) => (leg.failure === undefined ? [] : [leg.failure]));
  const best = bestOf(failures);
  const outcome = outcomeOf(best.status);
  const status = toldToCaller(best.status);
  ringingFailed(work, {
    outcome,
    status,
    by: outcome === 'busy' || outcome === 'declined' ? 'callee' : 'system',
    ...(best.reason === '' ? {} : { reason: best.reason }),
    ...(status === 503 ? { answerHeaders: [{ name: 'Retry-After', value: '5' }] } : {}),
    ...(status === 488 && isEndToEndRefusal(best.reason)
      ? { answerHeaders: [warningOf(work, best.reason)] }
      : {}),
  });
}

/** What the caller learns of several failures: a person's answer before a device's, and nothing that only concerns us. */
function bestOf(failures: readonly NonNullable<Leg['failure']>[]): NonNullable<Leg['failure']> {
  const rank = ({ status }: { readonly status: number }): number => {
    if (status >= 600) return 0;
    if (status === 486) return 1;
    if (status === 480 || status === 408) return 2;
    if (status === 488) return 3;
    return status < 500 ? 4 : 5;
  };
  return [...failures].sort((a, b) => rank(a) - rank(b))[0] ?? { status: 480, reason: '' };
}

/** A redirection, a challenge, a device's own mistake: to the caller the callee was not to be had. */
function toldToCaller(status: number): number {
  if (status >= 600 || status === 486 || status === 488 || status === 503) return status;
  if (status === 415 || status === 606) return 488;
  return status >= 500 ? 500 : 480;
}
