import { countDigit } from '../audio/index.ts';
import type { Random, StreamId } from '../base/index.ts';
import { systemRandom, type UdpAddress } from '../native/index.ts';
import {
  countPacket,
  type DtmfEvent,
  isRtcp,
  newReception,
  opusCarriesFec,
  receiveTelephoneEvent,
  rtpHeaderLength,
  rtpPayloadEnd,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
  SRTP_AUTH,
  SRTP_REPLAY,
  setRtpMarker,
  setRtpPayloadType,
  setRtpSequence,
  setRtpSsrc,
  setRtpTimestamp,
} from '../rtp/index.ts';
import { circles, heedCollision } from './collision.ts';
import { receiveShared } from './negotiation.ts';
import { anchor, noteSent, plainIndex, RENUMBERED, takesSsrc, unanchor } from './numbering.ts';
import type { MediaEvent } from './protocol.ts';
import { setReceptionAside } from './quality.ts';
import { relayRtcp } from './relay-rtcp.ts';
import { relayUdptl } from './relay-udptl.ts';
import type { Counts, Stream } from './stream.ts';

/** What the packet path asks of its surroundings: sockets and the twin in production, arrays in tests. */
export interface RelayPort {
  /**
   * Sends the packet that is being handled, from the stream's RTP or RTCP socket. `last`: nothing else needs the buffer any more,
   * it may be sent as it lies; otherwise a copy.
   */
  send(
    stream: Stream,
    fromRtcp: boolean,
    packet: Buffer,
    length: number,
    to: UdpAddress,
    last: boolean,
  ): void;
  /**
   * The twin must know the stream as it is now before the next packet leaves. False: it could not be told; the packet must
   * not leave.
   */
  commit(stream: Stream): boolean;
  /** The twin should know soon, but nothing waits for it. */
  note(stream: Stream): void;
  event(event: MediaEvent): void;
}

/** Who numbers packets: a stream's peer, or we ourselves. */
export interface Origin {
  readonly id: StreamId;
  /** Another numbering has another one. */
  readonly ssrc: number;
  readonly counts: Counts;
}

/** After so many packets the twin is told where a stream is, if the second is not over: see `RESERVED_INDICES`. */
const PROGRESS_PACKETS = 250;
/** Marks the scratch buffer's room behind a packet that is copied: what encryption adds. */
const ROOM = 128;

export class Relay {
  readonly #port: RelayPort;
  readonly #random: Random;
  /** For all but the last receiver of a packet. */
  readonly #copy = Buffer.alloc(2048 + ROOM);

  constructor(port: RelayPort, random: Random = systemRandom) {
    this.#port = port;
    this.#random = random;
  }

