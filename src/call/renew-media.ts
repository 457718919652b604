import { newStreamId, type StreamId } from '../base/index.ts';
import {
  policyAfter422,
  type SipResponse,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
} from '../sip/index.ts';
import { CANCEL_WAIT_MS, dropStreams, endCall } from './end.ts';
import { isBusyWithOffers, retryDelayMs } from './glare.ts';
import type { ClientRequest, Leg } from './model.ts';
import { makeOffer, takeAnswer } from './negotiate-offer.ts';
import { peerAllows } from './peer.ts';
import { SESSION_POLICY } from './session.ts';
import { putStream } from './streams.ts';
import { showTalkState } from './talk-state.ts';
import { ownTerms } from './terms.ts';
import { isSdp, openInvite, sendAck, sendRequest } from './wire.ts';
import type { Work } from './work.ts';

/** Media processes are back within a second as a rule; a call without any waits so long before it is given up. */
const OPEN_AGAIN_MS = 1_000;
const MAX_OPENINGS = 30;
/** A phone that cannot take the offer just now is asked again. */
const OFFER_AGAIN_MS = 2_000;
const MAX_OFFERS = 4;

/** Nobody has these streams: each is opened again where it was, or, where its keys or its port forbid that, in another place. */
export function streamsLost(work: Work, streams: readonly StreamId[]): void {
  if (work.call.end !== undefined) return;
  for (const leg of work.call.legs) {
    if (leg.media.stream !== undefined && streams.includes(leg.media.stream)) putStream(work, leg);
  }
}

/**
 * The leg's stream is gone for good: both media processes died, or one lost it. Which SRTP indices were used died with it, so nothing is sent
 * under its keys any more (TR-MEDIA-09): a new stream takes its place, and the peer is offered its port and new keys.
 */
export function renewMedia(work: Work, leg: Leg): void {
  const { media } = leg;
  const lost = media.stream;
  if (lost === undefined) return;
  media.stream = newStreamId(work.ctx.random);
  media.renewal = { ready: false, tries: 0 };
  if (media.dtls !== undefined) media.association = (media.association ?? 0) + 1;
  for (const other of work.call.legs) if (other.media.source === lost) other.media.source = media.stream;
  // A process that nobody could reach may have it still.
  dropStreams(work, [lost]);
  putStream(work, leg);
}

/** ICE or DTLS failed for good: the peer is offered a new generation and a new handshake, for which media shows another certificate. */
export function renewTransport(work: Work, leg: Leg): void {
  const { media } = leg;
  media.association = (media.association ?? 0) + 1;
  media.renewal = { ready: false, tries: 0 };
  delete media.suite;
  putStream(work, leg);
}

/** The new stream has its port. */
export function placeFound(work: Work, leg: Leg): void {
  const { media } = leg;
  // What the peer never heard of it need not be told anew.
  if (media.agreed || media.local !== undefined) media.renewal = { ready: true, tries: 0 };
  else delete media.renewal;
  for (const other of work.call.legs) {
    if (other !== leg && media.stream !== undefined && other.media.source === media.stream)
      putStream(work, other);
  }
}

/** There was no port for it, or no media process at all. */
export function placeRefused(work: Work, leg: Leg, code: string): void {
  const tries = (leg.media.renewal?.tries ?? 0) + 1;
  if (tries >= MAX_OPENINGS) {
    giveUp(work, 503, code);
    return;
  }
  leg.media.renewal = { ready: false, tries, againAtMs: work.ctx.nowMs + OPEN_AGAIN_MS };
}

/** After every step: whatever kept an offer back may be over. */
export function runRenewals(work: Work): void {
  for (const leg of work.call.legs) {
    const { renewal } = leg.media;
    if (renewal === undefined || work.call.end !== undefined) continue;
    if (renewal.againAtMs !== undefined) {
      if (renewal.againAtMs > work.ctx.nowMs) continue;
      leg.media.renewal = { ready: renewal.ready, tries: renewal.tries };
      if (!renewal.ready) putStream(work, leg);
    }
    if (renewal.ready) offerNewPlace(work, leg);
  }
}

/** A re-INVITE, or in a dialog that is not confirmed an UPDATE if that may be (RFC 3311 §5.1); else the answer is waited for. */
function offerNewPlace(work: Work, leg: Leg): void {
  if (leg.lost !== undefined || leg.dialog === undefined || isBusyWithOffers(leg)) return;
  const method = leg.state === 'confirmed' ? 'INVITE' : mayUpdateEarly(leg) ? 'UPDATE' : undefined;
  if (method === undefined || (method === 'INVITE' && openInvite(leg) !== undefined)) return;
  const offer = makeOffer(work, leg, ownTerms(leg));
  if (!offer.ok) return;
  const sent = sendRequest(work, leg, {
    method,
    purpose: { kind: 'refresh', renews: true },
    headers:
      method === 'INVITE' && leg.sessionTimer !== undefined
        ? sessionTimerRequestHeaders(SESSION_POLICY, leg.sessionTimer)
        : [],
    body: offer.value,
    contentType: 'application/sdp',
  });
  if (!sent) {
    delete leg.media.offered;
    again(work, leg, OFFER_AGAIN_MS);
    return;
  }
  const client = leg.clients.at(-1);
  if (client !== undefined && method === 'INVITE') client.giveUpAtMs = work.ctx.nowMs + CANCEL_WAIT_MS;
}

