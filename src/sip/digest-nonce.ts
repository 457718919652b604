import { createHmac, timingSafeEqual } from 'node:crypto';
import { encodeBase32 } from '../base/index.ts';
import { toBytes } from './bytes.ts';

export interface NonceOptions {
  /** How old a nonce may be. Default 5 minutes. */
  readonly lifetimeMs?: number;
  /** What else the nonce is good for only: a realm, a flow. Must be the same in making and checking it. */
  readonly context?: string;
  /** In checking: this process made the nonce for this context, so its MAC is right. */
  readonly madeHere?: boolean;
}

const DEFAULT_LIFETIME_MS = 5 * 60_000;
/** A nonce of our twin may come from a clock that was set since. */
const TOLERANCE_MS = 60_000;
const TIME_DIGITS = 12;
/** 120 bits. */
const MAC_CHARACTERS = 24;

/**
 * A nonce that needs no memory (RFC 7616 §5.4): its time, and a MAC over it under the pair's secret, so that either zone checks what the other
 * gave out. 36 characters.
 */
export function createNonce(secret: Uint8Array, nowUtcMs: number, options: NonceOptions = {}): string {
  const time = Math.floor(nowUtcMs).toString(16).padStart(TIME_DIGITS, '0');
  return time + macOf(secret, time, options.context ?? '');
}

/** `stale`: ours, but too old: challenge again with `stale: true`. `bogus`: not ours. */
export function checkNonce(
  secret: Uint8Array,
  nonce: string,
  nowUtcMs: number,
  options: NonceOptions = {},
): 'fresh' | 'stale' | 'bogus' {
  if (nonce.length !== TIME_DIGITS + MAC_CHARACTERS) return 'bogus';
  const time = nonce.slice(0, TIME_DIGITS);
  if (!/^[0-9a-f]{12}$/.test(time)) return 'bogus';
  if (options.madeHere !== true) {
    const expected = macOf(secret, time, options.context ?? '');
    if (!timingSafeEqual(toBytes(nonce.slice(TIME_DIGITS)), toBytes(expected))) return 'bogus';
  }
  const ageMs = nowUtcMs - Number.parseInt(time, 16);
  return ageMs <= (options.lifetimeMs ?? DEFAULT_LIFETIME_MS) && ageMs >= -TOLERANCE_MS ? 'fresh' : 'stale';
}

function macOf(secret: Uint8Array, time: string, context: string): string {
  const mac = createHmac('sha256', secret).update(`nonce:${time}:${context}`).digest();
  return encodeBase32(mac.subarray(0, 15)).slice(0, MAC_CHARACTERS);
}