  /** A packet came on the stream's RTP or RTCP socket. `packet` is changed; room for encryption lies behind `length`. */
  receive(
    stream: Stream,
    onRtcp: boolean,
    packet: Buffer,
    length: number,
    from: UdpAddress,
    nowMs: number,
  ): void {
    if (stream.udptl) relayUdptl(this.#port, stream, onRtcp, packet, length, from, nowMs);
    else if (length < 2) stream.counts.refusedMalformed++;
    else if (packet[0]! < 128 && stream.negotiates)
      receiveShared(this.#port, stream, onRtcp, packet, length, from, nowMs);
    else if (isRtcp(packet, length)) relayRtcp(this.#port, stream, packet, length, from, nowMs);
    else if (onRtcp) stream.counts.refusedMalformed++;
    else this.#receiveRtp(stream, packet, length, from, nowMs);
  }

  #receiveRtp(stream: Stream, packet: Buffer, received: number, from: UdpAddress, nowMs: number): void {
    const { counts, arrival } = stream;
    const headerLength = rtpHeaderLength(packet, received);
    if (headerLength < 0) {
      counts.refusedMalformed++;
      return;
    }
    if (stream.rtp.pinned && stream.rtp.keepsOut(from)) {
      counts.refusedStranger++;
      return;
    }
    const ssrc = rtpSsrc(packet);
    let length = received;
    let index: number;
    let renumbered = false;
    if (stream.secured) {
      length = stream.receiver === undefined ? SRTP_AUTH : stream.receiver.unprotectRtp(packet, received);
      if (length < 0) {
        if (length === SRTP_AUTH) counts.refusedAuth++;
        else if (length === SRTP_REPLAY) counts.refusedReplay++;
        else counts.refusedMalformed++;
        return;
      }
      index = stream.receiver!.lastIndex;
      if (!takesSsrc(arrival, ssrc, nowMs)) {
        counts.refusedStranger++;
        return;
      }
      if (index > arrival.highest) {
        if (arrival.highest >= 0 && index >>> 16 !== arrival.highest >>> 16) this.#port.note(stream);
        arrival.highest = index;
        if (stream.rtp.follow(from, nowMs)) this.#port.note(stream);
      }
    } else {
      const clockRateHz = stream.clockRates[rtpPayloadType(packet)]!;
      const wasConfirmed = stream.rtp.confirmed;
      // Learning from a packet of no negotiated codec would let any datagram claim the stream.
      if (
        (clockRateHz === 0 && !wasConfirmed) ||
        !stream.rtp.accepts(from, ssrc === arrival.ssrc, nowMs) ||
        !takesSsrc(arrival, ssrc, nowMs)
      ) {
        counts.refusedStranger++;
        return;
      }
      if (!wasConfirmed && stream.rtp.confirmed) this.#port.note(stream);
      const highest = arrival.highest;
      index = plainIndex(arrival, rtpSequence(packet));
      renumbered = index === RENUMBERED;
      if (renumbered) index = arrival.highest;
      else if (index < 0) {
        counts.refusedMalformed++;
        return;
      } else if (highest >= 0 && arrival.highest >>> 16 !== highest >>> 16) this.#port.note(stream);
    }
    if (ssrc === stream.ssrc) heedCollision(this.#port, stream, this.#random, nowMs);
    this.#pass(stream, packet, headerLength, length, ssrc, index, renumbered, nowMs);
  }

  /** A genuine packet, opened: counted, looked at, passed on. */
  #pass(
    stream: Stream,
    packet: Buffer,
    headerLength: number,
    length: number,
    ssrc: number,
    index: number,
    renumbered: boolean,
    nowMs: number,
  ): void {
    const { counts } = stream;
    counts.packetsReceived++;
    counts.octetsReceived += length - headerLength;
    stream.lastHeardMs = nowMs;
    stream.changedSinceProgress = true;
    const payloadType = rtpPayloadType(packet);
    const clockRateHz = stream.clockRates[payloadType]!;
    if (clockRateHz === 0) {
      counts.refusedUnmapped++;
      return;
    }
    const timestamp = rtpTimestamp(packet);
    if (stream.isTelephoneEvent[payloadType] === 1) {
      this.#telephoneEvent(stream, packet, headerLength, length, timestamp, clockRateHz, nowMs);
      countEventPacket(stream, ssrc, rtpSequence(packet), timestamp, nowMs);
    } else {
      const { reception: before } = stream;
      const runs = before === undefined ? 0 : before.lossRuns;
      countReception(stream, ssrc, clockRateHz, rtpSequence(packet), timestamp, nowMs);
      // Behind a gap: was its end carried along?
      if (before !== undefined && before.lossRuns !== runs && stream.mayCarryFec[payloadType] === 1)
        if (opusCarriesFec(packet, headerLength, length)) before.rebuiltRuns = (before.rebuiltRuns ?? 0) + 1;
    }
    if (!stream.receives) return;
    const { ear } = stream;
    const heard = ear !== undefined && ear.wants[payloadType] === 1;
    if (heard) ear.receive(packet, headerLength, length, nowMs);

    const sinks = stream.sinks;
    const last = sinks.length - 1;
    let unmapped = false;
    for (let i = 0; i <= last; i++) {
      const sink = sinks[i]!;
      if (sink.passing === 'nothing' || (sink.speaksItself && stream.isTelephoneEvent[payloadType] === 1))
        continue;
      if (circles(stream, sink)) continue;
      const outType = sink.payloadTypes[payloadType]!;
      if (outType < 0) {
        unmapped = !heard;
        continue;
      }
      sink.passedMs = nowMs;
      if (renumbered) sink.feed.anchored = false;
      let out = packet;
      if (i < last) {
        out = this.#copy;
        packet.copy(out, 0, 0, length);
      }
      this.#forward(
        stream,
        sink,
        out,
        length,
        outType,
        ssrc,
        index,
        timestamp,
        clockRateHz,
        nowMs,
        i === last,
      );
    }
    if (unmapped) counts.refusedUnmapped++;
  }

  /**
   * Sends a packet of our own making (`packet`: header, payload, and room for encryption behind `length`). `origin` numbers its packets from
   * anywhere on; they follow in number and time what was sent before.
   */
  say(
    origin: Origin,
    sink: Stream,
    packet: Buffer,
    length: number,
    payloadType: number,
    index: number,
    timestamp: number,
    clockRateHz: number,
    nowMs: number,
  ): void {
    this.#forward(
      origin,
      sink,
      packet,
      length,
      payloadType,
      origin.ssrc,
      index,
      timestamp,
      clockRateHz,
      nowMs,
      false,
    );
  }

