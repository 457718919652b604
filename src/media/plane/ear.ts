import {
  availableCodecs,
  type ComfortNoise,
  createComfortNoise,
  createDecoder,
  createResampler,
  type Decoder,
  FRAME_MS,
  type Pcm,
  type Resampler,
  type SampleRateHz,
  sampleRateOf,
  samplesPerFrame,
} from '../../audio/index.ts';
import {
  JitterBuffer,
  opusCarriesFec,
  rtpPayloadEnd,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
} from '../../rtp/index.ts';
import type { StreamCodec } from '../protocol.ts';
import { newPlayOutCounts, type PlayOutCounts } from '../quality.ts';
import type { PacketListener } from '../stream.ts';
import { Mute } from './mute.ts';
import { PlayOut, SHORTEN_MS } from './play-out.ts';

/** A wait that is so much too long or too short is corrected, a period at a time. */
const TOLERANCE_MS = 15;
/** One too short loses what the next packet carries. */
const SHORT_TOLERANCE_MS = 5;
/** Further off it is corrected even where it might be heard. */
const URGENT_MS = 80;
/** Else at most every so many frames. */
const CORRECT_EVERY = 5;
/** A frame is made of at most so many pulls: 10 ms packets, some of which are late. */
const MOST_PULLS = 32;
/** RFC 3389. */
const COMFORT_NOISE = 'cn';
const OPUS = 'opus';
const TELEPHONE_EVENT = 'telephone-event';
const EVENT_LENGTH = 4;
/** A network that lost something is waited for so long for what is carried twice. */
const WAITS_FOR_NEXT_MS = 20_000;
/** After so long without a packet nobody asks any more, until one comes. */
const SLEEPS_AFTER_MS = 1000;

export const isAudio = (codec: StreamCodec): boolean =>
  codec.name !== TELEPHONE_EVENT && codec.name !== COMFORT_NOISE;
/** It is known here and its library is on this machine. */
export const isDecodable = (codec: StreamCodec): boolean =>
  sampleRateOf(codec) !== undefined && availableCodecs().includes(codec.name);

/** How a payload type is heard. */
interface Hearable {
  readonly codec: StreamCodec;
  /** Made with the first packet. */
  decoder: Decoder | undefined;
  failed: boolean;
}

/**
 * Listens to what one peer says: its packets, in any order, become a frame of samples at each tick. Made when somebody wants to hear it,
 * released when nobody does any more. Holds native memory.
 */
export class Ear implements PacketListener {
  readonly buffer: JitterBuffer;
  readonly counts: PlayOutCounts;
  readonly mute = new Mute();
  /** By payload type: 1 for what is to be given to `receive`. */
  readonly wants = new Uint8Array(128);
  /** The present frame: lent until the next tick. */
  frame: Pcm;
  /** There is something to hear: not so before the first packet and after a long quiet. */
  speaking = false;
  /** Some of the present frame was made up. */
  concealed = false;
  rateHz: SampleRateHz;
  #codecs: readonly StreamCodec[] = [];
  readonly #types = new Map<number, Hearable>();
  /** Made with the first packet that is decoded. */
  #playOut: PlayOut | undefined;
  #lastHeardMs = Number.NEGATIVE_INFINITY;
  /** A packet of a telephone event came by. */
  onEvent: ((packet: Buffer, headerLength: number, clockRateHz: number, nowMs: number) => void) | undefined;
  /** Something came after a long quiet: it wants to be asked each tick from now on. */
  onAwake: (() => void) | undefined;
  /** What is being played. */
  #now: Hearable | undefined;
  #comfort = false;
  #noise: ComfortNoise | undefined;
  readonly #resamplers = new Map<SampleRateHz, { resampler: Resampler; frame: Pcm; tick: number }>();
  #tick = -1;
  #corrected = 0;
  /** What is decoded carries what was before it, and until when that is waited for. */
  #carriesFec = false;
  #waitsForNextMs = Number.NEGATIVE_INFINITY;
  #dueMs = 0;

