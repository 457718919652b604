import type { HmacContext, UdpAddress } from '../native/index.ts';
import { crc32 } from './crc32.ts';
import { readUint32 } from './packet.ts';
import {
  ATTRIBUTE_HEADER_LENGTH,
  ERROR_CODE,
  FINGERPRINT,
  FINGERPRINT_XOR,
  FIRST_OPTIONAL_ATTRIBUTE,
  ICE_CONTROLLED,
  ICE_CONTROLLING,
  INTEGRITY_LENGTH,
  MAPPED_ADDRESS,
  MESSAGE_INTEGRITY,
  MESSAGE_INTEGRITY_SHA256,
  NONCE,
  PRIORITY,
  REALM,
  STUN_HEADER_LENGTH,
  STUN_MAGIC_COOKIE,
  STUN_TRANSACTION_AT,
  UNKNOWN_ATTRIBUTES,
  USE_CANDIDATE,
  USERNAME,
  XOR_MAPPED_ADDRESS,
} from './stun-codes.ts';

/** An answer need not list more than these: whoever sends more is told of the first. */
const MOST_UNKNOWN = 16;

/**
 * A STUN message (RFC 8489) as numbers and places in its packet. Made once and filled again by each `parseStun`, so that checks, which
 * come every few seconds on every stream, leave no garbage. `…At` is -1 for what is not there.
 */
export class StunMessage {
  /** Class and method as they stand in the packet: `STUN_BINDING_REQUEST` … */
  type = 0;
  length = 0;
  usernameAt = -1;
  usernameLength = 0;
  /** Of the attribute's header. */
  integrityAt = -1;
  hasFingerprint = false;
  /** -1: none. */
  priority = -1;
  useCandidate = false;
  role: 'none' | 'controlling' | 'controlled' = 'none';
  /** The eight octets of the tie-breaker that came with the role. */
  tieBreakerAt = -1;
  /** Of the value, as `readXorMappedAddress` reads it. */
  mappedAt = -1;
  mappedLength = 0;
  /** 300 to 699; 0: none. */
  errorCode = 0;
  /** Attributes that must be understood (RFC 8489 §14) and are not. */
  readonly unknown = new Uint16Array(MOST_UNKNOWN);
  unknownCount = 0;

  reset(): void {
    this.type = 0;
    this.length = 0;
    this.usernameAt = -1;
    this.usernameLength = 0;
    this.integrityAt = -1;
    this.hasFingerprint = false;
    this.priority = -1;
    this.useCandidate = false;
    this.role = 'none';
    this.tieBreakerAt = -1;
    this.mappedAt = -1;
    this.mappedLength = 0;
    this.errorCode = 0;
    this.unknownCount = 0;
  }
}

/**
 * Reads a message that takes up the packet's first `length` octets. False for what is none: wrong cookie, lengths that do not add up, an
 * attribute of a wrong size, a FINGERPRINT that is wrong or not the last. Of an attribute that stands there twice the first counts; behind
 * MESSAGE-INTEGRITY nothing counts but FINGERPRINT (§14.5).
 */
export function parseStun(packet: Uint8Array, length: number, into: StunMessage): boolean {
  into.reset();
  if (length < STUN_HEADER_LENGTH || length > packet.length || length % 4 !== 0) return false;
  if (packet[0]! > 63 || readUint32(packet, 4) !== STUN_MAGIC_COOKIE) return false;
  if (readUint16(packet, 2) !== length - STUN_HEADER_LENGTH) return false;
  into.type = readUint16(packet, 0);
  into.length = length;
  let at = STUN_HEADER_LENGTH;
  while (at < length) {
    if (at + ATTRIBUTE_HEADER_LENGTH > length) return false;
    const type = readUint16(packet, at);
    const size = readUint16(packet, at + 2);
    const value = at + ATTRIBUTE_HEADER_LENGTH;
    const next = value + ((size + 3) & ~3);
    if (next > length) return false;
    if (type === FINGERPRINT) {
      if (size !== 4 || next !== length) return false;
      if (readUint32(packet, value) !== fingerprintOf(packet, at)) return false;
      into.hasFingerprint = true;
    } else if (into.integrityAt < 0 && !takeAttribute(packet, type, at, value, size, into)) return false;
    at = next;
  }
  return true;
}

