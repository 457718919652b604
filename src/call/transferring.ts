import { reasonPhrase } from '../sip/index.ts';
import { cancelLeg, closeStreamOf, dropStreams, type Ending, endCall, finishLeg, sendBye } from './end.ts';
import { ask } from './flow.ts';
import type { Call, Leg, Party } from './model.ts';
import { indexOf, partyOf } from './route.ts';
import { connectStreams, putStream } from './streams.ts';
import { takeUp } from './take-up.ts';
import { showTalkState } from './talk-state.ts';
import { sendRequest } from './wire.ts';
import { callerLeg, isTransferred, liveCallees, type Work } from './work.ts';

/* What comes of a transfer (see `transfer.ts`) as the phones of its target ring, answer or do not. */

/** A call that goes back to who transferred it rings so long (PH-CALL-02). */
const RING_BACK_SEC = 30;

export const targetFor = (
  party: Party,
  { mode, maxWaitSec }: { readonly mode: string; readonly maxWaitSec: number },
): NonNullable<Call['target']> => ({ ...party, inOrder: mode === 'in-order', maxWaitSec });

export function partyOfLeg({ call, ctx }: Work, leg: Leg): Party {
  const user = indexOf(ctx.snapshot).userById(leg.user);
  return user === undefined ? call.caller : partyOf(user);
}

/** The phones of another party are to ring. */
export function ringFor(work: Work, target: NonNullable<Call['target']>): void {
  const { call } = work;
  call.target = target;
  call.state = 'routing';
  delete call.told;
  delete call.ways;
  call.ringUntilMs = work.ctx.nowMs + target.maxWaitSec * 1000;
  ask(work, { why: 'ring', user: target.user });
}

export const transferring = ({ legs }: Call): Leg | undefined =>
  legs.find(({ transfer }) => transfer !== undefined);

/** The target's phone rings. */
export function targetRings(work: Work): void {
  const by = transferring(work.call);
  work.call.state = 'ringing';
  if (by !== undefined) notify(work, by, 180);
}

/** The new party has answered and hears who waited; who asked for the transfer is let go. */
export function targetAnswers(work: Work, leg: Leg): void {
  const { call } = work;
  const stays = callerLeg(call);
  const by = transferring(call);
  call.state = 'talking';
  if (by !== undefined) {
    markDone(call, 'answered');
    notify(work, by, 200);
    delete by.transfer;
    closeEarly(work, by);
    if (by.state === 'confirmed') sendBye(work, by);
  }
  connectStreams(work, stays, leg);
  if (stays.media.direction !== 'sendrecv') takeUp(work, stays);
  showTalkState(work);
}

/**
 * Nobody answers: the end of a call that was never answered, and the end of a transfer. Then the two who talked before do so again, or the
 * one who left is called.
 */
export function ringingFailed(work: Work, ending: Ending): void {
  const { call } = work;
  if (!isTransferred(call)) {
    endCall(work, ending);
    return;
  }
  delete call.ringUntilMs;
  call.queue = [];
  for (const leg of liveCallees(call)) {
    cancelLeg(work, leg);
    closeStreamOf(work, leg);
  }
  const by = transferring(call);
  const stays = callerLeg(call);
  if (by?.transfer === undefined) {
    const reason = 'nobody took the transferred call';
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason });
    return;
  }
  markDone(call, ending.outcome);
  notify(work, by, ending.status);
  const { target } = by.transfer;
  const isThere = by.state === 'confirmed';
  delete by.transfer;
  delete call.presented;
  if (isThere) {
    if (target !== undefined) call.target = target;
    call.state = 'talking';
    connectStreams(work, stays, by);
    showTalkState(work);
    return;
  }
  const user = indexOf(work.ctx.snapshot).userById(by.user);
  if (user === undefined) {
    endCall(work, { outcome: 'answered', status: 200, by: 'system', reason: 'the transfer failed' });
    return;
  }
  call.presented = partyOfLeg(work, stays);
  putStream(work, stays);
  ringFor(work, targetFor(partyOf(user), { mode: user.ring.mode, maxWaitSec: RING_BACK_SEC }));
}

/** BYE of who asked for the transfer: it leaves, and the call goes on. False: it has asked for none. */
export function leavesTransferred(work: Work, leg: Leg): boolean {
  if (leg.transfer === undefined) return false;
  finishLeg(leg);
  closeEarly(work, leg);
  return true;
}

/** Its figures still belong into the record. */
function closeEarly(work: Work, { media }: Leg): void {
  if (media.stream === undefined || media.closed) return;
  media.closed = true;
  dropStreams(work, [media.stream]);
}

function markDone(call: Call, outcome: string): void {
  const done = call.transfers ?? [];
  call.transfers = done.map((one, at) => (at === done.length - 1 ? { ...one, outcome } : one));
}

/** RFC 3515 §2.4.5: what came of it, as a status line. */
export function notify(work: Work, leg: Leg, status: number): void {
  if (leg.transfer?.notifies !== true || leg.state !== 'confirmed') return;
  const isLast = status >= 200;
  sendRequest(work, leg, {
    method: 'NOTIFY',
    purpose: { kind: 'done' },
    headers: [
      { name: 'Event', value: `refer;id=${leg.transfer.refer}` },
      { name: 'Subscription-State', value: isLast ? 'terminated;reason=noresource' : 'active;expires=180' },
    ],
    body: `SIP/2.0 ${status} ${reasonPhrase(status)}\r\n`,
    contentType: 'message/sipfrag;version=2.0',
  });
}
