import { failed, ok, type Result } from '../base/index.ts';
import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';

/** Who sends the ClientHello (RFC 4145 §4, RFC 8842 §5). `holdconn` has no place with DTLS. */
export type Setup = 'actpass' | 'active' | 'passive';
export type DtlsRole = 'active' | 'passive';

/** Of a certificate (RFC 8122 §5): `sha-256`, and octets in upper-case hexadecimal with colons. */
export interface Fingerprint {
  readonly hash: string;
  readonly value: string;
}

/** One side's half of DTLS-SRTP, as its description says it (RFC 5763, RFC 8842). */
export interface DtlsDescription {
  /** One of them is of its certificate. */
  readonly fingerprints: readonly Fingerprint[];
  /** Undefined: none was said, or one that cannot be. */
  readonly setup: Setup | undefined;
  /** Another one asks for a new association (RFC 8842 §4). */
  readonly tlsId?: string;
}

/** Octets of a hash. MD2 and MD5 must not be used (RFC 8122 §5). */
const HASH_LENGTHS: Readonly<Record<string, number>> = {
  'sha-512': 64,
  'sha-384': 48,
  'sha-256': 32,
  'sha-224': 28,
  'sha-1': 20,
};
const WEAK = new Set(['sha-1', 'sha-224']);
const MAX_FINGERPRINTS = 8;

/** Undefined for a peer without a fingerprint that we could check. `tagged`: the bundle's line that speaks for this one. */
export function dtlsOf(
  sd: SessionDescription,
  media: MediaDescription,
  tagged?: MediaDescription,
): DtlsDescription | undefined {
  const holders = [media, ...(tagged === undefined ? [] : [tagged]), sd];
  const own = holders.map(fingerprintsOf).find((found) => found.length > 0);
  if (own === undefined) return undefined;
  const strong = own.filter(({ hash }) => !WEAK.has(hash));
  const said = (name: string): string | undefined =>
    holders.map((holder) => attributeOf(holder, name)?.value).find((value) => value !== undefined);
  const tlsId = said('tls-id');
  return {
    fingerprints: (strong.length > 0 ? strong : own).slice(0, MAX_FINGERPRINTS),
    setup: readSetup(said('setup')),
    ...(tlsId !== undefined && /^[A-Za-z0-9+/_-]{20,255}$/.test(tlsId) && { tlsId }),
  };
}

function fingerprintsOf(holder: Pick<MediaDescription, 'attributes'>): Fingerprint[] {
  const found: Fingerprint[] = [];
  for (const { name, value } of holder.attributes) {
    if (name !== 'fingerprint' || value === undefined || found.length === MAX_FINGERPRINTS) continue;
    const [, algorithm = '', octets = ''] =
      /^([A-Za-z0-9-]{3,10})[ \t]+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){1,63})$/.exec(value) ?? [];
    const hash = algorithm.toLowerCase();
    const length = Object.hasOwn(HASH_LENGTHS, hash) ? HASH_LENGTHS[hash] : undefined;
    if (length !== undefined && octets.length === 3 * length - 1)
      found.push({ hash, value: octets.toUpperCase() });
  }
  return found;
}

function readSetup(value: string | undefined): Setup | undefined {
  switch (value?.toLowerCase()) {
    case 'actpass':
      return 'actpass';
    case 'active':
      return 'active';
    case 'passive':
      return 'passive';
    default:
      return undefined;
  }
}

/**
 * Our role for an answer. To `actpass` the one that we have, if this association goes on (RFC 8842 §5.3), else passive: a lite agent
 * learns where the peer is only from its checks, and the peer's ClientHello follows them.
 */
export function roleForAnswer(offered: DtlsDescription, current: DtlsRole | undefined): DtlsRole {
  switch (offered.setup) {
    case 'passive':
      return 'active';
    case 'active':
      return 'passive';
    default:
      return current ?? 'passive';
  }
}

/** Our role by the answer to our `actpass` (RFC 8842 §5.4). `actpass` is no answer: nobody would begin. */
export function roleFromAnswer(answered: DtlsDescription): Result<DtlsRole, 'bad_answer'> {
  if (answered.setup === 'actpass') return failed('bad_answer');
  // RFC 4145 §4: an answer without it is passive.
  return ok(answered.setup === 'active' ? 'passive' : 'active');
}

export function sameFingerprints(one: readonly Fingerprint[], other: readonly Fingerprint[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ hash, value }) => other.some((each) => each.hash === hash && each.value === value))
  );
}

export function dtlsAttributes(fingerprint: Fingerprint, setup: Setup, tlsId?: string): SdpAttribute[] {
  return [
    { name: 'fingerprint', value: `${fingerprint.hash} ${fingerprint.value}` },
    { name: 'setup', value: setup },
    ...(tlsId === undefined ? [] : [{ name: 'tls-id', value: tlsId }]),
  ];
}
