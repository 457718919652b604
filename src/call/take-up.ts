import type { SipResponse } from '../sip/index.ts';
import { CANCEL_WAIT_MS, endCall } from './end.ts';
import { isBusyWithOffers, retryDelayMs } from './glare.ts';
import type { ClientRequest, Leg } from './model.ts';
import { makeOffer, takeAnswer } from './negotiate-offer.ts';
import { putStream } from './streams.ts';
import { showTalkState } from './talk-state.ts';
import { ownTerms } from './terms.ts';
import { isSdp, sendAck, sendRequest } from './wire.ts';
import type { Work } from './work.ts';

/** The party that stays may be busy with an offer of its own. */
const TAKE_UP_AGAIN_MS = 500;
const MAX_TAKE_UPS = 8;

/** It was held when it was transferred, and is to be heard by who has it now. */
export function takeUp(work: Work, leg: Leg): void {
  const tries = leg.takeUp?.tries ?? 0;
  delete leg.takeUp;
  if (leg.state !== 'confirmed' || work.call.end !== undefined || tries >= MAX_TAKE_UPS) return;
  const again = { tries: tries + 1, atMs: work.ctx.nowMs + TAKE_UP_AGAIN_MS };
  if (isBusyWithOffers(leg)) {
    leg.takeUp = again;
    return;
  }
  const offer = makeOffer(work, leg, { ...ownTerms(leg), direction: 'sendrecv' });
  if (!offer.ok) return;
  const sent = sendRequest(work, leg, {
    method: 'INVITE',
    purpose: { kind: 'take-up', tries: tries + 1 },
    body: offer.value,
    contentType: 'application/sdp',
  });
  if (!sent) {
    delete leg.media.offered;
    leg.takeUp = again;
    return;
  }
  const client = leg.clients.at(-1);
  if (client !== undefined) client.giveUpAtMs = work.ctx.nowMs + CANCEL_WAIT_MS;
}

/** Its word on that; `response` undefined when it said nothing in time. */
export function takenUp(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  tries: number,
  response: SipResponse | undefined,
): void {
  const status = response?.status ?? 408;
  if (status < 200) return;
  if (status < 300 && response !== undefined) {
    sendAck(work, leg, client.cseq);
    if (isSdp(response) && takeAnswer(leg, response.body).ok) putStream(work, leg);
    delete leg.media.offered;
    showTalkState(work);
    return;
  }
  delete leg.media.offered;
  if (status === 481 || status === 408) {
    const reason = status === 481 ? 'one end no longer knew the call' : 'one end no longer answered';
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason });
    return;
  }
  const delayMs = status === 491 ? retryDelayMs(leg, work.ctx.random) : TAKE_UP_AGAIN_MS;
  leg.takeUp = { tries, atMs: work.ctx.nowMs + delayMs };
}

export function runTakeUp(work: Work, leg: Leg): void {
  if (leg.takeUp !== undefined && leg.takeUp.atMs <= work.ctx.nowMs) takeUp(work, leg);
}