/** Only once the INVITE's offer was answered reliably, and that was acknowledged, is an offer by UPDATE allowed in an early dialog. */
function mayUpdateEarly({ role, state, peer, media, reliableReceiver, reliableSender }: Leg): boolean {
  if (state !== 'ringing' || !peer.update || !media.agreed) return false;
  return role === 'callee'
    ? reliableReceiver !== undefined
    : reliableSender !== undefined && reliableSender.outstanding === undefined;
}

/** The peer's word on it; `response` undefined when it said nothing in time. */
export function mediaRenewed(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  response: SipResponse | undefined,
): void {
  const status = response?.status ?? 408;
  if (status < 200) return;
  if (status >= 300 || response === undefined) {
    delete leg.media.offered;
    if (isUp(leg) && work.call.end === undefined) refused(work, leg, client, status, response);
    return;
  }
  if (client.method === 'INVITE') sendAck(work, leg, client.cseq);
  if (!isUp(leg) || work.call.end !== undefined) return;
  leg.peer = peerAllows(leg.peer, response);
  if (leg.state === 'confirmed') {
    const timer = sessionTimerFromAnswer(response, work.ctx.nowMs, SESSION_POLICY);
    if (timer !== undefined) leg.sessionTimer = timer;
  }
  const taken = isSdp(response)
    ? takeAnswer(leg, response.body)
    : ({ ok: false, error: 'no_audio' } as const);
  delete leg.media.offered;
  if (!taken.ok) {
    giveUp(work, 488, taken.error);
    return;
  }
  if (leg.state !== 'confirmed') {
    leg.media.updatedEarly = true;
    delete leg.media.answeredEarly;
  }
  putStream(work, leg);
  showTalkState(work);
}

const isUp = ({ state }: Leg): boolean =>
  state === 'confirmed' || state === 'ringing' || state === 'answered';

function refused(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  status: number,
  response: SipResponse | undefined,
): void {
  const { ctx } = work;
  const isEarly = leg.state !== 'confirmed';
  if (status === 491) {
    again(work, leg, retryDelayMs(leg, ctx.random));
  } else if (client.method === 'UPDATE') {
    // There will be an INVITE's answer, and a re-INVITE after it.
    leg.peer = { ...leg.peer, update: false };
  } else if (status === 481 || status === 408 || status === 487) {
    // RFC 3261 §12.2.1.2; 487: our own CANCEL to a re-INVITE that nobody answered.
    const reason = status === 481 ? 'one end no longer knew the call' : 'one end no longer answered';
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason });
  } else if (status === 422 && response !== undefined && leg.sessionTimer !== undefined) {
    const policy = policyAfter422(response, { ...SESSION_POLICY, intervalSec: leg.sessionTimer.intervalSec });
    if (policy !== undefined) leg.sessionTimer = { ...leg.sessionTimer, intervalSec: policy.intervalSec };
    tryAgain(work, leg, status, 0);
  } else if (status === 480 || status === 500 || status === 503 || status === 504) {
    tryAgain(work, leg, status, OFFER_AGAIN_MS);
  } else if (!isEarly) giveUp(work, status, `${status} ${response?.reason ?? ''}`.trim().slice(0, 64));
}

function tryAgain(work: Work, leg: Leg, status: number, delayMs: number): void {
  const tries = (leg.media.renewal?.tries ?? 0) + 1;
  if (tries >= MAX_OFFERS) giveUp(work, status, `${status} to every offer`);
  else if (leg.media.renewal !== undefined) {
    leg.media.renewal = { ...leg.media.renewal, tries };
    again(work, leg, delayMs);
  }
}

function again(work: Work, leg: Leg, delayMs: number): void {
  if (leg.media.renewal !== undefined)
    leg.media.renewal = { ...leg.media.renewal, againAtMs: work.ctx.nowMs + delayMs };
}

/** Without media the session that a refusal leaves as it was (RFC 3261 §14.1) is silence for ever. */
function giveUp(work: Work, status: number, why: string): void {
  const reason = `its audio was lost and could not be set up anew: ${why}`;
  endCall(work, {
    outcome: work.call.answeredUtcMs === undefined ? 'failed' : 'answered',
    status: work.call.answeredUtcMs === undefined ? 503 : 200,
    by: 'system',
    reason,
    headers: [{ name: 'Reason', value: `SIP;cause=${status};text="audio could not be renewed"` }],
  });
}
