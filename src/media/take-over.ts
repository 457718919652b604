import type { Clock } from '../base/index.ts';
import type { PacketBatch, UdpAddress, UdpSocket } from '../native/index.ts';
import { isRtcp, rtpHeaderLength, rtpPayloadType, rtpTimestamp, timestampDistance } from '../rtp/index.ts';
import { resumeIce } from './ice-path.ts';
import { reserveUnknown } from './numbering.ts';
import type { Relay } from './relay.ts';
import type { Stream } from './stream.ts';

/** Media older than this behind the newest packet in the queue would only become delay in the peer's jitter buffer. */
const NEWEST_MS = 60;
/** What a socket's queue holds at most of small packets, generously. */
const QUEUE_LIMIT = 2048;

/** Makes a stand-by's stream ready to go on: all indices that the dead process may have used are behind it. */
export function prepare(stream: Stream, nowMs: number): void {
  const { arrival, feed, sender, receiver } = stream;
  // When it was heard last is not known here: a stranger must wait as if it had been now.
  stream.rtp.lastHeardMs = nowMs;
  stream.rtcp.lastHeardMs = nowMs;
  stream.counts.takenOver++;
  if (stream.ice !== undefined) resumeIce(stream.ice, nowMs);
  if (receiver !== undefined && arrival.ssrc >= 0 && arrival.highest >= 0)
    receiver.expectIndex(arrival.ssrc, arrival.highest);
  if (sender !== undefined && feed.everSent && !feed.freshKey) {
    sender.importState({
      v: 1,
      rtcpIndex: stream.rtcpReserved,
      streams: [{ ssrc: stream.ssrc, window: { highest: feed.sentIndex, words: [-1, -1, -1, -1] } }],
    });
    stream.floorPending = true;
  }
  if (sender !== undefined) sender.rtcpIndex = Math.max(sender.rtcpIndex, stream.rtcpReserved);
  reserveUnknown(feed);
}

/** As the relay reserves: RTCP indices of which the twin is told ahead, and packets that it was not told of. */
const UNSAID_RTCP = 100;
const UNSAID_RTP = 500;

/**
 * Between machines what was said just before a death can be lost with the machine: the owner may have begun to use a new key, or the next
 * hundred RTCP indices, without our knowing. To be said before `prepare`, which skips what is unknown of a stream that was known to run.
 */
export function allowUnsaid(stream: Stream): void {
  if (stream.sender === undefined) return;
  stream.rtcpReserved += UNSAID_RTCP;
  const { feed } = stream;
  // Under a new key the rollover counter begins at 0 wherever the sequence is.
  if (feed.everSent && feed.freshKey) feed.sentIndex = (feed.sentIndex + UNSAID_RTP) & 0xffff;
}

/** Reads what waited in the stream's sockets while nobody did, and passes on what is still worth it: new media, events, RTCP. */
export function readBacklog(stream: Stream, relay: Relay, clock: Clock): Backlog {
  const { sockets } = stream;
  if (sockets === undefined) return { passed: 0, tooOld: 0 };
  return pass(stream, [...collect(sockets.rtp, false), ...collect(sockets.rtcp, true)], relay, clock);
}

/** The same for one socket of a process that stood still, when its first batch after that was read already. */
export function passBacklog(
  stream: Stream,
  onRtcp: boolean,
  first: PacketBatch,
  relay: Relay,
  clock: Clock,
): Backlog {
  const waiting: Waiting[] = [];
  copyBatch(first, onRtcp, waiting);
  const socket = onRtcp ? stream.sockets?.rtcp : stream.sockets?.rtp;
  if (socket !== undefined) waiting.push(...collect(socket, onRtcp));
  return pass(stream, waiting, relay, clock);
}

export interface Backlog {
  readonly passed: number;
  readonly tooOld: number;
}

function pass(stream: Stream, waiting: readonly Waiting[], relay: Relay, clock: Clock): Backlog {
  const fresh = worthPassing(stream, waiting);
  for (const { packet, length, from, onRtcp } of fresh)
    relay.receive(stream, onRtcp, packet, length, from, clock.nowMs());
  return { passed: fresh.length, tooOld: waiting.length - fresh.length };
}

interface Waiting {
  readonly packet: Buffer;
  readonly length: number;
  readonly from: UdpAddress;
  readonly onRtcp: boolean;
}

function collect(socket: UdpSocket, onRtcp: boolean): Waiting[] {
  const waiting: Waiting[] = [];
  socket.drain((batch) => copyBatch(batch, onRtcp, waiting), QUEUE_LIMIT);
  return waiting;
}

function copyBatch(batch: PacketBatch, onRtcp: boolean, to: Waiting[]): void {
  for (let i = 0; i < batch.count; i++)
    to.push({
      packet: Buffer.from(batch.buffers[i]!),
      length: batch.lengths[i]!,
      from: batch.sources[i]!.clone(),
      onRtcp,
    });
}

function worthPassing(stream: Stream, waiting: readonly Waiting[]): Waiting[] {
  let newest: number | undefined;
  for (const { packet, length } of waiting) {
    if (!isTimed(stream, packet, length)) continue;
    const timestamp = rtpTimestamp(packet);
    if (newest === undefined || timestampDistance(newest, timestamp) > 0) newest = timestamp;
  }
  if (newest === undefined) return [...waiting];
  const latest = newest;
  return waiting.filter(({ packet, length }) => {
    if (!isTimed(stream, packet, length)) return true;
    const clockRateHz = stream.clockRates[rtpPayloadType(packet)]!;
    return timestampDistance(rtpTimestamp(packet), latest) <= (NEWEST_MS * clockRateHz) / 1000;
  });
}

/** Audio, whose age its timestamp tells. Telephone events are never too old. */
function isTimed(stream: Stream, packet: Buffer, length: number): boolean {
  if (isRtcp(packet, length) || rtpHeaderLength(packet, length) < 0) return false;
  const payloadType = rtpPayloadType(packet);
  return stream.clockRates[payloadType]! > 0 && stream.isTelephoneEvent[payloadType] === 0;
}
