import type { HmacContext, UdpAddress } from '../native/index.ts';
import { writeUint32 } from './packet.ts';
import { fingerprintOf, setStunLength, writeUint16 } from './stun.ts';
import {
  ATTRIBUTE_HEADER_LENGTH,
  ERROR_CODE,
  FINGERPRINT,
  ICE_CONTROLLED,
  ICE_CONTROLLING,
  INTEGRITY_LENGTH,
  MESSAGE_INTEGRITY,
  PRIORITY,
  STUN_HEADER_LENGTH,
  STUN_MAGIC_COOKIE,
  STUN_TRANSACTION_AT,
  STUN_TRANSACTION_LENGTH,
  UNKNOWN_ATTRIBUTES,
  USE_CANDIDATE,
  USERNAME,
  XOR_MAPPED_ADDRESS,
} from './stun-codes.ts';

/*
 * Writes a STUN message (RFC 8489) from front to back: `beginStun`, attributes, `finishStun`. Each function is given where the last one
 * ended and returns where it ended itself. The caller's buffer must hold all of it: the longest answer of ours has fewer than 200 octets.
 */

/** The transaction id is that of `request`, or `transaction` at 0 if that is a view of 12 octets alone. */
export function beginStun(into: Uint8Array, type: number, transaction: Uint8Array): number {
  writeUint16(into, 0, type);
  writeUint16(into, 2, 0);
  writeUint32(into, 4, STUN_MAGIC_COOKIE);
  const from = transaction.length === STUN_TRANSACTION_LENGTH ? 0 : STUN_TRANSACTION_AT;
  for (let i = 0; i < STUN_TRANSACTION_LENGTH; i++) into[STUN_TRANSACTION_AT + i] = transaction[from + i]!;
  return STUN_HEADER_LENGTH;
}

/** §14.2. The cookie and the transaction id, which stand before it already, are the pad. */
export function writeXorMappedAddress(into: Uint8Array, at: number, address: UdpAddress): number {
  const words = address.family === 4 ? 1 : 4;
  const value = writeHeader(into, at, XOR_MAPPED_ADDRESS, 4 + 4 * words);
  into[value] = 0;
  into[value + 1] = address.family === 4 ? 1 : 2;
  writeUint16(into, value + 2, address.port ^ (STUN_MAGIC_COOKIE >>> 16));
  for (let i = 0; i < words; i++) writeUint32(into, value + 4 + 4 * i, address.words[i]!);
  for (let i = 0; i < 4 * words; i++) into[value + 4 + i] = into[value + 4 + i]! ^ into[4 + i]!;
  return value + 4 + 4 * words;
}

/** §14.8. `reason` in ASCII. */
export function writeErrorCode(into: Uint8Array, at: number, code: number, reason: string): number {
  const value = writeHeader(into, at, ERROR_CODE, 4 + reason.length);
  writeUint16(into, value, 0);
  into[value + 2] = Math.floor(code / 100);
  into[value + 3] = code % 100;
  for (let i = 0; i < reason.length; i++) into[value + 4 + i] = reason.charCodeAt(i);
  return pad(into, value + 4 + reason.length);
}

/** §14.9. The first `count` of `types`. */
export function writeUnknownAttributes(
  into: Uint8Array,
  at: number,
  types: Uint16Array,
  count: number,
): number {
  const value = writeHeader(into, at, UNKNOWN_ATTRIBUTES, 2 * count);
  for (let i = 0; i < count; i++) writeUint16(into, value + 2 * i, types[i]!);
  return pad(into, value + 2 * count);
}

/** §14.3. In ICE: the receiver's fragment, a colon, the sender's (RFC 8445 §7.2.2). UTF-8. */
export function writeUsername(into: Uint8Array, at: number, username: Uint8Array): number {
  const value = writeHeader(into, at, USERNAME, username.length);
  into.set(username, value);
  return pad(into, value + username.length);
}

/** RFC 8445 §16.1: what a candidate at this address would have. */
export function writePriority(into: Uint8Array, at: number, priority: number): number {
  const value = writeHeader(into, at, PRIORITY, 4);
  writeUint32(into, value, priority);
  return value + 4;
}

export const writeUseCandidate = (into: Uint8Array, at: number): number =>
  writeHeader(into, at, USE_CANDIDATE, 0);

/** RFC 8445 §16.1. `tieBreaker` has eight octets. */
export function writeRole(
  into: Uint8Array,
  at: number,
  role: 'controlling' | 'controlled',
  tieBreaker: Uint8Array,
): number {
  const value = writeHeader(into, at, role === 'controlled' ? ICE_CONTROLLED : ICE_CONTROLLING, 8);
  into.set(tieBreaker, value);
  return value + 8;
}

/** Adds MESSAGE-INTEGRITY, if there is a key, and FINGERPRINT; the whole message's length. */
export function finishStun(into: Uint8Array, end: number, key: HmacContext | undefined): number {
  let at = end;
  if (key !== undefined) {
    setStunLength(into, at + ATTRIBUTE_HEADER_LENGTH + INTEGRITY_LENGTH);
    if (!key.compute(into, at)) throw new RangeError('a STUN message ends outside its buffer');
    const value = writeHeader(into, at, MESSAGE_INTEGRITY, INTEGRITY_LENGTH);
    into.set(key.digest, value);
    at = value + INTEGRITY_LENGTH;
  }
  setStunLength(into, at + ATTRIBUTE_HEADER_LENGTH + 4);
  const fingerprint = fingerprintOf(into, at);
  writeUint32(into, writeHeader(into, at, FINGERPRINT, 4), fingerprint);
  return at + ATTRIBUTE_HEADER_LENGTH + 4;
}

function writeHeader(into: Uint8Array, at: number, type: number, size: number): number {
  writeUint16(into, at, type);
  writeUint16(into, at + 2, size);
  return at + ATTRIBUTE_HEADER_LENGTH;
}

function pad(into: Uint8Array, end: number): number {
  let at = end;
  while (at % 4 !== 0) into[at++] = 0;
  return at;
}
