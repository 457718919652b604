import type { MediaEvent } from '../media/index.ts';
import { endCall } from './end.ts';
import type { Leg } from './model.ts';
import { deviceFailed } from './ring.ts';
import type { Work } from './work.ts';

const MAX_PROBLEM = 64;

/**
 * What media says of a leg's ICE and DTLS. A handshake that failed cannot be had again: browsers begin none under a fingerprint that they
 * know. So the leg is over, and the record says why.
 */
export function transportTold(
  work: Work,
  leg: Leg,
  { state, suite, problem }: MediaEvent & { readonly type: 'transport' },
): void {
  const { call } = work;
  if (state === 'connected') {
    if (suite !== undefined) leg.media.suite = suite;
    return;
  }
  if (call.end !== undefined || leg.state === 'ending' || leg.state === 'ended') return;
  const reason = `its media transport failed: ${problem ?? 'no reason given'}`.slice(0, MAX_PROBLEM);
  if (call.answeredUtcMs === undefined && leg.role === 'callee') {
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
