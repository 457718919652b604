import {
  answerSessionTimer,
  confirmDialog,
  dialogFromResponse,
  endReliable,
  receivePrack,
  type SipHeader,
  type SipRequest,
  type SipResponse,
  sessionTimerFromAnswer,
  startRepetition,
  tagOf,
  toOf,
} from '../sip/index.ts';
import { cancelLeg, closeStreamOf, endCall, sendBye } from './end.ts';
import { isLeftUnanswered, withoutRefused } from './end-to-end.ts';
import { sessionIdOf } from './headers.ts';
import type { ClientRequest, Leg, ServerRequest } from './model.ts';
import { readOffer } from './negotiate.ts';
import { giveAnswer } from './negotiate-answer.ts';
import { makeOffer, takeAnswer } from './negotiate-offer.ts';
import { peerAllows } from './peer.ts';
import { deviceFailed } from './ring.ts';
import { SESSION_POLICY } from './session.ts';
import { connectStreams, putStream } from './streams.ts';
import { showTalkState } from './talk-state.ts';
import { agreedTerms, type MediaRefusal, standingTerms } from './terms.ts';
import { targetAnswers } from './transferring.ts';
import {
  answerRequest,
  isSdp,
  openInvite,
  sendAck,
  sendRequest,
  sendResponseText,
  sendText,
} from './wire.ts';
import { answeredCallee, callerLeg, isTransferred, liveCallees, type Work } from './work.ts';

const elsewhere: readonly SipHeader[] = [
  { name: 'Reason', value: 'SIP;cause=200;text="Call completed elsewhere"' },
];

/** A 2xx to a callee's INVITE. */
export function deviceAnswers(work: Work, leg: Leg, client: ClientRequest, response: SipResponse): void {
  const tag = tagOf(toOf(response)) ?? '';
  if (leg.state === 'answered' || leg.state === 'confirmed' || leg.ack !== undefined) {
    if (tag === leg.dialog?.remoteTag) repeatAck(work, leg, client);
    else endStrayFork(work, leg, client, response);
    return;
  }
  if (client.invite === undefined) return;
  const dialog =
    leg.dialog?.remoteTag === tag
      ? { ok: true as const, value: confirmDialog(leg.dialog, response) }
      : dialogFromResponse(client.invite, response);
  if (!dialog.ok) {
    // Without a Contact there is no way to say ACK or BYE; the phone's 2xx will time out.
    deviceFailed(work, leg, 500, 'the answer has no usable Contact');
    return;
  }
  // The phone that agreed to our UPDATE was another than the one that answers now, behind the same proxy.
  if (leg.media.updatedEarly && leg.dialog?.remoteTag !== tag) {
    delete leg.media.updatedEarly;
    leg.media.renewal = { ready: true, tries: 0 };
  }
  leg.dialog = dialog.value;
  leg.peer = peerAllows(leg.peer, response);
  leg.sessionId = sessionIdOf(response) ?? leg.sessionId;
  delete leg.reliableReceiver;
  delete leg.cancelWanted;
  const { call, ctx } = work;
  // The answer crossed our CANCEL (RFC 3261 §9.1), or another device was quicker.
  if (call.end !== undefined || answeredCallee(call) !== undefined || leg.state === 'ending') {
    sendAck(work, leg, client.cseq);
    sendBye(work, leg, call.end === undefined ? elsewhere : []);
    return;
  }
  leg.state = 'answered';
  delete leg.ringUntilMs;
  const timer = sessionTimerFromAnswer(response, ctx.nowMs, SESSION_POLICY);
  if (timer !== undefined) leg.sessionTimer = timer;
  const refusal = answeredMedia(work, leg, client, response);
  if (refusal !== undefined) {
    sendAck(work, leg, client.cseq);
    sendBye(work, leg, [{ name: 'Reason', value: `SIP;cause=488;text="${refusal}"` }]);
    deviceFailed(work, leg, 488, refusal);
    return;
  }
  for (const other of liveCallees(call)) {
    if (other === leg) continue;
    if (other.state === 'new') other.state = 'ended';
    else cancelLeg(work, other, elsewhere);
    closeStreamOf(work, other);
  }
  call.queue = [];
  delete call.ringUntilMs;
  call.answeredUtcMs ??= ctx.utcMs;
  if (isTransferred(call)) targetAnswers(work, leg);
  else answerCaller(work);
}

