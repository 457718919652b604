import type { UdpAddress } from '../native/index.ts';
import {
  beginStun,
  finishStun,
  isIntact,
  parseStun,
  STUN_BAD_REQUEST,
  STUN_BINDING_ERROR,
  STUN_BINDING_INDICATION,
  STUN_BINDING_REQUEST,
  STUN_BINDING_SUCCESS,
  STUN_ROLE_CONFLICT,
  STUN_UNAUTHENTICATED,
  STUN_UNKNOWN_ATTRIBUTE,
  StunMessage,
  writeErrorCode,
  writeUnknownAttributes,
  writeXorMappedAddress,
} from '../rtp/index.ts';
import {
  CHECKS_PER_SECOND,
  type Generation,
  type IceAgent,
  keyOf,
  REFUSALS_PER_SECOND,
  spend,
} from './ice.ts';
import { nominate, noteCheck } from './ice-path.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

const REASONS: Readonly<Record<number, string>> = {
  [STUN_BAD_REQUEST]: 'Bad Request',
  [STUN_UNAUTHENTICATED]: 'Unauthenticated',
  [STUN_UNKNOWN_ATTRIBUTE]: 'Unknown Attribute',
  [STUN_ROLE_CONFLICT]: 'Role Conflict',
};

/** One for all streams: a message is read and answered before the next one comes. */
const check = new StunMessage();
const answer = Buffer.alloc(512);

/**
 * STUN came on a stream with ICE. A check that bears our fragment and our password's sum is answered, whether the peer's half is known
 * already or not (RFC 8445 §7.3); whatever else is refused as RFC 8489 §9.1.3 and §6.3.1 say, a few times a second at most.
 */
export function receiveStun(
  port: RelayPort,
  stream: Stream,
  agent: IceAgent,
  packet: Buffer,
  length: number,
  from: UdpAddress,
  nowMs: number,
): void {
  const { counts } = stream;
  if (!parseStun(packet, length, check)) {
    counts.refusedMalformed++;
    return;
  }
  // Some keep a NAT's binding open by these (RFC 8445 §11).
  if (check.type === STUN_BINDING_INDICATION) return;
  if (check.type !== STUN_BINDING_REQUEST || from.unsendable) {
    counts.refusedStranger++;
    return;
  }
  if (check.usernameAt < 0 || check.integrityAt < 0) {
    counts.refusedMalformed++;
    refuse(port, stream, agent, undefined, STUN_BAD_REQUEST, packet, from, nowMs);
    return;
  }
  const generation = addressed(agent, packet);
  if (generation === undefined) {
    counts.refusedAuth++;
    refuse(port, stream, agent, undefined, STUN_UNAUTHENTICATED, packet, from, nowMs);
    return;
  }
  if (!isIntact(packet, check, keyOf(generation))) {
    counts.refusedAuth++;
    refuse(port, stream, agent, undefined, STUN_UNAUTHENTICATED, packet, from, nowMs);
    return;
  }
  // Counted behind the sum, so that a stranger who has seen the fragments cannot use up what is the peer's.
  if (!spend(agent.checks, CHECKS_PER_SECOND, nowMs)) {
    counts.refusedStranger++;
    return;
  }
  if (check.unknownCount > 0) {
    counts.refusedMalformed++;
    refuse(port, stream, agent, generation, STUN_UNKNOWN_ATTRIBUTE, packet, from, nowMs);
    return;
  }
  // Whoever is lite is controlled (RFC 8445 §6.1.1): the peer must be the other.
  if (check.role === 'controlled') {
    refuse(port, stream, agent, generation, STUN_ROLE_CONFLICT, packet, from, nowMs);
    return;
  }
  const at = writeXorMappedAddress(answer, beginStun(answer, STUN_BINDING_SUCCESS, packet), from);
  port.send(stream, false, answer, finishStun(answer, at, keyOf(generation)), from, false);
  noteCheck(port, stream, agent, generation, from, nowMs);
  if (check.useCandidate) nominate(port, stream, agent, generation, from, Math.max(0, check.priority), nowMs);
}

/** Whose fragment the USERNAME begins with, and ends with as far as that is known. */
function addressed(agent: IceAgent, packet: Buffer): Generation | undefined {
  if (isFor(agent.current, packet)) return agent.current;
  if (agent.previous !== undefined && isFor(agent.previous, packet)) return agent.previous;
  return undefined;
}

function isFor({ username, credentials }: Generation, packet: Buffer): boolean {
  const { usernameAt, usernameLength } = check;
  const whole = credentials.remoteUfrag !== undefined;
  if (whole ? usernameLength !== username.length : usernameLength < username.length) return false;
  for (let i = 0; i < username.length; i++) if (packet[usernameAt + i] !== username[i]) return false;
  return true;
}

/** `generation`: the request was authentic, and so is the answer. */
function refuse(
  port: RelayPort,
  stream: Stream,
  agent: IceAgent,
  generation: Generation | undefined,
  code: number,
  request: Buffer,
  to: UdpAddress,
  nowMs: number,
): void {
  if (!spend(agent.refusals, REFUSALS_PER_SECOND, nowMs)) return;
  let at = beginStun(answer, STUN_BINDING_ERROR, request);
  at = writeErrorCode(answer, at, code, REASONS[code]!);
  if (code === STUN_UNKNOWN_ATTRIBUTE)
    at = writeUnknownAttributes(answer, at, check.unknown, check.unknownCount);
  const key = generation === undefined ? undefined : keyOf(generation);
  port.send(stream, false, answer, finishStun(answer, at, key), to, false);
}
