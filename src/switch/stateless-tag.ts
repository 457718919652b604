import { createHash } from 'node:crypto';
import { encodeBase32 } from '../base/index.ts';
import { callIdOf, cseqOf, type SipRequest, topVia } from '../sip/index.ts';

/**
 * The To tag of an answer for which nothing is kept: a request that comes again gets the same (RFC 3261 §8.2.7), else its sender takes
 * a repeated challenge for one of another server.
 */
export function statelessTag(request: SipRequest, secret: Uint8Array): string {
  const branch = topVia(request)?.params['branch'];
  const hash = createHash('sha256').update(secret);
  hash.update(`${String(branch)}\n${callIdOf(request)}\n${cseqOf(request)?.seq}`);
  return encodeBase32(hash.digest()).slice(0, 10);
}