/** Takes the SDP of a 2xx and acknowledges it, unless the ACK must wait for the caller's answer to an offer in it. */
function answeredMedia(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  response: SipResponse,
): MediaRefusal | undefined {
  const caller = callerLeg(work.call);
  const weOffered = leg.media.offered !== undefined || leg.media.agreed;
  if (!weOffered) {
    if (!isSdp(response)) return 'no_audio';
    const offer = readOffer(leg, response.body);
    if (!offer.ok) return offer.error;
    leg.media.unanswered = response.body;
    leg.ackOwed = { cseq: client.cseq };
    return undefined;
  }
  if (!leg.media.updatedEarly && (leg.media.offered !== undefined || isSdp(response))) {
    if (!isSdp(response)) return 'no_audio';
    const answer = takeAnswer(leg, response.body);
    if (!answer.ok) return answer.error;
  }
  if (isLeftUnanswered(caller, leg)) return 'e2ee_client';
  delete leg.media.firstOffer;
  delete leg.media.updatedEarly;
  // Who was transferred has its answer since long.
  if (isTransferred(work.call)) {
    sendAck(work, leg, client.cseq);
    leg.state = 'confirmed';
    return undefined;
  }
  const { unanswered, answeredEarly, renewal, updatedEarly } = caller.media;
  // RFC 3261 §13.2.1: a 2xx says the early answer again, wherever the stream is now. A re-INVITE tells of that.
  const saidAlready = updatedEarly || (renewal !== undefined && unanswered === undefined);
  if (!saidAlready || !caller.media.agreed) {
    const offer = unanswered ?? answeredEarly;
    if (offer === undefined) return 'no_audio';
    const answer = giveAnswer(work, caller, offer, agreedTerms(leg));
    if (!answer.ok) return answer.error;
  }
  connectStreams(work, caller, leg);
  sendAck(work, leg, client.cseq);
  leg.state = 'confirmed';
  delete caller.media.answeredEarly;
  return undefined;
}

/** The caller's 2xx: an answer to its offer, or the callee's offer to an INVITE without one. */
export function answerCaller(work: Work): void {
  const { call, ctx } = work;
  const caller = callerLeg(call);
  const callee = answeredCallee(call);
  const invite = openInvite(caller);
  if (callee === undefined || invite?.request === undefined) return;
  // RFC 3262 §3: no 2xx while a reliable 1xx with SDP waits for its PRACK.
  if (caller.reliableSender?.outstanding?.text.includes('\na=rtpmap') === true) {
    call.answerHeld = true;
    return;
  }
  delete call.answerHeld;
  const { reliableSender } = caller;
  if (reliableSender?.outstanding === undefined) delete caller.reliableSender;
  else caller.reliableSender = endReliable(reliableSender);
  // RFC 6337 §3.1.1: after a further exchange the 2xx has nothing left to answer.
  let body = caller.media.updatedEarly ? undefined : caller.media.local;
  delete caller.media.updatedEarly;
  if (callee.media.unanswered !== undefined) {
    const offer = readOffer(callee, callee.media.unanswered);
    const made = offer.ok
      ? makeOffer(work, caller, withoutRefused(work, callee, caller, offer.value))
      : offer;
    if (!made.ok) {
      endCall(work, { outcome: 'failed', status: 488, by: 'system', reason: made.error });
      return;
    }
    body = made.value;
    // A browser's checks may come before its answer does.
    if (caller.media.ice !== undefined) putStream(work, caller);
  }
  const session = answerSessionTimer(invite.request, SESSION_POLICY, ctx.nowMs);
  if (session.type === 'accept' && session.timer !== undefined) caller.sessionTimer = session.timer;
  answerInvite(work, caller, invite, body, session.type === 'accept' ? session.headers : []);
  if (caller.dialog !== undefined) caller.dialog = confirmDialog(caller.dialog);
  caller.state = 'answered';
  call.state = 'answered';
}

/** 200 to an INVITE, said again until its ACK comes (RFC 3261 §13.3.1.4). */
export function answerInvite(
  work: Work,
  leg: Leg,
  invite: ServerRequest,
  body: string | undefined,
  headers: readonly SipHeader[] = [],
): void {
  const text = answerRequest(work, leg, invite, 200, { headers, ...(body === undefined ? {} : { body }) });
  if (text !== undefined) leg.answer = { ...startRepetition(text, work.ctx.nowMs), cseq: invite.cseq };
}

