import { createHmac } from 'node:crypto';
import type { AccountId } from '../base/index.ts';
import type { Device, Directories, DirectoryIndex, User } from '../directory/index.ts';
import {
  authorizationsOf,
  type DigestAuthorization,
  digestChallenge,
  fromOf,
  parseUri,
  type SipHeader,
  type SipRequest,
  toOf,
  verifyDigest,
} from '../sip/index.ts';
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
  readonly as: 'registrar' | 'proxy';
  readonly pairSecret: Uint8Array;
  readonly utcMs: number;
  readonly lockouts: Lockouts;
  readonly nonces: Nonces;
}

const MAX_NAME = 200;
const DEFAULT_ALGORITHMS: Device['digestAlgorithms'] = ['SHA-256', 'MD5'];
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
  // The address-of-record of a registration stands in To, the sender of anything else in From.
  const address = parseUri((request.method === 'REGISTER' ? toOf(request) : fromOf(request))?.uri ?? '');
  const host = address === undefined || address.scheme === 'tel' ? '' : address.host.toLowerCase();
  const index = directories.accountOf(host);
  const realm = index?.snapshot.domains[0] ?? (host || 'unknown');
  const nonceContext = `${realm} ${source}`;

  const refuse = (kind: Unverified['kind'], name: string): Unverified => {
    if (kind === 'locked') return { kind, status: 403, headers: [] };
    const values = digestChallenge({
      realm,
      nonce: nonces.create(nonceContext, utcMs),
      algorithms: algorithmsFor(name, index, pairSecret),
      stale: kind === 'stale',
    });
    const header = as === 'registrar' ? 'WWW-Authenticate' : 'Proxy-Authenticate';
    return {
      kind,
      status: as === 'registrar' ? 401 : 407,
      headers: values.map((value) => ({ name: header, value })),
    };
  };

  const given = authorizationsOf(request, as === 'registrar' ? 'Authorization' : 'Proxy-Authorization');
  const authorization = given.find((one) => one.realm === realm);
  if (authorization === undefined || authorization.username.length > MAX_NAME) {
    const asked = address === undefined || address.scheme === 'tel' ? '' : (address.user ?? '');
    return refuse('challenge', asked.slice(0, MAX_NAME));
  }

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
  if (nonces.check(authorization.nonce, nonceContext, utcMs) !== 'fresh') return refuse('stale', name);
  return { kind: 'verified', index, device, user };
}

/** Only what the device is offered: a stronger challenge must not be answered by a weaker algorithm. */
function ha1For({ algorithm }: DigestAuthorization, device: Device | undefined): string | undefined {
  const base = algorithm.replace(/-sess$/, '');
  if (base !== 'MD5' && base !== 'SHA-256') return undefined;
  if (device === undefined || !device.digestAlgorithms.includes(base)) return undefined;
  return base === 'MD5' ? device.ha1.md5 : device.ha1.sha256;
}

/**
 * The algorithms of the device. A name that nobody has gets those of some device that a keyed hash of the name picks, always the
 * same: where devices differ, names without owner differ just as much.
 */
function algorithmsFor(
  name: string,
  index: DirectoryIndex | undefined,
  secret: Uint8Array,
): Device['digestAlgorithms'] {
  const known = index?.deviceBySipUser(name);
  if (known) return known.digestAlgorithms;
  const devices = index?.snapshot.devices ?? [];
  if (devices.length === 0) return DEFAULT_ALGORITHMS;
  const hash = createHmac('sha256', secret).update(`stranger:${name}`).digest();
  return devices[hash.readUInt32BE(0) % devices.length]!.digestAlgorithms;
}
