import type { DtlsCalls } from './dtls-calls.ts';
import { theRoom } from './dtls-memory.ts';
import type { CertificateDigest, DigestName } from './dtls-types.ts';
import { DIGEST_LENGTHS } from './dtls-types.ts';
import type { Address } from './openssl-calls.ts';

/*
 * The peer's certificate is checked by OpenSSL's DANE code (RFC 7671, DANE-EE(3) Cert(0)): that is just what a fingerprint in SDP is, a
 * digest of the end entity's certificate that stands for all of chain, names and dates. So no verify callback is needed, and
 * a wrong certificate never gets as far as keys.
 */
const DANE_EE = 3;
const DANE_CERTIFICATE = 0;
const NO_NAME_CHECKS = 1;
/** Matching types 1 and 2 are registered, the others are of our own; the order is that of strength. */
const DANE_DIGESTS: Readonly<Record<DigestName, { readonly type: number; readonly strength: number }>> = {
  'sha-1': { type: 3, strength: 1 },
  'sha-256': { type: 1, strength: 2 },
  'sha-384': { type: 4, strength: 3 },
  'sha-512': { type: 2, strength: 4 },
};

/** What the context must know before sessions can expect fingerprints. False: OpenSSL lacks something. */
export function enableFingerprints(calls: DtlsCalls, context: Address): boolean {
  const digests: Record<DigestName, Address> = {
    'sha-1': calls.sha1(),
    'sha-256': calls.sha256(),
    'sha-384': calls.sha384(),
    'sha-512': calls.sha512(),
  };
  if (calls.daneEnable(context) !== 1) return false;
  return Object.entries(DANE_DIGESTS).every(
    ([name, { type, strength }]) =>
      calls.daneDigest(context, digests[name as DigestName], type, strength) > 0,
  );
}

/** From now on the session takes only certificates with one of these digests, of the strongest hash. False: OpenSSL takes no such digest. */
export function expectFingerprints(
  calls: DtlsCalls,
  session: Address,
  fingerprints: readonly CertificateDigest[],
): boolean {
  const { input, inputAt } = theRoom();
  if (calls.sessionDane(session, 0) !== 1) return false;
  calls.sessionDaneFlags(session, NO_NAME_CHECKS);
  return fingerprints.every(({ hash, digest }) => {
    if (digest.length !== DIGEST_LENGTHS[hash]) return false;
    input.set(digest);
    const { type } = DANE_DIGESTS[hash];
    return calls.sessionDaneAdd(session, DANE_EE, DANE_CERTIFICATE, type, inputAt, digest.length) === 1;
  });
}
