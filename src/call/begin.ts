import { type LegId, newStreamId } from '../base/index.ts';
import {
  answerSessionTimer,
  callIdOf,
  cseqOf,
  dialogFromRequest,
  EMERGENCY_NUMBERS,
  fromOf,
  headerValues,
  isEmergencyUri,
  numberOf,
  outboundOf,
  parseNameAddr,
  type SipRequest,
  tagOf,
  tokensOf,
} from '../sip/index.ts';
import { endCall } from './end.ts';
import { ask } from './flow.ts';
import { carriedHeaders, newSessionId, newTag, sessionIdOf, UNDERSTOOD } from './headers.ts';
import { mediaCan } from './media-can.ts';
import { CALL_SCHEMA_VERSION, type Call, type Leg } from './model.ts';
import { familyOf, newMedia, readOffer } from './negotiate.ts';
import { peerAllows } from './peer.ts';
import { calledUser, dialledOf, indexOf, mediaPolicyOf, partyOf } from './route.ts';
import { SESSION_POLICY } from './session.ts';
import { putStream } from './streams.ts';
import { isMarkedEmergency, TRUNK_POLICY } from './trunk.ts';
import type { CallContext, NewCall } from './types.ts';
import { warningOf } from './warning.ts';
import { admit, answerRequest, isSdp } from './wire.ts';
import type { Work } from './work.ts';

const DEFAULT_MAX_FORWARDS = 70;
/** A registration is looked up in milliseconds; without it the caller should not hear silence for long. */
const LOOKUP_WAIT_MS = 10_000;

/** The caller's INVITE: refused at once for what is wrong in itself, else 100, a stream, and the search for the callee's devices. */
export function begin(newCall: NewCall, ctx: CallContext): Work {
  const { invite, flow, caller } = newCall;
  const work: Work = { call: callFor(newCall, ctx), ctx, commands: [] };
  const { call } = work;
  const leg = callerLegFor(work, newCall);
  call.legs.push(leg);
  const server = admit(leg, invite, flow, cseqOf(invite)?.seq ?? 0);
  if (server === undefined) return work;
  const dialog = dialogFromRequest(invite, leg.localTag, 'early');
  if (!dialog.ok) return refuse(work, 400, `the INVITE is unusable: ${dialog.error}`);
  leg.dialog = dialog.value;
  const unknown = tokensOf(invite, 'Require').filter((option) => !UNDERSTOOD.has(option.toLowerCase()));
  if (unknown.length > 0) {
    return refuse(
      work,
      420,
      'an extension is required that is not supported',
      'Unsupported',
      unknown.join(', '),
    );
  }
  // RFC 3261 §16.3: a loop ends here, for our own leg counts on (§16.6).
  if ((numberOf(invite, 'Max-Forwards') ?? DEFAULT_MAX_FORWARDS) === 0)
    return refuse(work, 483, 'too many hops');
  if (invite.body !== '' && !isSdp(invite)) {
    return refuse(work, 415, 'the body is not SDP', 'Accept', 'application/sdp');
  }
  const session = answerSessionTimer(invite, SESSION_POLICY, ctx.nowMs);
  if (session.type === 'too-small') {
    return refuse(work, 422, 'the session interval is too small', 'Min-SE', String(session.minSec));
  }
  if (isSdp(invite)) {
    const offer = readOffer(leg, invite.body);
    if (!offer.ok) {
      const { name, value } = warningOf(work, offer.error);
      return refuse(work, 488, offer.error, name, value);
    }
    if (offer.value.protection.kind === 'dtls' && !mediaCan(work, 'dtls')) {
      const { name, value } = warningOf(work, 'dtls');
      return refuse(work, 488, 'media has no DTLS', name, value);
    }
    leg.media.unanswered = invite.body;
    // With ICE the signalling's own family reaches the phone, and what `c=` says means little (RFC 8839 §4.2.5.3).
    if (offer.value.audio.ice === undefined) leg.media = { ...leg.media, family: offer.value.audio.family };
  }
  const callee =
    newCall.from === undefined
      ? calledUser(ctx.snapshot, caller, call.dialled)
      : indexOf(ctx.snapshot).userById(newCall.from.callee);
  if (callee === undefined) return refuse(work, 404, 'nobody has that number');
  call.target = {
    ...partyOf(callee),
    inOrder: callee.ring.mode === 'in-order',
    maxWaitSec: callee.ring.maxWaitSec,
  };
  answerRequest(work, leg, server, 100);
  leg.media.stream = newStreamId(ctx.random);
  putStream(work, leg);
  call.ringUntilMs = ctx.nowMs + LOOKUP_WAIT_MS;
  ask(work, { why: 'ring', user: callee.id });
  return work;
}

