import { cancelledTransactionKey, type SipRequest } from '../sip/index.ts';
import { cancelInvite, endCall } from './end.ts';
import { reasonHeaders } from './headers.ts';
import type { Leg, ServerRequest } from './model.ts';
import { answerRequest, openClientInvite } from './wire.ts';
import { peerOf, type Work } from './work.ts';

/** CANCEL (RFC 3261 §9.2): 200 when its INVITE is known, and that INVITE ends with 487 if it was still open. */
export function cancelled(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  const key = cancelledTransactionKey(request);
  const invite = leg.servers.find(({ tx }) => tx.key === key);
  if (invite === undefined) {
    answerRequest(work, leg, server, 481);
    return;
  }
  answerRequest(work, leg, server, 200);
  if (invite.request === undefined) return;
  if (leg.role === 'caller' && (leg.state === 'calling' || leg.state === 'ringing')) {
    endCall(work, { outcome: 'cancelled', status: 487, by: 'caller', headers: reasonHeaders(request) });
    return;
  }
  // A re-INVITE that rings at the other end: its answer, most likely 487, comes back as any other.
  const other = peerOf(work.call, leg);
  const client = other && openClientInvite(other);
  if (other === undefined || client?.purpose.kind !== 'relay' || client.purpose.server !== key) return;
  if (client.tx.state === 'Proceeding') cancelInvite(work, other, client);
  else other.cancelWanted = true;
}
