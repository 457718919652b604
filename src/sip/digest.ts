import * as crypto from 'node:crypto';
import { parseAuthValue } from './auth-params.ts';
import { toBytes } from './bytes.ts';
import { quote } from './chars.ts';
import { header, headerValues } from './headers.ts';
import type { SipMessage, SipRequest } from './message.ts';
import { parseUri } from './uri.ts';
import { uriEquals } from './uri-equals.ts';

/** RFC 2617, RFC 7616 and RFC 8760. `-sess` binds the password's hash to one nonce and cnonce. */
export type DigestAlgorithm =
  | 'MD5'
  | 'MD5-sess'
  | 'SHA-256'
  | 'SHA-256-sess'
  | 'SHA-512-256'
  | 'SHA-512-256-sess';

export type Qop = 'auth' | 'auth-int';

const ALGORITHMS: readonly DigestAlgorithm[] = [
  'MD5',
  'MD5-sess',
  'SHA-256',
  'SHA-256-sess',
  'SHA-512-256',
  'SHA-512-256-sess',
];
const HASHES: Readonly<Record<string, string>> = {
  MD5: 'md5',
  'SHA-256': 'sha256',
  'SHA-512-256': 'sha512-256',
};

const baseOf = (algorithm: DigestAlgorithm): string => algorithm.replace(/-sess$/, '');

/** Half as dear as an object that is fed; Node has it since 20.12. */
const hashAtOnce: typeof crypto.hash | undefined = crypto.hash;

function hash(algorithm: DigestAlgorithm, data: string | Uint8Array): string {
  const name = HASHES[baseOf(algorithm)]!;
  const bytes = typeof data === 'string' ? toBytes(data) : data;
  return hashAtOnce?.(name, bytes, 'hex') ?? crypto.createHash(name).update(bytes).digest('hex');
}

/** The algorithm of that name in any case; `MD5` when none is named (RFC 7616 §3.3); undefined for unknown ones. */
export const algorithmNamed = (name: string | undefined): DigestAlgorithm | undefined =>
  name === undefined ? 'MD5' : ALGORITHMS.find((known) => known.toLowerCase() === name.toLowerCase());

/**
 * What is kept instead of a password: H(user:realm:password), lower-case hex. The arguments are ordinary text. An algorithm and its
 * `-sess` form share one HA1.
 */
export const hashHa1 = (user: string, realm: string, password: string, algorithm: DigestAlgorithm): string =>
  hash(algorithm, Buffer.from(`${user}:${realm}:${password}`, 'utf8'));

export interface ChallengeOptions {
  readonly realm: string;
  readonly nonce: string;
  /** One challenge each, the preferred one first: clients take the first that they know (RFC 8760 §2.4). */
  readonly algorithms: readonly DigestAlgorithm[];
  /** The credentials were right, only the nonce is too old: the client answers without asking for the password. */
  readonly stale?: boolean;
  /** Default `['auth']`; empty for clients of RFC 2069. */
  readonly qop?: readonly Qop[];
  readonly opaque?: string;
}

/** Values for WWW-Authenticate or Proxy-Authenticate, one header each, in this order. */
export function digestChallenge({
  realm,
  nonce,
  algorithms,
  stale,
  qop,
  opaque,
}: ChallengeOptions): string[] {
  const offered = qop ?? ['auth'];
  return algorithms.map((algorithm) => {
    const parts = [`realm=${quote(realm)}`, `nonce=${quote(nonce)}`];
    if (opaque !== undefined) parts.push(`opaque=${quote(opaque)}`);
    if (stale) parts.push('stale=true');
    parts.push(`algorithm=${algorithm}`);
    if (offered.length > 0) parts.push(`qop="${offered.join(',')}"`);
    return `Digest ${parts.join(', ')}`;
  });
}

/** Digest credentials as a client sent them. Byte strings, unquoted. */
export interface DigestAuthorization {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  readonly response: string;
  readonly algorithm: DigestAlgorithm;
  readonly opaque?: string;
  /** Absent: RFC 2069's form without nonce count. */
  readonly qop?: Qop;
  readonly cnonce?: string;
  /** As sent, 8 hex digits; `nonceCount` is its number, for replay checks. */
  readonly nc?: string;
  readonly nonceCount?: number;
}

/** The value of an Authorization or Proxy-Authorization. Undefined if malformed or not Digest (RFC 4475 §3.3.7). */
export function parseAuthorization(value: string): DigestAuthorization | undefined {
  const parsed = parseAuthValue(value);
  if (parsed === undefined || parsed.scheme.toLowerCase() !== 'digest') return undefined;
  const { username, realm, nonce, uri, response, opaque, cnonce, nc } = parsed.params as Partial<
    Record<string, string>
  >;
  const algorithm = algorithmNamed(parsed.params['algorithm']);
  if (username === undefined || realm === undefined || nonce === undefined || uri === undefined)
    return undefined;
  if (response === undefined || algorithm === undefined) return undefined;
  const qop = parsed.params['qop']?.toLowerCase();
  const required = {
    username,
    realm,
    nonce,
    uri,
    response,
    algorithm,
    ...(opaque !== undefined && { opaque }),
  };
  if (qop === undefined) return cnonce === undefined ? required : { ...required, cnonce };
  if (qop !== 'auth' && qop !== 'auth-int') return undefined;
  if (cnonce === undefined || nc === undefined || !/^[0-9a-f]{8}$/i.test(nc)) return undefined;
  return { ...required, qop, cnonce, nc, nonceCount: Number.parseInt(nc, 16) };
}

/** All Digest credentials of a request, of proxies and end systems alike; those for other realms among them. */
export function authorizationsOf(
  request: SipMessage,
  name: 'Authorization' | 'Proxy-Authorization',
): DigestAuthorization[] {
  return headerValues(request, name)
    .map(parseAuthorization)
    .filter((one) => one !== undefined);
}