function refuse(work: Work, status: number, reason: string, headerName?: string, headerValue = ''): Work {
  endCall(work, {
    outcome: 'failed',
    status,
    by: 'system',
    reason,
    ...(headerName === undefined ? {} : { answerHeaders: [{ name: headerName, value: headerValue }] }),
  });
  return work;
}

/** Its stream comes only once the INVITE has turned out to be worth one. */
function callerLegFor(work: Work, { invite, flow, caller, callerDevice, from }: NewCall): Leg {
  const { stream: _, ...media } = newMedia(work, familyOf(flow.remote.address));
  return {
    id: 'a' as LegId,
    role: 'caller',
    user: caller.id,
    device: callerDevice.id,
    mediaPolicy:
      from === undefined
        ? mediaPolicyOf(work.ctx.snapshot, caller.siteId, callerDevice.mediaProfile)
        : TRUNK_POLICY,
    flow,
    ...(from === undefined ? instanceOf(invite) : { trunk: { dataCentre: from.dataCentre } }),
    state: 'calling',
    sipCallId: callIdOf(invite) ?? '',
    localTag: newTag(work),
    remoteTag: tagOf(fromOf(invite)) ?? '',
    inviteCseq: cseqOf(invite)?.seq ?? 0,
    sessionId: work.call.sessionId,
    clients: [],
    servers: [],
    peer: peerAllows({ update: false, timer: false }, invite),
    media,
  };
}

/** Phones that keep several flows name their instance in the Contact as a rule (RFC 5626 §4.1); others are known by their registration. */
function instanceOf(invite: SipRequest): { instanceId?: string } {
  const [contact] = headerValues(invite, 'Contact');
  if (contact?.includes('+sip.instance') !== true) return {};
  const { instanceId } = outboundOf(parseNameAddr(contact)?.params ?? {});
  return instanceId === undefined ? {} : { instanceId };
}

/** Over a trunk it has become another number, and a header says so. */
const isEmergency = (invite: SipRequest, overTrunk: boolean): boolean =>
  overTrunk ? isMarkedEmergency(invite) : isEmergencyUri(invite.uri, EMERGENCY);
const EMERGENCY: ReadonlySet<string> = new Set(EMERGENCY_NUMBERS);

function callFor({ id, invite, caller, from }: NewCall, ctx: CallContext): Call {
  return {
    v: CALL_SCHEMA_VERSION,
    id,
    account: ctx.snapshot.account,
    snapshotNumber: ctx.snapshot.number,
    createdUtcMs: ctx.utcMs,
    state: 'routing',
    caller: partyOf(caller),
    dialled: dialledOf(invite.uri) ?? '',
    sessionId: sessionIdOf(invite) ?? newSessionId(ctx.random),
    legs: [],
    legsMade: 0,
    carried: carriedHeaders(invite),
    maxForwards: Math.min(numberOf(invite, 'Max-Forwards') ?? DEFAULT_MAX_FORWARDS, 255) - 1,
    ...(from === undefined ? {} : { origin: { dataCentre: from.dataCentre, call: from.call } }),
    ...(isEmergency(invite, from !== undefined) ? { emergency: true as const } : {}),
    queue: [],
    lookups: [],
    reports: [],
    adoptions: 0,
    appliedCommandIds: [],
  };
}
