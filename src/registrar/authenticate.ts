import type { AccountId } from '../base/index.ts';
import type { Device, Directories, DirectoryIndex, User } from '../directory/index.ts';
import { type DigestAuthorization, type SipHeader, type SipRequest, verifyDigest } from '../sip/index.ts';
import { type ChallengeAs, challengeFor, claimOf, nonceContext } from './challenge.ts';
import type { Lockouts } from './lockout.ts';
import type { Nonces } from './nonces.ts';

export interface Credentials {
  readonly index: DirectoryIndex;
  readonly device: Device;
  readonly user: User;
}

/**
 * What the digest credentials of a request show. Every kind but `verified` is answered with `status` and `headers`; the answers are alike
 * for names that exist and names that do not.
 */
export type Authentication = ({ readonly kind: 'verified' } & Credentials) | Unverified;

export interface Unverified {
  /**
   * `challenge`: none were given for us. `stale`: right, but the nonce is old or was given to another address. `wrong`: the password
   * or the name. `locked`: too many wrong ones from there (PH-EDGE-11).
   */
  readonly kind: 'challenge' | 'stale' | 'wrong' | 'locked';
  readonly status: 401 | 407 | 403;
  readonly headers: readonly SipHeader[];
}

export interface AuthenticateContext {
  readonly directories: Directories;
  /** The address that the request came from. */
  readonly source: string;
  readonly as: ChallengeAs;
  readonly pairSecret: Uint8Array;
  readonly utcMs: number;
  readonly lockouts: Lockouts;
  readonly nonces: Nonces;
}

/** What a name without account is verified against, so that it takes as long as a known one. */
const NOBODYS_HA1 = '0'.repeat(64);

/**
 * Stateless but for the lock-outs: a nonce is checked by its MAC, which also binds it to the realm and to the address that asked. So
 * credentials that were overheard are of no use elsewhere; from the same address they could be said again for five minutes.
 */
export async function authenticate(
  request: SipRequest,
  context: AuthenticateContext,
): Promise<Authentication> {
  const { directories, source, as, pairSecret, utcMs, lockouts, nonces } = context;
  const claim = claimOf(request, directories, as);
  const { index, authorization } = claim;
  const boundTo = nonceContext(claim, source);

  const refuse = (kind: Unverified['kind'], name: string): Unverified => {
    if (kind === 'locked') return { kind, status: 403, headers: [] };
    const nonce = nonces.create(boundTo, utcMs);
    return {
      kind,
      ...challengeFor(claim, name, { nonce, as, secret: pairSecret, stale: kind === 'stale' }),
    };
  };

  if (authorization === undefined) return refuse('challenge', claim.user);

  const name = authorization.username;
  const account = index?.snapshot.account ?? ('' as AccountId);
  if (await lockouts.isLocked(account, source, name, utcMs)) return refuse('locked', name);
  const device = index?.deviceBySipUser(name);
  const user = device && index?.userById(device.userId);
  const right = verifyDigest({
    authorization,
    method: request.method,
    ha1: ha1For(authorization, device) ?? NOBODYS_HA1,
    body: request.body,
    // Not bound to the Request-URI: proxies change it, and sipp hashes its own idea of it.
  });
  if (!right || index === undefined || device === undefined || user === undefined) {
    const locked = await lockouts.failed(account, source, name, utcMs);
    return refuse(locked ? 'locked' : 'wrong', name);
  }
  if (nonces.check(authorization.nonce, boundTo, utcMs) !== 'fresh') return refuse('stale', name);
  return { kind: 'verified', index, device, user };
}

/** Only what the device is offered: a stronger challenge must not be answered by a weaker algorithm. */
function ha1For({ algorithm }: DigestAuthorization, device: Device | undefined): string | undefined {
  const base = algorithm.replace(/-sess$/, '');
  if (base !== 'MD5' && base !== 'SHA-256') return undefined;
  if (device === undefined || !device.digestAlgorithms.includes(base)) return undefined;
  return base === 'MD5' ? device.ha1.md5 : device.ha1.sha256;
}
