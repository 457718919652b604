/** Suites that a handshake can agree on (RFC 5764 §4.1.2, RFC 7714 §14.2), as `a=crypto` names them. */
export type DtlsSrtpSuite = 'AEAD_AES_256_GCM' | 'AEAD_AES_128_GCM' | 'AES_CM_128_HMAC_SHA1_80';

/** What a handshake gave: master key and salt, concatenated, of what either side sends. Secret. */
export interface DtlsSrtpKeys {
  readonly suite: DtlsSrtpSuite;
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

interface Profile {
  readonly suite: DtlsSrtpSuite;
  readonly openSslName: string;
  readonly keyLength: number;
  readonly saltLength: number;
}

/** By number in IANA's registry; in our order of preference, which decides when we are the server. */
const PROFILES: ReadonlyMap<number, Profile> = new Map([
  [8, { suite: 'AEAD_AES_256_GCM', openSslName: 'SRTP_AEAD_AES_256_GCM', keyLength: 32, saltLength: 12 }],
  [7, { suite: 'AEAD_AES_128_GCM', openSslName: 'SRTP_AEAD_AES_128_GCM', keyLength: 16, saltLength: 12 }],
  [
    1,
    {
      suite: 'AES_CM_128_HMAC_SHA1_80',
      openSslName: 'SRTP_AES128_CM_SHA1_80',
      keyLength: 16,
      saltLength: 14,
    },
  ],
]);

/** What `SSL_CTX_set_tlsext_use_srtp` takes. */
export const PROFILE_NAMES = [...PROFILES.values()].map(({ openSslName }) => openSslName).join(':');

export const EXPORTER_LABEL = 'EXTRACTOR-dtls_srtp';

/** Octets to be exported for a profile; undefined for one that we did not offer. */
export function exportLength(profile: number): number | undefined {
  const found = PROFILES.get(profile);
  return found && 2 * (found.keyLength + found.saltLength);
}

/** RFC 5764 §4.2: client's key, server's key, client's salt, server's salt. `material` has `exportLength` octets. */
export function splitMaterial(profile: number, material: Uint8Array): DtlsSrtpKeys {
  const { suite, keyLength, saltLength } = PROFILES.get(profile)!;
  const part = (key: number, salt: number): Uint8Array =>
    Uint8Array.from([
      ...material.subarray(key, key + keyLength),
      ...material.subarray(salt, salt + saltLength),
    ]);
  const salts = 2 * keyLength;
  return { suite, client: part(0, salts), server: part(keyLength, salts + saltLength) };
}
