import type { MediaEvent } from '../media/index.ts';
import { endCall } from './end.ts';
import type { Leg } from './model.ts';
import { renewTransport } from './renew-media.ts';
import { deviceFailed } from './ring.ts';
import type { Work } from './work.ts';

/** A peer that cannot do it twice will not the third time. */
const MAX_RENEWALS = 2;
const MAX_PROBLEM = 64;

/**
 * What media says of a leg's ICE and DTLS. Where they failed in a call (the peer has moved and says so late, a media process died in the
 * middle of a handshake), a new offer heals it; where that fails too, the leg is over, and the record says why.
 */
export function transportTold(
  work: Work,
  leg: Leg,
  { state, suite, problem }: MediaEvent & { readonly type: 'transport' },
): void {
  const { call } = work;
  const { media } = leg;
  if (state === 'connected') {
    if (suite !== undefined) media.suite = suite;
    return;
  }
  if (call.end !== undefined || leg.state === 'ending' || leg.state === 'ended') return;
  // It is the failure of what is being replaced.
  if (media.renewal !== undefined) return;
  if (leg.state === 'confirmed' && media.dtls !== undefined && (media.association ?? 0) < MAX_RENEWALS) {
    renewTransport(work, leg);
    return;
  }
  const reason = `its media transport failed: ${problem ?? 'no reason given'}`.slice(0, MAX_PROBLEM);
  if (leg.role === 'callee' && (leg.state === 'new' || leg.state === 'calling' || leg.state === 'ringing')) {
    deviceFailed(work, leg, 503, reason);
    return;
  }
  endCall(work, {
    outcome: call.answeredUtcMs === undefined ? 'failed' : 'answered',
    status: call.answeredUtcMs === undefined ? 503 : 200,
    by: 'system',
    reason,
    headers: [{ name: 'Reason', value: 'SIP;cause=503;text="media transport failed"' }],
  });
}
