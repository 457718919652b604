/**
 * Ciphers for many small packets, each context keyed once and used in place. `process` is the OpenSSL inside Node reached
 * without a copy, `libcrypto` the system's, `node` node:crypto (ten times slower).
 */
export interface CipherLibrary {
  readonly name: 'process' | 'libcrypto' | 'node';
  /** AES-GCM with 96-bit IV and 128-bit tag; 16 or 32 octets of key. */
  gcm(key: Uint8Array): GcmContext;
  /** AES in counter mode, the whole 128-bit block counting; 16 or 32 octets of key. */
  counter(key: Uint8Array): CounterContext;
  hmacSha1(key: Uint8Array): HmacContext;
}

/**
 * Set `iv` (12 octets; shared by all contexts of a thread), then call. Offsets count from the view's start. What does not
 * fit into the view is refused with false, and nothing is touched.
 */
export interface GcmContext {
  readonly iv: Uint8Array;
  /**
   * Encrypts [headerLength, end) in place and writes the tag to [end, end + 16). Authenticates [0, headerLength) and, unless
   * `extraAt` is negative, the 4 octets there.
   */
  seal(packet: Uint8Array, headerLength: number, end: number, extraAt: number): boolean;
  /** The reverse; false when the tag is wrong, and then [headerLength, end) may be spoilt. */
  open(packet: Uint8Array, headerLength: number, end: number, extraAt: number): boolean;
  free(): void;
}

/** Set `iv` (16 octets; shared by all contexts of a thread), then call. */
export interface CounterContext {
  readonly iv: Uint8Array;
  /** Encrypts or decrypts [start, end) in place. */
  apply(packet: Uint8Array, start: number, end: number): boolean;
  free(): void;
}

export interface HmacContext {
  /** The last result, 20 octets; overwritten by the next of any context of the thread. */
  readonly digest: Uint8Array;
  /** Over [0, end). */
  compute(packet: Uint8Array, end: number): boolean;
  free(): void;
}

export const GCM_TAG_LENGTH = 16;

/** Whether [0, start), [start, end), `tail` octets behind it and four at `extraAt` all lie inside the packet. */
export function fits(packet: Uint8Array, start: number, end: number, tail: number, extraAt: number): boolean {
  return (
    Number.isInteger(start) &&
    Number.isInteger(end) &&
    Number.isInteger(extraAt) &&
    start >= 0 &&
    start <= end &&
    end > 0 &&
    end + tail <= packet.length &&
    (extraAt < 0 || extraAt + 4 <= packet.length)
  );
}
