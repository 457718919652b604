import {
  DEFAULT_PACKET_MS,
  type PacketMs,
  packetMsFor,
  type SampleRateHz,
  sampleRateOf,
} from '../../audio/index.ts';
import type { StreamId } from '../../base/index.ts';
import { RTP_HEADER_LENGTH, rtpTimestamp, setRtpMarker, writeRtpHeader } from '../../rtp/index.ts';
import type { StreamCodec } from '../protocol.ts';
import type { Relay } from '../relay.ts';
import { newCounts, type Stream } from '../stream.ts';
import { isAudio, isDecodable } from './ear.ts';
import type { Encoders, MadePacket, SharedEncoder } from './encoders.ts';
import type { Programme } from './programme.ts';

/** The source of what is made here, in `Feed.source`: no stream's id. */
export const MADE_HERE = '*' as StreamId;
const TICKS_PER_SECOND = 50;
/** After the last packet of a telephone event that came by, and of audio that was passed on, nothing of our own is said for so long. */
const QUIET_AFTER_EVENT_MS = 60;
const QUIET_AFTER_PASSED_MS = 100;
const LONGEST_EVENT = 0xffff;
const EVENT_LENGTH = 4;

const wantsOf = (codec: StreamCodec | undefined): string | undefined => codec?.wants ?? codec?.fmtp;

const packet = Buffer.alloc(2048 + 128);
let numberings = 0;

/**
 * Says what is made here to one peer: encoded, numbered, sent. Each mouth numbers its packets from 0 on, and `Feed` puts that behind whatever
 * the stream has sent before, in this process or in a dead one, so that no index is used twice and time goes on.
 */
export class Mouth {
  readonly id = MADE_HERE;
  readonly counts = newCounts();
  /** Another number for another numbering: see `Feed.sourceSsrc`. */
  ssrc = ++numberings;
  readonly stream: Stream;
  readonly #relay: Relay;
  readonly #encoders: Encoders;
  #codec: StreamCodec | undefined;
  #events: StreamCodec | undefined;
  #codecs: readonly StreamCodec[] | undefined;
  #content = '';
  #packetMs: PacketMs = DEFAULT_PACKET_MS;
  #shared: SharedEncoder | undefined;
  #index = 0;
  #quiet = true;
  #tick = 0;
  /** The telephone event that goes by: its timestamps there and here. */
  #event = { from: -1, timestamp: 0, lastMs: Number.NEGATIVE_INFINITY };

  constructor(stream: Stream, relay: Relay, encoders: Encoders) {
    this.stream = stream;
    this.#relay = relay;
    this.#encoders = encoders;
    // Another process' numbering, or one of a mouth before this one.
    if (stream.feed.source === MADE_HERE) stream.feed.anchored = false;
  }

