import { createCipheriv } from 'node:crypto';

export type SrtpSuite =
  | 'AEAD_AES_256_GCM'
  | 'AEAD_AES_128_GCM'
  | 'AES_256_CM_HMAC_SHA1_80'
  | 'AES_CM_128_HMAC_SHA1_80';

/** Master key and master salt, concatenated, in base64 as in `a=crypto`. */
export interface SrtpKey {
  readonly suite: SrtpSuite;
  readonly keySalt: string;
}

interface SuiteShape {
  readonly gcm: boolean;
  readonly keyLength: number;
  readonly saltLength: number;
  /** Octets behind an RTP packet. */
  readonly tagLength: number;
}

export const SUITES: Readonly<Record<SrtpSuite, SuiteShape>> = {
  AEAD_AES_256_GCM: { gcm: true, keyLength: 32, saltLength: 12, tagLength: 16 },
  AEAD_AES_128_GCM: { gcm: true, keyLength: 16, saltLength: 12, tagLength: 16 },
  AES_256_CM_HMAC_SHA1_80: { gcm: false, keyLength: 32, saltLength: 14, tagLength: 10 },
  AES_CM_128_HMAC_SHA1_80: { gcm: false, keyLength: 16, saltLength: 14, tagLength: 10 },
};

/** What a suite adds to an RTP packet at most, and to an RTCP packet (index word included). */
export const SRTP_OVERHEAD = 16;
export const SRTCP_OVERHEAD = 20;

/** Session keys of one direction. Derived once per master key: 25 µs, so a stand-by derives them before they are needed. */
export interface SrtpSessionKeys {
  readonly suite: SrtpSuite;
  readonly rtp: SessionKeySet;
  readonly rtcp: SessionKeySet;
}

export interface SessionKeySet {
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
  /** HMAC-SHA1's key of 20 octets; empty for GCM, which needs none. */
  readonly auth: Uint8Array;
}

/** Octets that `keySalt` must decode to. */
export const keySaltLength = (suite: SrtpSuite): number => SUITES[suite].keyLength + SUITES[suite].saltLength;

/** Whether a key can be used: a known suite and exactly its octets. */
export function isUsableKey(key: SrtpKey): boolean {
  return (
    Object.hasOwn(SUITES, key.suite) && Buffer.from(key.keySalt, 'base64').length === keySaltLength(key.suite)
  );
}

/**
 * Session keys from a master key (RFC 3711 §4.3, key derivation rate 0; RFC 6188 §2 for 256 bits; RFC 7714 §11). Throws
 * TypeError for a key that `isUsableKey` refuses: keys are checked where they come in.
 */
export function deriveKeys(key: SrtpKey): SrtpSessionKeys {
  if (!isUsableKey(key)) throw new TypeError(`a key of another length than ${key.suite} has`);
  const { gcm, keyLength, saltLength } = SUITES[key.suite];
  const bytes = Buffer.from(key.keySalt, 'base64');
  const masterKey = bytes.subarray(0, keyLength);
  // GCM's salt of 96 bits is taken as the 112 bits of RFC 3711 with 16 zero bits behind it (RFC 7714 §11).
  const masterSalt = Buffer.alloc(14);
  bytes.copy(masterSalt, 0, keyLength);
  const set = (firstLabel: number): SessionKeySet => ({
    key: derive(masterKey, masterSalt, firstLabel, keyLength),
    auth: gcm ? new Uint8Array(0) : derive(masterKey, masterSalt, firstLabel + 1, 20),
    salt: derive(masterKey, masterSalt, firstLabel + 2, saltLength),
  });
  return { suite: key.suite, rtp: set(0), rtcp: set(3) };
}

/** AES in counter mode over zeros, from (salt with the label in its 8th octet) × 2^16 on (RFC 3711 §4.3.3). */
export function derive(
  masterKey: Uint8Array,
  masterSalt: Uint8Array,
  label: number,
  length: number,
): Uint8Array {
  const iv = Buffer.alloc(16);
  iv.set(masterSalt);
  iv[7] = iv[7]! ^ label;
  const algorithm = masterKey.length === 32 ? 'aes-256-ctr' : 'aes-128-ctr';
  return Uint8Array.from(createCipheriv(algorithm, masterKey, iv).update(Buffer.alloc(length)));
}
