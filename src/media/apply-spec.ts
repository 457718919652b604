import { createSrtpReceiver, createSrtpSender } from '../rtp/index.ts';
import { applyCredentials, closeIce, newIceAgent } from './ice.ts';
import { startNewKey } from './numbering.ts';
import { fillCodecTables } from './payload-types.ts';
import type { SrtpKey, StreamSpec } from './protocol.ts';
import { setReceptionAside } from './quality.ts';
import { remoteAddresses } from './spec.ts';
import type { Stream } from './stream.ts';

/** Eleven hours of 50 packets a second, sought through in 0.6 s. */
const ROLLOVERS_SOUGHT = 32;

/** Makes the stream what a checked spec says. What is already so is left alone: saying it again changes nothing. */
export function applySpec(stream: Stream, spec: StreamSpec, nowMs: number, first: boolean): void {
  const before = stream.spec;
  const wasSecured = stream.secured;
  stream.spec = spec;
  stream.secured = spec.sendKey !== undefined || spec.receiveKey !== undefined || spec.dtls !== undefined;
  takeFax(stream, spec.udptl === true);
  stream.negotiates = spec.ice !== undefined || spec.dtls !== undefined;
  const { clockRates, isTelephoneEvent, mayCarryFec } = stream;
  fillCodecTables(spec.codecs, clockRates, isTelephoneEvent, mayCarryFec, spec.opaque === true);
  if (first || !sameKey(before.sendKey, spec.sendKey)) takeSendKey(stream, spec.sendKey);
  if (first || !sameKey(before.receiveKey, spec.receiveKey) || wasSecured !== stream.secured)
    takeReceiveKey(stream, spec.receiveKey, spec.receiveKeyKept === true);
  const hadIce = stream.ice !== undefined;
  takeIce(stream, spec, nowMs);
  // What was signalled beside ICE is for peers without it.
  if (spec.ice === undefined && (first || hadIce || !sameRemote(before, spec))) {
    const { rtp, rtcp } = remoteAddresses(spec);
    stream.rtp.pinned = stream.rtcp.pinned = spec.link !== undefined;
    stream.rtp.signal(rtp, nowMs);
    stream.rtcp.signal(rtcp, nowMs);
  }
}

/** The audio's numbers and times may stand still while a fax takes its place: that is neither a gap nor jitter. */
function takeFax(stream: Stream, isFax: boolean): void {
  if (isFax !== stream.udptl) setReceptionAside(stream);
  stream.udptl = isFax;
}

function takeSendKey(stream: Stream, key: SrtpKey | undefined): void {
  stream.sender?.close();
  stream.sender = key === undefined ? undefined : createSrtpSender(key);
  stream.rtcpReserved = 0;
  startNewKey(stream.feed);
}

/** Indices count anew under a new key, so offsets reckoned from the old ones hold no more. */
function takeReceiveKey(stream: Stream, key: SrtpKey | undefined, kept: boolean): void {
  stream.receiver?.close();
  stream.receiver = key === undefined ? undefined : createSrtpReceiver(key);
  if (kept) stream.receiver?.seekRollover(ROLLOVERS_SOUGHT);
  stream.arrival.ssrc = -1;
  stream.arrival.highest = -1;
  for (const sink of stream.sinks) sink.feed.anchored = false;
}

/** Keys that a handshake gave in place of signalling. */
export function takeKeys(stream: Stream, keys: { sendKey: SrtpKey; receiveKey: SrtpKey }): void {
  takeSendKey(stream, keys.sendKey);
  takeReceiveKey(stream, keys.receiveKey, false);
}

/** Where media went before goes on being used until the peer nominates; but not what was only signalled. */
function takeIce(stream: Stream, { ice }: StreamSpec, nowMs: number): void {
  const agent = stream.ice;
  if (ice === undefined) {
    if (agent !== undefined) closeIce(agent);
    stream.ice = stream.rtp.peers = undefined;
  } else if (agent === undefined) {
    stream.ice = newIceAgent(ice, nowMs);
    stream.rtp.peers = stream.ice.peers;
    stream.rtp.pinned = true;
    stream.rtp.known = stream.rtp.confirmed;
  } else applyCredentials(agent, ice, nowMs);
}

export function releaseKeys(stream: Stream): void {
  if (stream.ice !== undefined) closeIce(stream.ice);
  stream.dtls?.close();
  stream.sender?.close();
  stream.receiver?.close();
  stream.dtls = undefined;
  stream.sender = undefined;
  stream.receiver = undefined;
}

const sameKey = (a: SrtpKey | undefined, b: SrtpKey | undefined): boolean =>
  a?.suite === b?.suite && a?.keySalt === b?.keySalt;

const sameRemote = (a: StreamSpec, b: StreamSpec): boolean =>
  a.remote?.address === b.remote?.address &&
  a.remote?.port === b.remote?.port &&
  a.remote?.rtcpPort === b.remote?.rtcpPort;
