import { randomBytes } from 'node:crypto';
import type { IceCredentials } from '../../src/media/index.ts';
import { ciphers, UdpAddress } from '../../src/native/index.ts';
import {
  beginStun,
  finishStun,
  isIntact,
  parseStun,
  readXorMappedAddress,
  STUN_BINDING_REQUEST,
  STUN_TRANSACTION_LENGTH,
  StunMessage,
  writePriority,
  writeRole,
  writeUseCandidate,
  writeUsername,
} from '../../src/rtp/index.ts';

export interface CheckWishes {
  readonly useCandidate?: boolean;
  /** Default 1,000. */
  readonly priority?: number;
  readonly role?: 'controlling' | 'controlled';
  readonly username?: string;
  readonly password?: string;
  /** More attributes, written before MESSAGE-INTEGRITY: where the last one ended to where these do. */
  readonly more?: (into: Buffer, at: number) => number;
  readonly type?: number;
}

/** A connectivity check of a full agent (RFC 8445 §7.2) to whoever has these credentials; both halves seen from there. */
export function iceCheck(credentials: IceCredentials, wishes: CheckWishes = {}): Buffer {
  const into = Buffer.alloc(1024);
  const { localUfrag, localPassword, remoteUfrag = 'peer' } = credentials;
  let at = beginStun(into, wishes.type ?? STUN_BINDING_REQUEST, randomBytes(STUN_TRANSACTION_LENGTH));
  at = writeUsername(into, at, Buffer.from(wishes.username ?? `${localUfrag}:${remoteUfrag}`));
  at = writePriority(into, at, wishes.priority ?? 1000);
  at = writeRole(into, at, wishes.role ?? 'controlling', Buffer.from('12345678'));
  if (wishes.useCandidate === true) at = writeUseCandidate(into, at);
  if (wishes.more !== undefined) at = wishes.more(into, at);
  const key = ciphers().hmacSha1(Buffer.from(wishes.password ?? localPassword));
  at = finishStun(into, at, key);
  key.free();
  return into.subarray(0, at);
}

export interface StunAnswer {
  readonly type: number;
  /** 0: success. */
  readonly code: number;
  /** Where we were seen: `address:port`. */
  readonly mapped: string | undefined;
  /** Its MESSAGE-INTEGRITY is the password's. */
  readonly authentic: boolean;
  readonly fingerprint: boolean;
  readonly sameTransaction: boolean;
}

/** Undefined: no STUN. */
export function stunAnswer(packet: Buffer, request: Buffer, password: string): StunAnswer | undefined {
  const message = new StunMessage();
  if (!parseStun(packet, packet.length, message)) return undefined;
  const mapped = new UdpAddress();
  const key = ciphers().hmacSha1(Buffer.from(password));
  const authentic = isIntact(packet, message, key);
  key.free();
  return {
    type: message.type,
    code: message.errorCode,
    mapped: readXorMappedAddress(packet, message, mapped) ? `${mapped}` : undefined,
    authentic,
    fingerprint: message.hasFingerprint,
    sameTransaction: packet.subarray(8, 20).equals(request.subarray(8, 20)),
  };
}
