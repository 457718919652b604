import {
  policyAfter422,
  refreshSent,
  type SipHeader,
  type SipResponse,
  sessionTimerDue,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
} from '../sip/index.ts';
import { CANCEL_WAIT_MS, endCall } from './end.ts';
import { isBusyWithOffers, retryDelayMs } from './glare.ts';
import type { ClientRequest, Leg } from './model.ts';
import { makeOffer, takeAnswer } from './negotiate-offer.ts';
import { SESSION_POLICY } from './session.ts';
import { putStream } from './streams.ts';
import { ownTerms } from './terms.ts';
import { isSdp, sendAck, sendRequest } from './wire.ts';
import type { Work } from './work.ts';

/** While another exchange is open the refresh waits this long. */
const BUSY_DELAY_MS = 2_000;

/** Runs a leg's session timer (RFC 4028 §10). */
export function runSessionTimer(work: Work, leg: Leg): void {
  const { nowMs } = work.ctx;
  if (leg.state !== 'confirmed' || leg.sessionTimer === undefined) return;
  const due = sessionTimerDue(leg.sessionTimer, nowMs);
  if (due === 'expired') {
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason: 'the session timer ran out' });
    return;
  }
  const again = leg.refreshAgainAtMs !== undefined && leg.refreshAgainAtMs <= nowMs;
  if (due === 'refresh' || again) refresh(work, leg);
}

/** UPDATE where the peer allows it, for it changes nothing; else a re-INVITE that says again what is agreed. */
function refresh(work: Work, leg: Leg): void {
  if (leg.sessionTimer === undefined) return;
  const current = leg.sessionTimer;
  leg.sessionTimer = refreshSent(current);
  delete leg.refreshAgainAtMs;
  if (isBusyWithOffers(leg)) {
    leg.refreshAgainAtMs = work.ctx.nowMs + BUSY_DELAY_MS;
    return;
  }
  sayWhatIsAgreed(work, leg, sessionTimerRequestHeaders(SESSION_POLICY, current));
}

/** The phone has moved to another edge: a target refresh tells it where we are now (RFC 3261 §12.2). */
export function runNewContact(work: Work, leg: Leg): void {
  const { nowMs } = work.ctx;
  if (leg.newContactAtMs === undefined || leg.newContactAtMs > nowMs) return;
  if (leg.state !== 'confirmed' || work.call.end !== undefined) return;
  delete leg.newContactAtMs;
  if (isBusyWithOffers(leg)) leg.newContactAtMs = nowMs + BUSY_DELAY_MS;
  else {
    const { sessionTimer } = leg;
    sayWhatIsAgreed(
      work,
      leg,
      sessionTimer === undefined ? [] : sessionTimerRequestHeaders(SESSION_POLICY, sessionTimer),
    );
  }
}

function sayWhatIsAgreed(work: Work, leg: Leg, headers: readonly SipHeader[]): void {
  const purpose = { kind: 'refresh' } as const;
  if (leg.peer.update) {
    sendRequest(work, leg, { method: 'UPDATE', purpose, headers });
    return;
  }
  const offer = makeOffer(work, leg, ownTerms(leg));
  if (!offer.ok) return;
  const body = offer.value;
  if (sendRequest(work, leg, { method: 'INVITE', purpose, headers, body, contentType: 'application/sdp' })) {
    const client = leg.clients.at(-1);
    if (client !== undefined) client.giveUpAtMs = work.ctx.nowMs + CANCEL_WAIT_MS;
  }
}

/** The peer's word on our refresh; `response` undefined when it said nothing in time. */
export function refreshed(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  response: SipResponse | undefined,
): void {
  const status = response?.status ?? 408;
  if (status < 200) return;
  const { ctx } = work;
  if (status < 300 && response !== undefined) {
    if (client.method === 'INVITE') sendAck(work, leg, client.cseq);
    if (leg.state !== 'confirmed') return;
    if (client.method === 'INVITE' && isSdp(response) && takeAnswer(leg, response.body).ok)
      putStream(work, leg);
    delete leg.media.offered;
    const timer = sessionTimerFromAnswer(response, ctx.nowMs, SESSION_POLICY);
    if (timer !== undefined) leg.sessionTimer = timer;
    return;
  }
  if (client.method === 'INVITE') delete leg.media.offered;
  if (leg.state !== 'confirmed' || leg.sessionTimer === undefined) return;
  if (status === 481 || status === 408) {
    const reason = status === 481 ? 'one end no longer knew the call' : 'one end no longer answered';
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason });
  } else if (status === 491) {
    leg.refreshAgainAtMs = ctx.nowMs + retryDelayMs(leg, ctx.random);
  } else if ((status === 405 || status === 501) && client.method === 'UPDATE') {
    leg.peer = { ...leg.peer, update: false };
    leg.refreshAgainAtMs = ctx.nowMs;
  } else if (status === 422 && response !== undefined) {
    const policy = policyAfter422(response, { ...SESSION_POLICY, intervalSec: leg.sessionTimer.intervalSec });
    if (policy !== undefined && policy.intervalSec > leg.sessionTimer.intervalSec) {
      leg.sessionTimer = { ...leg.sessionTimer, intervalSec: policy.intervalSec };
      leg.refreshAgainAtMs = ctx.nowMs;
    }
  }
}
