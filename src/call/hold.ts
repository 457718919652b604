import {
  answerSessionTimer,
  type SipHeader,
  type SipRequest,
  type SipResponse,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
} from '../sip/index.ts';
import { answerInvite } from './answer.ts';
import { CANCEL_WAIT_MS, cancelInvite, endCall } from './end.ts';
import { isLeftUnanswered, refusedChange, withoutRefused } from './end-to-end.ts';
import { collision } from './glare.ts';
import { heldTerms } from './hold-music.ts';
import type { ClientRequest, Leg, ServerRequest } from './model.ts';
import { readOffer } from './negotiate.ts';
import { giveAnswer } from './negotiate-answer.ts';
import { makeOffer, takeAnswer } from './negotiate-offer.ts';
import { peerAllows } from './peer.ts';
import { SESSION_POLICY } from './session.ts';
import { connectStreams, putStream } from './streams.ts';
import { showTalkState } from './talk-state.ts';
import { changesNothing, standingTerms, type Terms } from './terms.ts';
import { refusalBehind, warningOf } from './warning.ts';
import { answerRequest, isSdp, sendAck, sendRequest } from './wire.ts';
import { peerOf, type Work } from './work.ts';

/**
 * A re-INVITE or UPDATE: hold, resume, another codec, a new address, a session refresh. What changes nothing for the other end is
 * answered here; the rest goes through to it, described anew for its leg, and its answer comes back.
 */
export function renegotiate(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  const { call, ctx } = work;
  const other = peerOf(call, leg);
  leg.peer = peerAllows(leg.peer, request);
  if (request.body !== '' && !isSdp(request)) {
    answerRequest(work, leg, server, 415, { headers: [{ name: 'Accept', value: 'application/sdp' }] });
    return;
  }
  const session = answerSessionTimer(request, SESSION_POLICY, ctx.nowMs);
  if (session.type === 'too-small') {
    answerRequest(work, leg, server, 422, { headers: [{ name: 'Min-SE', value: String(session.minSec) }] });
    return;
  }
  if (request.method === 'UPDATE' && !isSdp(request)) {
    if (session.timer !== undefined) leg.sessionTimer = session.timer;
    answerRequest(work, leg, server, 200, { headers: session.headers });
    return;
  }
  const clash = collision(leg, other, server, ctx.random);
  if (clash !== undefined) {
    answerRequest(work, leg, server, clash.status, clash);
    return;
  }
  if (!isSdp(request)) {
    passOn(work, leg, server, other, undefined);
    return;
  }
  const offer = readOffer(leg, request.body);
  if (!offer.ok) {
    answerRequest(work, leg, server, 488, { headers: [warningOf(work, offer.error)] });
    return;
  }
  const refusal = other && refusedChange(work, leg, other, offer.value);
  if (refusal !== undefined) {
    answerRequest(work, leg, server, 488, { headers: [warningOf(work, refusal)] });
    return;
  }
  leg.media.unanswered = request.body;
  if (changesNothing(leg, offer.value)) {
    answerHere(work, leg, server, session.headers);
    return;
  }
  passOn(work, leg, server, other, heldTerms(work, leg, other, offer.value));
}

/** What is agreed stays; only this leg's address, keys or session timer are renewed. */
function answerHere(work: Work, leg: Leg, server: ServerRequest, headers: readonly SipHeader[]): void {
  answerOffer(work, leg, server, standingTerms(leg), headers);
}

/** Answers the offer in a request of the leg's peer; 488 if it cannot be. */
function answerOffer(
  work: Work,
  leg: Leg,
  server: ServerRequest,
  terms: Terms,
  headers: readonly SipHeader[],
): void {
  const answer =
    leg.media.unanswered === undefined
      ? ({ ok: false, error: 'no_audio' } as const)
      : giveAnswer(work, leg, leg.media.unanswered, terms);
  delete leg.media.unanswered;
  if (!answer.ok) {
    answerRequest(work, leg, server, 488, { headers: [warningOf(work, answer.error)] });
    return;
  }
  putStream(work, leg);
  accept(work, leg, server, answer.value, headers);
}

function accept(
  work: Work,
  leg: Leg,
  server: ServerRequest,
  body: string,
  headers: readonly SipHeader[],
): void {
  const session =
    server.request === undefined
      ? undefined
      : answerSessionTimer(server.request, SESSION_POLICY, work.ctx.nowMs);
  if (session?.type === 'accept' && session.timer !== undefined) leg.sessionTimer = session.timer;
  if (server.method === 'INVITE') answerInvite(work, leg, server, body, headers);
  else answerRequest(work, leg, server, 200, { headers, body });
}