export interface DigestCheck {
  readonly authorization: DigestAuthorization;
  readonly method: string;
  /** `hashHa1` for the authorization's algorithm. */
  readonly ha1: string;
  readonly body: string;
  /** The Request-URI. Given, the credentials must have been made for it (RFC 7616 §3.4.6); proxies on the way may have changed it. */
  readonly uri?: string;
}

/** Whether the response was made with the password behind `ha1`. Says nothing about the nonce: see `checkNonce`. */
export function verifyDigest({ authorization, method, ha1, body, uri }: DigestCheck): boolean {
  if (uri !== undefined && !sameUri(authorization.uri, uri)) return false;
  const expected = digestResponse(authorization, method, ha1, body);
  const given = authorization.response.toLowerCase();
  return (
    expected !== undefined &&
    given.length === expected.length &&
    crypto.timingSafeEqual(toBytes(given), toBytes(expected))
  );
}

function sameUri(a: string, b: string): boolean {
  if (a === b) return true;
  const parsedA = parseUri(a);
  const parsedB = parseUri(b);
  return parsedA !== undefined && parsedB !== undefined && uriEquals(parsedA, parsedB);
}

type Answered = Pick<DigestAuthorization, 'algorithm' | 'nonce' | 'uri' | 'qop' | 'cnonce' | 'nc'>;

function digestResponse(answer: Answered, method: string, ha1: string, body: string): string | undefined {
  const { algorithm, nonce, uri, qop, cnonce, nc } = answer;
  let a1 = ha1.toLowerCase();
  if (algorithm.endsWith('-sess')) {
    if (cnonce === undefined) return undefined;
    a1 = hash(algorithm, `${a1}:${nonce}:${cnonce}`);
  }
  const a2 = qop === 'auth-int' ? `${method}:${uri}:${hash(algorithm, body)}` : `${method}:${uri}`;
  const middle = qop === undefined ? nonce : `${nonce}:${nc}:${cnonce}:${qop}`;
  return hash(algorithm, `${a1}:${middle}:${hash(algorithm, a2)}`);
}

/** A challenge as a client reads it. */
export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  readonly algorithm: DigestAlgorithm;
  readonly qop: readonly Qop[];
  readonly stale: boolean;
  readonly opaque?: string;
}

/** Undefined if malformed, not Digest, or of an algorithm that we do not know. */
export function parseChallenge(value: string): DigestChallenge | undefined {
  const parsed = parseAuthValue(value);
  if (parsed === undefined || parsed.scheme.toLowerCase() !== 'digest') return undefined;
  const { realm, nonce, opaque, qop, stale } = parsed.params as Partial<Record<string, string>>;
  const algorithm = algorithmNamed(parsed.params['algorithm']);
  if (realm === undefined || nonce === undefined || algorithm === undefined) return undefined;
  const offered = (qop ?? '').split(',').map((one) => one.trim().toLowerCase());
  return {
    realm,
    nonce,
    algorithm,
    qop: (['auth', 'auth-int'] as const).filter((one) => offered.includes(one)),
    stale: stale?.toLowerCase() === 'true',
    ...(opaque !== undefined && { opaque }),
  };
}

export interface AnswerOptions {
  /** Ordinary text. */
  readonly user: string;
  readonly password: string;
  readonly method: string;
  readonly uri: string;
  readonly body?: string;
  readonly cnonce: string;
  /** How often this nonce was used, this time included. Default 1. */
  readonly nc?: number;
  /** Default: `auth` if offered, else what is offered. */
  readonly qop?: Qop;
}

/** A client's answer to one challenge: the value for (Proxy-)Authorization. Undefined where the challenge cannot be answered. */
export function answerChallenge(challengeHeader: string, options: AnswerOptions): string | undefined {
  const challenge = parseChallenge(challengeHeader);
  if (challenge === undefined) return undefined;
  const { algorithm, nonce, opaque } = challenge;
  const { method, uri, body = '', cnonce } = options;
  const qop = options.qop ?? challenge.qop[0];
  const nc = (options.nc ?? 1).toString(16).padStart(8, '0');
  const realm = Buffer.from(challenge.realm, 'latin1').toString('utf8');
  const ha1 = hashHa1(options.user, realm, options.password, algorithm);
  const needsCnonce = qop !== undefined || algorithm.endsWith('-sess');
  const answer = { algorithm, nonce, uri, ...(qop && { qop, nc }), ...(needsCnonce && { cnonce }) };
  const response = digestResponse(answer, method, ha1, body)!;
  const user = Buffer.from(options.user, 'utf8').toString('latin1');
  const parts = [`username=${quote(user)}`, `realm=${quote(challenge.realm)}`, `nonce=${quote(nonce)}`];
  parts.push(`uri=${quote(uri)}`, `response="${response}"`, `algorithm=${algorithm}`);
  if (opaque !== undefined) parts.push(`opaque=${quote(opaque)}`);
  if (needsCnonce) parts.push(`cnonce=${quote(cnonce)}`);
  if (qop !== undefined) parts.push(`qop=${qop}`, `nc=${nc}`);
  return `Digest ${parts.join(', ')}`;
}

/** The name of the header that answers a 401 or a 407. */
export const credentialsHeader = (status: number): 'Authorization' | 'Proxy-Authorization' =>
  status === 407 ? 'Proxy-Authorization' : 'Authorization';

/** Whether the request carries credentials of any scheme. */
export const hasCredentials = (request: SipRequest): boolean =>
  header(request, 'Authorization') !== undefined || header(request, 'Proxy-Authorization') !== undefined;
