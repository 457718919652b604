import { type CertificateDigest, DIGEST_LENGTHS, type DigestName } from '../native/index.ts';
import type { DtlsTerms } from './protocol.ts';

const MOST_FINGERPRINTS = 16;
/** Of SHA-512, with room for hashes to come. */
const LONGEST_VALUE = 256;

/** What is wrong with the terms of a spec, as the end of a sentence; undefined: nothing. */
export function problemOfTerms(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'is no object';
  const { role, fingerprints, association } = value as Partial<Record<keyof DtlsTerms, unknown>>;
  if (role !== 'active' && role !== 'passive') return 'must have a role, active or passive';
  if (association !== undefined && (!Number.isSafeInteger(association) || (association as number) < 0))
    return 'must have a whole number from 0 as association';
  if (!Array.isArray(fingerprints) || fingerprints.length > MOST_FINGERPRINTS)
    return `must have at most ${MOST_FINGERPRINTS} fingerprints`;
  const areTexts = fingerprints.every(
    (each) => isText(each?.hash) && isText(each?.value) && each.value.length <= LONGEST_VALUE,
  );
  return areTexts ? undefined : 'must have fingerprints of a hash and a value';
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0;

/** Those that we can compare (RFC 8122 §5: hashes in any case, octets in hexadecimal between colons); others are left out. */
export function usableFingerprints({ fingerprints }: DtlsTerms): CertificateDigest[] {
  return fingerprints.flatMap(({ hash, value }) => {
    const name = hash.toLowerCase();
    if (!Object.hasOwn(DIGEST_LENGTHS, name) || !/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(value)) return [];
    const digest = Buffer.from(value.replaceAll(':', ''), 'hex');
    return digest.length === DIGEST_LENGTHS[name as DigestName] ? [{ hash: name as DigestName, digest }] : [];
  });
}

/** Terms of the same name ask for the same association (RFC 8842 §4): another role, certificate or number is a new one. */
export function nameOfTerms({ role, fingerprints, association = 0 }: DtlsTerms): string {
  const values = fingerprints.map(({ hash, value }) => `${hash} ${value}`.toLowerCase()).sort();
  return [role, association, ...values].join(' ');
}
