import { createHmac } from 'node:crypto';
import type { Clock } from '../base/index.ts';
import type { Device, Directories, DirectoryIndex } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import {
  authorizationsOf,
  createNonce,
  type DigestAuthorization,
  digestChallenge,
  fromOf,
  parseUri,
  type SipHeader,
  type SipRequest,
  toOf,
} from '../sip/index.ts';
import { sourceOf } from './source.ts';

export interface Challenge {
  readonly status: 401 | 407;
  readonly headers: readonly SipHeader[];
}

export type ChallengeAs = 'registrar' | 'proxy';

/** Whose name a request claims, and what it gave to prove that. */
export interface Claim {
  readonly realm: string;
  /** Undefined where nobody of ours has that domain. */
  readonly index: DirectoryIndex | undefined;
  /** The user part of the address, as far as a challenge looks at it. */
  readonly user: string;
  /** Undefined: no credentials for us. */
  readonly authorization: DigestAuthorization | undefined;
}

const MAX_NAME = 200;
const DEFAULT_ALGORITHMS: Device['digestAlgorithms'] = ['SHA-256', 'MD5'];

export function claimOf(request: SipRequest, directories: Directories, as: ChallengeAs): Claim {
  // The address-of-record of a registration stands in To, the sender of anything else in From.
  const address = parseUri((request.method === 'REGISTER' ? toOf(request) : fromOf(request))?.uri ?? '');
  const isSip = address !== undefined && address.scheme !== 'tel';
  const host = isSip ? address.host.toLowerCase() : '';
  const index = directories.accountOf(host);
  const realm = index?.snapshot.domains[0] ?? (host || 'unknown');
  const given = authorizationsOf(request, as === 'registrar' ? 'Authorization' : 'Proxy-Authorization');
  const authorization = given.find((one) => one.realm === realm);
  return {
    realm,
    index,
    user: (isSip ? (address.user ?? '') : '').slice(0, MAX_NAME),
    authorization:
      authorization === undefined || authorization.username.length > MAX_NAME ? undefined : authorization,
  };
}

/** The nonce is bound to the realm and to the address that asked. */
export const nonceContext = ({ realm }: Claim, source: string): string => `${realm} ${source}`;

export function challengeFor(
  claim: Claim,
  name: string,
  how: {
    readonly nonce: string;
    readonly as: ChallengeAs;
    readonly secret: Uint8Array;
    readonly stale: boolean;
  },
): Challenge {
  const { nonce, as, secret, stale } = how;
  const values = digestChallenge({
    realm: claim.realm,
    nonce,
    algorithms: algorithmsFor(name, claim.index, secret),
    stale,
  });
  const header = as === 'registrar' ? 'WWW-Authenticate' : 'Proxy-Authenticate';
  return {
    status: as === 'registrar' ? 401 : 407,
    headers: values.map((value) => ({ name: header, value })),
  };
}

/**
 * Challenges for a process that verifies nobody, such as an edge: undefined for a request that gives credentials, or whose domain is not
 * known (here, or yet), which is for a registrar to judge. The answer is the one that the registrar would give: nonces are the pair's.
 */
export function challenger(options: {
  readonly directories: { readonly directories: Directories };
  readonly pairSecret: Uint8Array;
  readonly clock: Clock;
  readonly serverName: string;
}): (request: SipRequest, flow: Flow) => Challenge | undefined {
  const { directories, pairSecret, clock, serverName } = options;
  return (request, flow) => {
    const as = request.method === 'REGISTER' ? 'registrar' : 'proxy';
    const claim = claimOf(request, directories.directories, as);
    if (claim.index === undefined || claim.authorization !== undefined) return undefined;
    const context = nonceContext(claim, sourceOf(request, flow));
    const nonce = createNonce(pairSecret, clock.utcMs(), { context });
    const { status, headers } = challengeFor(claim, claim.user, {
      nonce,
      as,
      secret: pairSecret,
      stale: false,
    });
    return { status, headers: [...headers, { name: 'Server', value: serverName }] };
  };
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