  #forward(
    stream: Pick<Origin, 'id' | 'counts'>,
    sink: Stream,
    packet: Buffer,
    plainLength: number,
    outType: number,
    sourceSsrc: number,
    index: number,
    timestamp: number,
    clockRateHz: number,
    nowMs: number,
    last: boolean,
  ): void {
    if (!sink.sends || sink.udptl || (sink.secured && sink.sender === undefined) || !sink.rtp.maySend(nowMs))
      return;
    const { feed } = sink;
    if (!feed.anchored || feed.sourceSsrc !== sourceSsrc || feed.source !== stream.id) {
      const speaksAgain = feed.everSent;
      anchor(feed, stream.id, sourceSsrc, index, timestamp, clockRateHz, nowMs);
      if (!this.#port.commit(sink)) {
        unanchor(feed);
        return;
      }
      // RFC 3551 §4.1: the receiver may adjust its play-out here.
      if (speaksAgain) setRtpMarker(packet, true);
    }
    const outIndex = index + feed.indexOffset;
    // From before a stream's first packet: RFC 3711 has no index for it, plain RTP only a sequence number.
    if (outIndex < 0 && sink.sender !== undefined) return;
    const outTimestamp = (timestamp + feed.timestampOffset) >>> 0;
    setRtpPayloadType(packet, outType);
    setRtpSequence(packet, outIndex & 0xffff);
    setRtpTimestamp(packet, outTimestamp);
    setRtpSsrc(packet, sink.ssrc);
    let length = plainLength;
    if (sink.sender !== undefined) {
      if (sink.floorPending) raiseFloor(sink, outIndex);
      length = sink.sender.protectRtpAt(packet, plainLength, outIndex);
      if (length < 0) {
        if (length === SRTP_REPLAY) stream.counts.refusedReplay++;
        else stream.counts.refusedMalformed++;
        return;
      }
    }
    const sentBefore = feed.sentIndex;
    if (
      noteSent(feed, outIndex, outTimestamp, nowMs) ||
      Math.floor(outIndex / PROGRESS_PACKETS) > Math.floor(sentBefore / PROGRESS_PACKETS)
    )
      this.#port.note(sink);
    sink.changedSinceProgress = true;
    sink.counts.packetsSent++;
    sink.counts.octetsSent += plainLength - 12;
    this.#port.send(sink, false, packet, length, sink.rtp.address, last);
  }

  #telephoneEvent(
    stream: Stream,
    packet: Buffer,
    headerLength: number,
    length: number,
    timestamp: number,
    clockRateHz: number,
    nowMs: number,
  ): void {
    const end = rtpPayloadEnd(packet, headerLength, length);
    if (end < 0) return;
    const event = receiveTelephoneEvent(
      stream.events,
      packet,
      headerLength,
      end,
      timestamp,
      clockRateHz,
      nowMs,
    );
    if (event !== undefined && stream.spec.link === undefined && countsAsKey(stream, event, nowMs))
      this.#port.event({ type: 'dtmf', stream: stream.id, ...event });
  }
}

/** False for a key that was heard in the audio already (CC-FLOW-22). */
export const countsAsKey = (stream: Stream, { digit, durationMs }: DtmfEvent, nowMs: number): boolean =>
  stream.digits === undefined || countDigit(stream.digits, 'event', digit, nowMs - durationMs);

/**
 * After a take-over: which indices above the last one reported the dead process used is unknown, but the packets it never read lie
 * above them all. Nothing below the first of those may leave, or an index could be used for two packets.
 */
function raiseFloor(sink: Stream, outIndex: number): void {
  sink.floorPending = false;
  const highest = Math.max(outIndex - 1, sink.sender!.highestIndex(sink.ssrc));
  sink.sender!.importState({
    v: 1,
    rtcpIndex: sink.sender!.rtcpIndex,
    streams: [{ ssrc: sink.ssrc, window: { highest, words: [-1, -1, -1, -1] } }],
  });
}

function countReception(
  stream: Stream,
  ssrc: number,
  clockRateHz: number,
  sequence: number,
  timestamp: number,
  nowMs: number,
): void {
  const { reception } = stream;
  if (reception !== undefined && reception.ssrc === ssrc && reception.clockRateHz === clockRateHz) {
    countPacket(reception, sequence, timestamp, nowMs);
    return;
  }
  setReceptionAside(stream);
  stream.reception = newReception(ssrc, clockRateHz, sequence, timestamp, nowMs);
}

/** Telephone events share the audio's sequence numbers, but all packets of one bear its start's timestamp: that is no jitter. */
function countEventPacket(
  stream: Stream,
  ssrc: number,
  sequence: number,
  timestamp: number,
  nowMs: number,
): void {
  const { reception } = stream;
  if (reception === undefined || reception.ssrc !== ssrc) return;
  countPacket(reception, sequence, timestamp, nowMs, false);
}
