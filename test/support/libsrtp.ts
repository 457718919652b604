import koffi from 'koffi';
import type { SrtpSuite } from '../../src/rtp/index.ts';

/** Debian's libsrtp2 as another implementation of SRTP to compare ours with. */
export interface LibSrtp {
  /** A session for all SSRCs of one direction. `keySalt` as in `a=crypto`. */
  session(suite: SrtpSuite, keySalt: string, direction: 'sends' | 'receives'): LibSrtpSession;
}

/** In place; the new length, or the negative of libsrtp's status. */
export interface LibSrtpSession {
  protectRtp(packet: Buffer, length: number): number;
  unprotectRtp(packet: Buffer, length: number): number;
  protectRtcp(packet: Buffer, length: number): number;
  unprotectRtcp(packet: Buffer, length: number): number;
  close(): void;
}

const POLICIES: Readonly<Record<SrtpSuite, string>> = {
  AEAD_AES_256_GCM: 'srtp_crypto_policy_set_aes_gcm_256_16_auth',
  AEAD_AES_128_GCM: 'srtp_crypto_policy_set_aes_gcm_128_16_auth',
  AES_256_CM_HMAC_SHA1_80: 'srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80',
  // Its name in libsrtp is the default policy's.
  AES_CM_128_HMAC_SHA1_80: 'srtp_crypto_policy_set_rtp_default',
};

/** Offsets in srtp_policy_t of libsrtp 2 on 64-bit machines. */
const AT = { ssrcType: 0, rtp: 8, rtcp: 32, key: 56, windowSize: 88, length: 128 } as const;
const ANY_INBOUND = 2;
const ANY_OUTBOUND = 3;

/** Undefined where the library is not installed. */
export function loadLibSrtp(): LibSrtp | undefined {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libsrtp2.so.1');
  } catch {
    return undefined;
  }
  if ((library.func('int srtp_init()') as () => number)() !== 0) throw new Error('libsrtp does not start');
  const create = library.func('int srtp_create(_Out_ void **session, void *policy)');
  const dealloc = library.func('int srtp_dealloc(void *session)');
  const setPolicies = Object.fromEntries(
    Object.values(POLICIES).map((name) => [name, library.func(`void ${name}(void *policy)`)]),
  );
  const call = (name: string) => {
    const run = library.func(`int ${name}(void *session, void *packet, _Inout_ int *length)`);
    return (session: unknown, packet: Buffer, length: number): number => {
      const inOut = [length];
      const status = run(session, packet, inOut) as number;
      return status === 0 ? inOut[0]! : -status;
    };
  };
  const calls = {
    protectRtp: call('srtp_protect'),
    unprotectRtp: call('srtp_unprotect'),
    protectRtcp: call('srtp_protect_rtcp'),
    unprotectRtcp: call('srtp_unprotect_rtcp'),
  };
  return {
    session(suite, keySalt, direction) {
      const policy = Buffer.alloc(AT.length);
      // libsrtp keeps no pointer to the key after srtp_create.
      const key = Buffer.from(new Uint8Array(Buffer.from(keySalt, 'base64')).buffer);
      policy.writeInt32LE(direction === 'sends' ? ANY_OUTBOUND : ANY_INBOUND, AT.ssrcType);
      setPolicies[POLICIES[suite]]!(policy.subarray(AT.rtp, AT.rtcp));
      setPolicies[POLICIES[suite]]!(policy.subarray(AT.rtcp, AT.key));
      policy.writeBigUInt64LE(BigInt(koffi.address(key)), AT.key);
      policy.writeBigUInt64LE(128n, AT.windowSize);
      const out: unknown[] = [null];
      const status = create(out, policy) as number;
      if (status !== 0) throw new Error(`libsrtp refuses ${suite}: status ${status}`);
      const session = out[0];
      return {
        protectRtp: (packet, length) => calls.protectRtp(session, packet, length),
        unprotectRtp: (packet, length) => calls.unprotectRtp(session, packet, length),
        protectRtcp: (packet, length) => calls.protectRtcp(session, packet, length),
        unprotectRtcp: (packet, length) => calls.unprotectRtcp(session, packet, length),
        close: () => dealloc(session),
      };
    },
  };
}