  /** `counts`: what it counts into; the stream's, which outlives it. */
  constructor(codecs: readonly StreamCodec[], counts = newPlayOutCounts()) {
    this.counts = counts;
    this.buffer = new JitterBuffer(undefined, counts);
    this.setCodecs(codecs);
    const first = codecs.find((codec) => isAudio(codec) && isDecodable(codec));
    this.rateHz = (first && sampleRateOf(first)) ?? 8000;
    this.frame = new Int16Array(samplesPerFrame(this.rateHz));
  }

  /** What the peer may send now. Decoders of codecs that stay go on. */
  setCodecs(codecs: readonly StreamCodec[]): void {
    if (codecs === this.#codecs) return;
    this.#codecs = codecs;
    for (const [type, { codec, decoder }] of this.#types) {
      const same = codecs.some((other) => other.payloadType === type && other.name === codec.name);
      if (same) continue;
      if (this.#now?.decoder === decoder) this.#now = undefined;
      decoder?.release();
      this.#types.delete(type);
    }
    for (const codec of codecs)
      if (!this.#types.has(codec.payloadType) && (isDecodable(codec) || !isAudio(codec)))
        this.#types.set(codec.payloadType, { codec, decoder: undefined, failed: false });
  }

  /** A genuine RTP packet, opened. */
  receive(packet: Buffer, headerLength: number, length: number, nowMs: number): void {
    const heard = this.#types.get(rtpPayloadType(packet));
    const end = rtpPayloadEnd(packet, headerLength, length);
    if (heard === undefined || end < 0) return;
    const { name, clockRateHz } = heard.codec;
    const ssrc = rtpSsrc(packet);
    const sequence = rtpSequence(packet);
    const timestamp = rtpTimestamp(packet);
    if (name === TELEPHONE_EVENT) {
      this.buffer.skip(ssrc, clockRateHz, sequence, timestamp, nowMs);
      if (end - headerLength >= EVENT_LENGTH) this.onEvent?.(packet, headerLength, clockRateHz, nowMs);
      return;
    }
    const slept = !this.isAwake(nowMs);
    this.#lastHeardMs = nowMs;
    this.counts.heard++;
    if (slept) this.onAwake?.();
    this.buffer.insert(
      ssrc,
      rtpPayloadType(packet),
      clockRateHz,
      sequence,
      timestamp,
      packet,
      headerLength,
      end,
      nowMs,
    );
  }

  /** Makes the frame of this tick, which is due at `dueMs`. */
  listen(tick: number, dueMs: number): void {
    if (tick === this.#tick) return;
    this.#tick = tick;
    this.concealed = false;
    this.#dueMs = dueMs;
    this.buffer.waitsForNext = dueMs < this.#waitsForNextMs;
    this.#fill(dueMs, FRAME_MS);
    const out = this.#playOut;
    this.speaking = out !== undefined && out.length > 0;
    if (out === undefined) return;
    if (this.buffer.playing) this.#correct(out, dueMs);
    this.frame = out.take();
  }

  /** Whether something came lately. Otherwise there is nothing to `listen` for. */
  isAwake(nowMs: number): boolean {
    return nowMs - this.#lastHeardMs < SLEEPS_AFTER_MS;
  }

  /** The present frame at another rate; made once, however many want it. */
  at(rateHz: SampleRateHz): Pcm {
    if (rateHz === this.rateHz) return this.frame;
    let each = this.#resamplers.get(rateHz);
    if (each === undefined || each.resampler.fromHz !== this.rateHz) {
      each = { resampler: createResampler(this.rateHz, rateHz), frame: this.frame, tick: -1 };
      this.#resamplers.set(rateHz, each);
    }
    if (each.tick !== this.#tick) {
      each.tick = this.#tick;
      each.frame = each.resampler.resample(this.frame);
    }
    return each.frame;
  }

  /** Nobody has spoken for long. */
  rest(): void {
    this.mute.rest();
    if (!this.speaking) return;
    this.speaking = false;
    this.frame.fill(0);
  }

  get waitMs(): number {
    return this.buffer.targetMs;
  }

  delayMs(dueMs: number): number {
    return this.buffer.delayMs(dueMs, this.#aheadMs);
  }

  release(): void {
    for (const { decoder } of this.#types.values()) decoder?.release();
    this.#types.clear();
  }

  /** So much at least is ready afterwards, unless nobody speaks. */
  #fill(dueMs: number, wantedMs: number): void {
    const { buffer } = this;
    for (let pulls = 0; this.#aheadMs < wantedMs && pulls < MOST_PULLS; pulls++) {
      switch (buffer.pull(dueMs, this.#aheadMs)) {
        case 'packet':
          this.#decode();
          break;
        case 'lost':
          this.#conceal();
          break;
        case 'pause':
          this.#pause(this.#samplesOf(buffer.units));
          break;
        case 'nothing':
          return;
      }
    }
  }

  /** The sender says nothing: silence, or the background that it described (RFC 3389). */
  #pause(length: number): void {
    if (!this.#comfort || this.#noise === undefined) {
      this.#out.pushSilence(length);
      return;
    }
    const noise = new Int16Array(length);
    this.#noise.fill(noise);
    this.#out.push(noise);
  }

  #decode(): void {
    const { buffer } = this;
    const heard = this.#types.get(buffer.payloadType);
    if (heard?.codec.name === COMFORT_NOISE) {
      this.#noise ??= createComfortNoise();
      this.#noise.describe(buffer.payload, 0, buffer.payloadLength);
      this.#comfort = true;
      return;
    }
    if (heard !== undefined && heard.decoder === undefined && !heard.failed) {
      heard.decoder = createDecoder(heard.codec);
      heard.failed = heard.decoder === undefined;
    }
    const decoder = heard?.decoder;
    if (heard === undefined || decoder === undefined) return;
    this.#comfort = false;
    this.#now = heard;
    this.#carriesFec = heard.codec.name === OPUS && opusCarriesFec(buffer.payload, 0, buffer.payloadLength);
    this.rateHz = decoder.rateHz;
    const pcm = decoder.decode(buffer.payload, 0, buffer.payloadLength);
    this.#out.push(pcm);
    buffer.took(Math.round((pcm.length * heard.codec.clockRateHz) / decoder.rateHz));
  }

  #conceal(): void {
    const { buffer } = this;
    const length = this.#samplesOf(buffer.units);
    const heard = this.#now;
    if (this.#comfort || heard?.decoder === undefined) {
      this.#pause(length);
      return;
    }
    this.concealed = true;
    if (this.#carriesFec) this.#waitsForNextMs = this.#dueMs + WAITS_FOR_NEXT_MS;
    const hasNext =
      buffer.payloadLength > 0 && this.#types.get(buffer.payloadType)?.decoder === heard.decoder;
    if (hasNext && heard.codec.name === OPUS && opusCarriesFec(buffer.payload, 0, buffer.payloadLength))
      this.counts.rebuilt++;
    const next = hasNext ? buffer.payload.subarray(0, buffer.payloadLength) : undefined;
    this.#out.push(heard.decoder.conceal(next), length);
  }

  /** Waits that have grown too long or too short are corrected by a period of the sound, which is not heard. */
  #correct(out: PlayOut, dueMs: number): void {
    const excessMs = this.buffer.excessMs(dueMs, out.aheadMs);
    const urgent = excessMs > URGENT_MS;
    const toleranceMs = excessMs < 0 && this.buffer.waitsForNext ? SHORT_TOLERANCE_MS : TOLERANCE_MS;
    if (Math.abs(excessMs) <= toleranceMs || (this.#tick - this.#corrected < CORRECT_EVERY && !urgent))
      return;
    // The next packet is here already, if the wait is too long; not so if it is too short.
    if (excessMs > 0 && this.buffer.waiting > 0) this.#fill(dueMs, SHORTEN_MS);
    const changed = excessMs > 0 ? out.shorten(urgent) : out.lengthen();
    if (changed === 0) return;
    this.#corrected = this.#tick;
    const changedMs = (changed * 1000) / this.rateHz;
    if (excessMs > 0) this.counts.shortenedMs += changedMs;
    else this.counts.lengthenedMs += changedMs;
  }

  get #out(): PlayOut {
    if (this.#playOut?.rateHz !== this.rateHz) this.#playOut = new PlayOut(this.rateHz);
    return this.#playOut;
  }

  get #aheadMs(): number {
    return this.#playOut?.rateHz === this.rateHz ? this.#playOut.aheadMs : 0;
  }

  #samplesOf(units: number): number {
    return Math.round((units * this.rateHz) / this.buffer.clockRateHz);
  }
}
