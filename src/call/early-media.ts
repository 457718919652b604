import { randomBelow } from '../base/index.ts';
import {
  dialogFromResponse,
  receiveReliable,
  reliabilityOf,
  type SipResponse,
  sendReliable,
  startReliable,
  tagOf,
  toOf,
} from '../sip/index.ts';
import { cancelInvite } from './end.ts';
import { isLeftUnanswered } from './end-to-end.ts';
import { sessionIdOf } from './headers.ts';
import type { ClientRequest, Leg } from './model.ts';
import { giveAnswer } from './negotiate-answer.ts';
import { takeAnswer } from './negotiate-offer.ts';
import { peerAllows } from './peer.ts';
import { connectStreams } from './streams.ts';
import { agreedTerms } from './terms.ts';
import { targetRings } from './transferring.ts';
import { answerRequest, isSdp, openInvite, responseFor, sendRequest, sendResponseText } from './wire.ts';
import { callerLeg, isRinging, isTransferred, liveCallees, type Work } from './work.ts';

/** A 1xx to a callee's INVITE: the phone rings, or sends early media. */
export function deviceProgresses(work: Work, leg: Leg, client: ClientRequest, response: SipResponse): void {
  if (leg.cancelWanted) cancelInvite(work, leg, client);
  if (response.status === 100 || leg.state === 'ending' || leg.state === 'ended') return;
  const tag = tagOf(toOf(response));
  if (tag !== undefined && leg.dialog?.remoteTag !== tag && client.invite !== undefined) {
    const dialog = dialogFromResponse(client.invite, response);
    if (dialog.ok) {
      leg.dialog = dialog.value;
      delete leg.reliableReceiver;
    }
  }
  const reliable = receiveReliable(leg.reliableReceiver ?? {}, response);
  if (reliable.type === 'repeated' || reliable.type === 'early') return;
  leg.sessionId = sessionIdOf(response) ?? leg.sessionId;
  leg.peer = peerAllows(leg.peer, response);
  if (reliable.type === 'new') {
    leg.reliableReceiver = reliable.receiver;
    sendRequest(work, leg, {
      method: 'PRACK',
      purpose: { kind: 'done' },
      headers: [{ name: 'RAck', value: reliable.rack }],
    });
  }
  // Unusable SDP in a provisional response is no reason to stop the ringing: the 2xx decides.
  // An offer in an UPDATE of ours is answered by that.
  const { offered } = leg.media;
  if (isSdp(response) && offered !== undefined && offered.renews === undefined)
    takeAnswer(leg, response.body);
  leg.state = 'ringing';
  tellCaller(work, leg, response.status, reliable.type === 'new');
}

/**
 * Passes ringing on. Early media goes to the caller only while a single device rings: one caller's dialog can have but one answer, and
 * with several devices the one that answers may have chosen another codec. A caller's own tone does until then.
 */
function tellCaller(work: Work, leg: Leg, status: number, reliable: boolean): void {
  const { call } = work;
  if (isTransferred(call)) {
    if (isRinging(call)) targetRings(work);
    return;
  }
  const caller = callerLeg(call);
  const invite = openInvite(caller);
  if (invite?.request === undefined) return;
  const alone = liveCallees(call).length === 1;
  const early = alone && leg.media.agreed ? earlyAnswer(work, leg) : undefined;
  const shown = early === undefined && status === 183 ? 180 : status;
  call.state = 'ringing';
  caller.state = 'ringing';
  const told = `${shown}${early === undefined ? '' : ' with media'}`;
  if (call.told === told || (call.told?.endsWith('with media') === true && early === undefined)) return;
  call.told = told;
  const wish = reliabilityOf(invite.request);
  if (wish === 'unsupported' || (wish === 'supported' && !reliable)) {
    answerRequest(work, caller, invite, shown, early === undefined ? {} : { body: early });
    return;
  }
  // RFC 3262 §5: the first reliable response to an INVITE without an offer must bring one, which only the 2xx will have.
  if (caller.media.unanswered === undefined && !caller.media.agreed) return;
  const response = responseFor(
    work,
    caller,
    invite.request,
    shown,
    early === undefined ? {} : { body: early },
  );
  // RFC 3262 §7.1 lets the first RSeq be up to 2^31 - 1; a small one has room to count.
  const sender =
    caller.reliableSender ?? startReliable(invite.request, 1 + randomBelow(work.ctx.random, 10_000));
  const sent = sendReliable(sender, response, work.ctx.nowMs);
  caller.reliableSender = sent.sender;
  for (const text of sent.texts) sendResponseText(work, caller, invite, text, shown);
}

/** The caller's answer, given before the call is answered; both hear each other from now on. */
function earlyAnswer(work: Work, leg: Leg): string | undefined {
  const caller = callerLeg(work.call);
  const offer = caller.media.unanswered ?? caller.media.answeredEarly;
  if (offer === undefined || isLeftUnanswered(caller, leg)) return undefined;
  const answer = giveAnswer(work, caller, offer, agreedTerms(leg));
  if (!answer.ok) return undefined;
  connectStreams(work, caller, leg);
  return answer.value;
}