function takeAttribute(
  packet: Uint8Array,
  type: number,
  at: number,
  value: number,
  size: number,
  into: StunMessage,
): boolean {
  switch (type) {
    case USERNAME:
      if (into.usernameAt >= 0) return true;
      into.usernameAt = value;
      into.usernameLength = size;
      return true;
    case MESSAGE_INTEGRITY:
      into.integrityAt = at;
      return size === INTEGRITY_LENGTH;
    case PRIORITY:
      if (size !== 4) return false;
      if (into.priority < 0) into.priority = readUint32(packet, value);
      return true;
    case USE_CANDIDATE:
      into.useCandidate = true;
      return size === 0;
    case ICE_CONTROLLED:
    case ICE_CONTROLLING:
      if (size !== 8) return false;
      if (into.role !== 'none') return true;
      into.role = type === ICE_CONTROLLED ? 'controlled' : 'controlling';
      into.tieBreakerAt = value;
      return true;
    case XOR_MAPPED_ADDRESS:
      if (into.mappedAt >= 0) return true;
      into.mappedAt = value;
      into.mappedLength = size;
      return true;
    case ERROR_CODE:
      if (size < 4) return false;
      if (into.errorCode === 0) into.errorCode = 100 * (packet[value + 2]! & 7) + packet[value + 3]!;
      return true;
    // Known, and of no use to ICE.
    case MAPPED_ADDRESS:
    case UNKNOWN_ATTRIBUTES:
    case REALM:
    case NONCE:
    case MESSAGE_INTEGRITY_SHA256:
      return true;
    default:
      if (type < FIRST_OPTIONAL_ATTRIBUTE && into.unknownCount < MOST_UNKNOWN)
        into.unknown[into.unknownCount++] = type;
      return true;
  }
}

/**
 * Whether the MESSAGE-INTEGRITY is the one of this key (short-term: the password, RFC 8489 §9.1). The packet's length field is changed and
 * put back.
 */
export function isIntact(packet: Uint8Array, message: StunMessage, key: HmacContext): boolean {
  const at = message.integrityAt;
  if (at < 0) return false;
  // The sum was made over a message that ended with it (§14.5).
  setStunLength(packet, at + ATTRIBUTE_HEADER_LENGTH + INTEGRITY_LENGTH);
  const computed = key.compute(packet, at);
  setStunLength(packet, message.length);
  if (!computed) return false;
  let difference = 0;
  for (let i = 0; i < INTEGRITY_LENGTH; i++)
    difference |= key.digest[i]! ^ packet[at + ATTRIBUTE_HEADER_LENGTH + i]!;
  return difference === 0;
}

/** The XOR-MAPPED-ADDRESS (RFC 8489 §14.2); false where there is none or it is of no family that we know. */
export function readXorMappedAddress(packet: Uint8Array, message: StunMessage, into: UdpAddress): boolean {
  const at = message.mappedAt;
  if (at < 0 || message.mappedLength < 8) return false;
  const family = packet[at + 1]!;
  if (family === 1 && message.mappedLength === 8) into.family = 4;
  else if (family === 2 && message.mappedLength === 20) into.family = 6;
  else return false;
  into.port = readUint16(packet, at + 2) ^ (STUN_MAGIC_COOKIE >>> 16);
  into.scope = 0;
  into.words.fill(0);
  into.words[0] = readUint32(packet, at + 4) ^ STUN_MAGIC_COOKIE;
  if (into.family === 6)
    for (let i = 1; i < 4; i++)
      into.words[i] =
        readUint32(packet, at + 4 + 4 * i) ^ readUint32(packet, STUN_TRANSACTION_AT + 4 * (i - 1));
  return true;
}

/** Of a message whose FINGERPRINT attribute begins at `at`; the length field must count it already. */
export const fingerprintOf = (packet: Uint8Array, at: number): number =>
  (crc32(packet, at) ^ FINGERPRINT_XOR) >>> 0;

/** `end`: the octets of the whole message, its header too. */
export function setStunLength(packet: Uint8Array, end: number): void {
  writeUint16(packet, 2, end - STUN_HEADER_LENGTH);
}

export const readUint16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export function writeUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