/** An ACK for a 2xx of ours. */
export function acknowledged(work: Work, leg: Leg, ack: SipRequest, cseq: number): void {
  const { call } = work;
  if (leg.answer === undefined || leg.answer.cseq !== cseq) return;
  delete leg.answer;
  if (leg.state === 'ending') {
    sendBye(work, leg);
    return;
  }
  if (leg.state === 'answered') leg.state = 'confirmed';
  if (leg.media.offered !== undefined && !passAnswerOn(work, leg, ack)) return;
  showTalkState(work);
  if (call.state === 'answered') call.state = 'talking';
}

/** The answer in an ACK goes on in the ACK that the other leg waits for (RFC 3261 §13.2.1, late offer). */
function passAnswerOn(work: Work, leg: Leg, ack: SipRequest): boolean {
  const { call } = work;
  const other = call.legs.find(({ ackOwed }) => ackOwed !== undefined);
  const taken = isSdp(ack) ? takeAnswer(leg, ack.body) : undefined;
  const offer = other?.media.unanswered;
  if (other?.ackOwed === undefined || offer === undefined || taken === undefined || !taken.ok) {
    const reason = taken === undefined || taken.ok ? 'the ACK has no answer' : taken.error;
    endCall(work, { outcome: 'failed', status: 488, by: 'system', reason });
    return false;
  }
  const given = giveAnswer(work, other, offer, taken.value);
  if (!given.ok) {
    endCall(work, { outcome: 'failed', status: 488, by: 'system', reason: given.error });
    return false;
  }
  connectStreams(work, leg, other);
  sendAck(work, other, other.ackOwed.cseq, given.value);
  if (other.state === 'answered') other.state = 'confirmed';
  return true;
}

/** The 2xx came again: its ACK was lost, or is still owed. */
export function repeatAck(work: Work, leg: Leg, client: ClientRequest): void {
  if (client.ack !== undefined) sendText(work, leg, client.ack);
}

/** A proxy behind the contact has forked and a second phone answered too: it gets ACK and BYE (RFC 3261 §13.2.2.4). */
function endStrayFork(work: Work, leg: Leg, client: ClientRequest, response: SipResponse): void {
  if (client.invite === undefined) return;
  const stray = dialogFromResponse(client.invite, response);
  if (!stray.ok) return;
  const { dialog, ack, ackOwed, state } = leg;
  const ownAck = client.ack;
  leg.dialog = stray.value;
  sendAck(work, leg, client.cseq);
  delete leg.ack;
  sendRequest(work, leg, { method: 'BYE', purpose: { kind: 'done' }, headers: elsewhere });
  if (dialog === undefined) delete leg.dialog;
  else leg.dialog = dialog;
  if (ack !== undefined) leg.ack = ack;
  if (ownAck === undefined) delete client.ack;
  else client.ack = ownAck;
  if (ackOwed !== undefined) leg.ackOwed = ackOwed;
  leg.state = state;
}

/** PRACK for a 1xx of ours (RFC 3262 §3). */
export function pracked(work: Work, leg: Leg, server: ServerRequest, prack: SipRequest): void {
  const { call, ctx } = work;
  const invite = openInvite(leg);
  if (leg.reliableSender === undefined) {
    answerRequest(work, leg, server, 481);
    return;
  }
  const step = receivePrack(leg.reliableSender, prack, ctx.nowMs);
  if (!step.matched) {
    answerRequest(work, leg, server, 481);
    return;
  }
  leg.reliableSender = step.sender;
  let body: string | undefined;
  if (isSdp(prack)) {
    // A new offer in a PRACK must be answered in its 200 (RFC 3262 §5): with what is agreed, if that fits.
    const answer = giveAnswer(work, leg, prack.body, standingTerms(leg));
    if (!answer.ok) {
      answerRequest(work, leg, server, 488);
      return;
    }
    body = answer.value;
    putStream(work, leg);
  }
  answerRequest(work, leg, server, 200, body === undefined ? {} : { body });
  if (invite !== undefined) for (const text of step.texts) sendResponseText(work, leg, invite, text, 180);
  if (call.answerHeld) answerCaller(work);
}