/** Asks the other end. Without an offer its 2xx brings one, and the ACK the answer. */
function passOn(
  work: Work,
  leg: Leg,
  server: ServerRequest,
  other: Leg | undefined,
  terms: Terms | undefined,
): void {
  const method = server.method === 'UPDATE' && other?.peer.update ? 'UPDATE' : 'INVITE';
  const ready =
    other?.dialog !== undefined &&
    other.media.agreed &&
    (other.state === 'confirmed' || (other.state === 'ringing' && method === 'UPDATE'));
  if (!ready) {
    delete leg.media.unanswered;
    answerRequest(work, leg, server, 500, { headers: [{ name: 'Retry-After', value: '2' }] });
    return;
  }
  const offer = terms === undefined ? undefined : makeOffer(work, other, terms);
  if (offer !== undefined && !offer.ok) {
    delete leg.media.unanswered;
    answerRequest(work, leg, server, 488, { headers: [warningOf(work, offer.error)] });
    return;
  }
  const sent = sendRequest(work, other, {
    method,
    purpose: { kind: 'relay', server: server.tx.key },
    headers: sessionTimerRequestHeaders(SESSION_POLICY, other.sessionTimer),
    ...(offer === undefined ? {} : { body: offer.value, contentType: 'application/sdp' }),
  });
  if (!sent) {
    delete leg.media.unanswered;
    delete other.media.offered;
    answerRequest(work, leg, server, 503);
    return;
  }
  const client = other.clients.at(-1);
  if (client !== undefined && method === 'INVITE') client.giveUpAtMs = work.ctx.nowMs + CANCEL_WAIT_MS;
}

/** What the other end said to it; `response` undefined when it said nothing in time. */
export function renegotiated(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  asking: Leg | undefined,
  server: ServerRequest | undefined,
  response: SipResponse | undefined,
): void {
  const status = response?.status ?? 408;
  if (status < 200) {
    if (leg.cancelWanted) cancelInvite(work, leg, client);
    return;
  }
  delete leg.cancelWanted;
  if (status >= 300 || response === undefined) {
    refused(work, leg, asking, server, status, response);
    return;
  }
  leg.peer = peerAllows(leg.peer, response);
  const timer = sessionTimerFromAnswer(response, work.ctx.nowMs, SESSION_POLICY);
  if (timer !== undefined && leg.state === 'confirmed') leg.sessionTimer = timer;
  const weOffered = leg.media.offered !== undefined;
  if (weOffered || leg.state !== 'confirmed') {
    if (client.method === 'INVITE') sendAck(work, leg, client.cseq);
    if (leg.state !== 'confirmed' && leg.state !== 'ringing') return;
  }
  if (asking === undefined || server?.request === undefined) {
    delete leg.media.offered;
    if (!weOffered && client.method === 'INVITE') sendAck(work, leg, client.cseq);
    return;
  }
  if (weOffered) answered(work, leg, asking, server, response);
  else offered(work, leg, client, asking, server, response);
}

function answered(work: Work, leg: Leg, asking: Leg, server: ServerRequest, response: SipResponse): void {
  const terms = isSdp(response)
    ? takeAnswer(leg, response.body)
    : ({ ok: false, error: 'no_audio' } as const);
  delete leg.media.offered;
  if (!terms.ok) {
    // It said yes and refused the line: without a medium it hears nothing, so the audio is offered to it again.
    if (terms.error === 'no_fax') leg.media.renewal = { ready: true, tries: 0 };
    delete asking.media.unanswered;
    answerRequest(work, asking, server, 488, { headers: [warningOf(work, terms.error)] });
    return;
  }
  if (asking.media.endToEnd === undefined && isLeftUnanswered(asking, leg)) {
    delete asking.media.unanswered;
    answerRequest(work, asking, server, 488, { headers: [warningOf(work, 'e2ee_client')] });
    return;
  }
  const session = server.request && answerSessionTimer(server.request, SESSION_POLICY, work.ctx.nowMs);
  answerOffer(work, asking, server, terms.value, session?.type === 'accept' ? session.headers : []);
  connectStreams(work, leg, asking);
  showTalkState(work);
}

function offered(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  asking: Leg,
  server: ServerRequest,
  response: SipResponse,
): void {
  const offer = isSdp(response) ? readOffer(leg, response.body) : ({ ok: false, error: 'no_audio' } as const);
  const made = offer.ok ? makeOffer(work, asking, withoutRefused(work, leg, asking, offer.value)) : offer;
  if (!made.ok) {
    // An offer in a 2xx cannot be refused but by ending the call (RFC 3261 §14.1).
    leg.ackOwed = { cseq: client.cseq };
    answerRequest(work, asking, server, 488, { headers: [warningOf(work, made.error)] });
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason: made.error });
    return;
  }
  leg.media.unanswered = response.body;
  leg.ackOwed = { cseq: client.cseq };
  const session = server.request && answerSessionTimer(server.request, SESSION_POLICY, work.ctx.nowMs);
  accept(work, asking, server, made.value, session?.type === 'accept' ? session.headers : []);
}

/** The session stays as it was (RFC 3261 §14.1), unless the other end has no such dialog any more. */
function refused(
  work: Work,
  leg: Leg,
  asking: Leg | undefined,
  server: ServerRequest | undefined,
  status: number,
  response: SipResponse | undefined,
): void {
  delete leg.media.offered;
  if (asking !== undefined) delete asking.media.unanswered;
  if (asking !== undefined && server !== undefined) {
    const retryAfter = response?.headers.filter(({ name }) => name === 'Retry-After') ?? [];
    const behind = refusalBehind(leg, response);
    const warning = behind === undefined ? [] : [warningOf(work, behind)];
    answerRequest(work, asking, server, passable(status), {
      headers: [...retryAfter.slice(0, 1), ...warning],
    });
  }
  if (status === 481 || status === 408) {
    const reason = status === 481 ? 'one end no longer knew the call' : 'one end no longer answered';
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason });
  }
}

/** A redirection or a challenge inside a call is nothing that the other end could follow. */
const passable = (status: number): number =>
  status < 400 || status === 401 || status === 407 || status === 408 || status === 481 ? 500 : status;
