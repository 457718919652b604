import type { SipRequest } from '../sip/index.ts';
import { endCall, finishLeg, refuseOpenRequests } from './end.ts';
import { reasonHeaders } from './headers.ts';
import type { Leg, ServerRequest } from './model.ts';
import { leavesTransferred } from './transferring.ts';
import { answerRequest } from './wire.ts';
import type { Work } from './work.ts';

/** BYE of either end (RFC 3261 §15.1.2). One that crosses ours is answered alike. */
export function hungUp(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  answerRequest(work, leg, server, 200);
  // We have said goodbye to it already: to a device that lost the race to answer, while the call goes on elsewhere.
  const isDismissed = leg.state === 'ending';
  const answered = work.call.answeredUtcMs !== undefined;
  refuseOpenRequests(work, leg);
  const oursUnderWay = leg.clients.some(({ method, tx }) => method === 'BYE' && tx.state !== 'Terminated');
  if (!oursUnderWay) finishLeg(leg);
  if (isDismissed || leavesTransferred(work, leg)) return;
  const headers = reasonHeaders(request);
  endCall(
    work,
    answered
      ? { outcome: 'answered', status: 200, by: leg.role, headers }
      : { outcome: 'cancelled', status: 487, by: leg.role, headers },
  );
}
