import type { UdpAddress } from '../native/index.ts';
import { forgetPrevious, type Generation, type IceAgent, type IcePeer } from './ice.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/*
 * Where media goes and may come from on a stream with ICE. `stream.rtp` is the nominated address, and never learns another one from
 * packets (`pinned`); `agent.peers`, from where the peer has sent checks that it alone could make, may send too.
 */

/** Consent to send lapses so long after the last check from there (RFC 7675 §5.1). */
const CONSENT_MS = 30_000;
/** A nomination that was not said again for so long is given up for one of lower priority: the peer has left that path. */
const NOMINATION_HOLDS_MS = 1000;
/** The peer's credentials are known, and it has nominated nothing. */
const NO_PATH_MS = 30_000;
/** Ticks come four times a second. In a longer gap this process stood still, and what the peer sent meanwhile may not be read yet. */
const STOOD_STILL_MS = 1000;
/** Its interfaces, IPv4 and IPv6, and what NATs make of them. */
const MOST_PEERS = 8;

/** An authenticated check came from here. */
export function noteCheck(
  port: RelayPort,
  stream: Stream,
  agent: IceAgent,
  generation: Generation,
  from: UdpAddress,
  nowMs: number,
): void {
  generation.lastCheckMs = nowMs;
  let known = false;
  for (const peer of agent.peers) {
    if (!peer.address.equals(from)) continue;
    peer.seenMs = nowMs;
    known = true;
    break;
  }
  if (!known) addPeer(agent.peers, from, nowMs);
  if (agent.nominatedBy >= 0 && stream.rtp.address.equals(from)) {
    agent.consentMs = nowMs;
    // The peer is back, after we had stopped sending.
    if (!stream.rtp.confirmed) usePath(port, stream, agent, from, nowMs);
  }
  if (!known) port.note(stream);
}

/**
 * An authenticated check with USE-CANDIDATE came from here. A pair that the peer prefers is used at once. Peers that nominate with every
 * check say several pairs in turn, so one of lower priority must wait until the present one is not said any more; peers that nominate
 * once say the new one once, so it is not forgotten meanwhile.
 */
export function nominate(
  port: RelayPort,
  stream: Stream,
  agent: IceAgent,
  generation: Generation,
  from: UdpAddress,
  priority: number,
  nowMs: number,
): void {
  const isCurrent = generation === agent.current;
  const { rtp } = stream;
  if (!isCurrent && agent.nominatedBy === agent.generation) return;
  const hasPath = rtp.confirmed && agent.nominatedBy >= 0;
  const newer = isCurrent && agent.nominatedBy < agent.generation;
  if (hasPath && !newer) {
    if (rtp.address.equals(from)) {
      agent.nominatedMs = nowMs;
      agent.priority = priority;
      return;
    }
    if (priority <= agent.priority && nowMs - agent.nominatedMs <= NOMINATION_HOLDS_MS) {
      agent.pending = { address: from.clone(), priority };
      return;
    }
  }
  agent.nominatedBy = isCurrent ? agent.generation : agent.generation - 1;
  agent.priority = priority;
  agent.nominatedMs = nowMs;
  usePath(port, stream, agent, from, nowMs);
}

/** About four times a second. */
export function tickIce(port: RelayPort, stream: Stream, agent: IceAgent, nowMs: number): void {
  const sinceTickMs = nowMs - agent.tickMs;
  if (sinceTickMs > STOOD_STILL_MS) excuse(agent, sinceTickMs);
  agent.tickMs = nowMs;
  const { pending, previous, peers } = agent;
  if (pending !== undefined && nowMs - agent.nominatedMs > NOMINATION_HOLDS_MS) {
    agent.priority = pending.priority;
    agent.nominatedMs = nowMs;
    usePath(port, stream, agent, pending.address, nowMs);
  }
  if (previous !== undefined && nowMs - previous.lastCheckMs > CONSENT_MS) forgetPrevious(agent);
  for (let i = peers.length - 1; i >= 0; i--) if (nowMs - peers[i]!.seenMs > CONSENT_MS) peers.splice(i, 1);
  if (stream.rtp.confirmed && agent.nominatedBy >= 0) {
    if (nowMs - agent.consentMs > CONSENT_MS) {
      stream.rtp.known = stream.rtp.confirmed = false;
      port.note(stream);
      fail(port, stream, agent, 'the peer has not checked its path for 30 s');
    }
  } else if (agent.nominatedBy < 0 && agent.sinceMs >= 0 && nowMs - agent.sinceMs > NO_PATH_MS)
    fail(port, stream, agent, 'the peer has found no path to us within 30 s');
}

/** Another process goes on with the stream: how long the peer was not heard is not known here. */
export function resumeIce(agent: IceAgent, nowMs: number): void {
  agent.consentMs = agent.nominatedMs = agent.tickMs = nowMs;
  agent.current.lastCheckMs = nowMs;
  if (agent.previous !== undefined) agent.previous.lastCheckMs = nowMs;
  if (agent.sinceMs >= 0) agent.sinceMs = nowMs;
  for (const peer of agent.peers) peer.seenMs = nowMs;
}

function usePath(port: RelayPort, stream: Stream, agent: IceAgent, to: UdpAddress, nowMs: number): void {
  const { rtp } = stream;
  const moved = !rtp.confirmed || !rtp.address.equals(to);
  agent.pending = undefined;
  agent.consentMs = nowMs;
  rtp.address.copyFrom(to);
  rtp.known = rtp.confirmed = true;
  // With DTLS nothing flows before its keys: it says so itself, the first time.
  if (agent.said !== 'connected' && (stream.spec.dtls === undefined || stream.sender !== undefined))
    port.event({
      type: 'transport',
      stream: stream.id,
      state: 'connected',
      ...(stream.association.keys && { suite: stream.association.keys.sendKey.suite }),
    });
  agent.said = 'connected';
  port.note(stream);
  if (moved) stream.dtls?.tick(port, nowMs);
}

function fail(port: RelayPort, stream: Stream, agent: IceAgent, problem: string): void {
  if (agent.said === 'failed') return;
  agent.said = 'failed';
  port.event({ type: 'transport', stream: stream.id, state: 'failed', problem });
  port.note(stream);
}

function excuse(agent: IceAgent, byMs: number): void {
  agent.consentMs += byMs;
  agent.nominatedMs += byMs;
  agent.current.lastCheckMs += byMs;
  if (agent.previous !== undefined) agent.previous.lastCheckMs += byMs;
  if (agent.sinceMs >= 0) agent.sinceMs += byMs;
  for (const peer of agent.peers) peer.seenMs += byMs;
}

/** The one not seen for longest makes room. */
function addPeer(peers: IcePeer[], from: UdpAddress, nowMs: number): void {
  if (peers.length < MOST_PEERS) {
    peers.push({ address: from.clone(), seenMs: nowMs });
    return;
  }
  let oldest = peers[0]!;
  for (const peer of peers) if (peer.seenMs < oldest.seenMs) oldest = peer;
  oldest.address.copyFrom(from);
  oldest.seenMs = nowMs;
}
