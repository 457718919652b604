import type { Flow } from '../link/index.ts';
import { type SipRequest, viasOf } from '../sip/index.ts';

/**
 * The address whose failures are counted (PH-EDGE-11): the client's. Behind a door it is what the proxy wrote into the client's Via, `received`
 * (RFC 3261 §18.2.1) or, where that equals it, the host itself; were it the proxy's own, one guesser would lock everybody out.
 */
export function sourceOf(request: SipRequest, flow: Flow): string {
  if (flow.door !== true) return flow.remote.address;
  const [, below] = viasOf(request) ?? [];
  const received = below?.params['received'];
  return typeof received === 'string' ? received : (below?.host ?? flow.remote.address);
}