  /** What is said to this peer, in order of its wishes. */
  get codec(): StreamCodec | undefined {
    const { codecs } = this.stream.spec;
    if (codecs === this.#codecs) return this.#codec;
    this.#codecs = codecs;
    const before = this.#codec;
    this.#codec = codecs.find((codec) => isAudio(codec) && isDecodable(codec));
    const rate = this.#codec?.clockRateHz;
    const events = codecs.filter(({ name }) => name === 'telephone-event');
    this.#events = events.find(({ clockRateHz }) => clockRateHz === rate) ?? events[0];
    if (before?.clockRateHz !== rate) this.ssrc = ++numberings;
    if (before?.name !== this.#codec?.name || wantsOf(before) !== wantsOf(this.#codec)) this.#release();
    return this.#codec;
  }

  /** Of the samples that it encodes. */
  get rateHz(): SampleRateHz | undefined {
    const { codec } = this;
    return codec && sampleRateOf(codec);
  }

  /** Says this tick's frame of the programme, if there is anything to say. */
  speak(programme: Programme, tick: number, dueMs: number): void {
    const { stream } = this;
    this.#tick = tick;
    const { codec } = this;
    const content = codec === undefined ? undefined : programme.contentAt(tick, dueMs);
    const made = content !== undefined && dueMs - stream.passedMs > QUIET_AFTER_PASSED_MS;
    stream.speaksItself = made && stream.passing !== 'nothing';
    if (
      !made ||
      codec === undefined ||
      !this.#mayBeHeard ||
      dueMs - this.#event.lastMs < QUIET_AFTER_EVENT_MS
    ) {
      this.#quiet = true;
      return;
    }
    const shared = this.#take(content, codec);
    if (shared === undefined) return;
    const { lostNow } = stream.quality.peer;
    this.#encoders.encode(shared, tick, lostNow, () => programme.frameAt(shared.rateHz));
    for (let i = 0; i < shared.made; i++) this.#say(codec, shared.packets[i]!, dueMs);
  }

  #say(codec: StreamCodec, { payload, length, fromMs }: MadePacket, dueMs: number): void {
    if (length === 0 || length > 1500) {
      this.#quiet = true;
      return;
    }
    payload.copy(packet, RTP_HEADER_LENGTH, 0, length);
    this.#send(codec, codec, this.#quiet, this.#timestamp(codec, fromMs), length, dueMs);
    this.#quiet = false;
  }

  /** A packet of a telephone event came by, which the peer shall get in its own clock (RFC 4733 §2.1). */
  passEvent(from: Buffer, headerLength: number, clockRateHz: number, nowMs: number): void {
    const { codec } = this;
    const events = this.#events;
    if (codec === undefined || events === undefined || !this.stream.speaksItself || !this.#mayBeHeard) return;
    const timestamp = rtpTimestamp(from);
    const isNew = timestamp !== this.#event.from || nowMs - this.#event.lastMs > 1000;
    if (isNew) this.#event = { from: timestamp, timestamp: this.#timestamp(codec), lastMs: nowMs };
    this.#event.lastMs = nowMs;
    from.copy(packet, RTP_HEADER_LENGTH, headerLength, headerLength + EVENT_LENGTH);
    const units = packet.readUInt16BE(RTP_HEADER_LENGTH + 2);
    const scaled = Math.min(LONGEST_EVENT, Math.round((units * events.clockRateHz) / clockRateHz));
    packet.writeUInt16BE(scaled, RTP_HEADER_LENGTH + 2);
    this.#send(codec, events, isNew, this.#event.timestamp, EVENT_LENGTH, nowMs);
  }

  release(): void {
    this.#release();
    this.stream.speaksItself = false;
    this.stream.passing = 'all';
  }

  get #mayBeHeard(): boolean {
    const { stream } = this;
    return stream.sends && stream.rtp.known && !(stream.secured && stream.sender === undefined);
  }

  #send(
    audio: StreamCodec,
    { payloadType }: StreamCodec,
    marker: boolean,
    timestamp: number,
    length: number,
    nowMs: number,
  ): void {
    writeRtpHeader(packet, payloadType, marker, 0, 0, 0);
    setRtpMarker(packet, marker);
    const total = RTP_HEADER_LENGTH + length;
    this.#relay.say(
      this,
      this.stream,
      packet,
      total,
      payloadType,
      this.#index++,
      timestamp,
      audio.clockRateHz,
      nowMs,
    );
  }

  /** Follows from the tick, so that it goes on through every pause. */
  #timestamp({ clockRateHz }: StreamCodec, fromMs = 0): number {
    return (this.#tick * (clockRateHz / TICKS_PER_SECOND) + (fromMs * clockRateHz) / 1000) % 2 ** 32;
  }

  #take(content: string, codec: StreamCodec): SharedEncoder | undefined {
    const packetMs = packetMsFor(this.stream.spec.packetMs, codec);
    if (this.#shared === undefined || content !== this.#content || packetMs !== this.#packetMs) {
      const before = this.#shared;
      this.#shared = this.#encoders.take(content, codec, packetMs);
      this.#encoders.release(before);
      this.#content = content;
      this.#packetMs = packetMs;
    }
    return this.#shared;
  }

  #release(): void {
    this.#encoders.release(this.#shared);
    this.#shared = undefined;
  }
}
