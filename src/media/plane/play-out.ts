import { type Pcm, type SampleRateHz, samplesPerFrame } from '../../audio/index.ts';
import { findPeriod, LONGEST_MS, WINDOW_MS } from './pitch.ts';

/** So much of what was played is kept: a hole is filled from what was before it until it has faded. */
const PAST_MS = 80;
/** One packet at its longest, and a frame that waits. */
const AHEAD_MS = 120 + 60;
/** Shortening needs so much ahead; lengthening less than a frame. */
export const SHORTEN_MS = 2 * LONGEST_MS;
const LIKE_ENOUGH = 0.85;
/** Concealed audio stays as loud as it was for so long, then it fades (G.711 Appendix I: 20 % each 10 ms). */
const LOUD_MS = 10;
const FADE_MS = 50;
/** What comes after a concealed stretch is faded in over it. */
const JOIN_MS = 4;

/** Decoded audio that waits to be played, at one rate, with a little of what was played. */
export class PlayOut {
  readonly rateHz: SampleRateHz;
  readonly #samples: Pcm;
  readonly #past: number;
  readonly #frame: Pcm;
  #start: number;
  #end: number;
  /** Samples concealed by us in a row, and the period they repeat. */
  #concealed = 0;
  #period = 0;
  readonly #tail: Pcm;

  constructor(rateHz: SampleRateHz) {
    this.rateHz = rateHz;
    this.#past = (PAST_MS * rateHz) / 1000;
    this.#samples = new Int16Array(this.#past + (AHEAD_MS * rateHz) / 1000);
    this.#start = this.#end = this.#past;
    this.#frame = new Int16Array(samplesPerFrame(rateHz));
    this.#tail = new Int16Array((JOIN_MS * rateHz) / 1000);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get aheadMs(): number {
    return (this.length * 1000) / this.rateHz;
  }

  /** What was heard, decoded. More than fits is left out. */
  push(pcm: Pcm, length = pcm.length): void {
    const count = Math.min(length, pcm.length, this.#room(length));
    if (count <= 0) return;
    this.#samples.set(count === pcm.length ? pcm : pcm.subarray(0, count), this.#end);
    if (this.#concealed > 0) this.#join(count);
    this.#end += count;
    this.#concealed = 0;
  }

  pushSilence(length: number): void {
    const count = Math.min(length, this.#room(length));
    this.#samples.fill(0, this.#end, this.#end + count);
    if (this.#concealed > 0) this.#join(count);
    this.#end += count;
    this.#concealed = 0;
  }

  /** Fills a hole from what was before it, for codecs that have no way of their own. */
  conceal(length: number): void {
    const count = Math.min(length, this.#room(length));
    if (this.#concealed === 0) {
      const window = (WINDOW_MS * this.rateHz) / 1000;
      const { length: period } = findPeriod(this.#samples, this.#end - window, -1, this.rateHz);
      this.#period = period;
    }
    this.#repeat(this.#samples, this.#end, count, this.#end);
    this.#end += count;
    this.#concealed += count;
  }

  /** The next 20 ms, lent until the next call; silence for what is missing. */
  take(): Pcm {
    const frame = this.#frame;
    const count = Math.min(frame.length, this.length);
    for (let i = 0; i < count; i++) frame[i] = this.#samples[this.#start + i]!;
    if (count < frame.length) frame.fill(0, count);
    this.#start += count;
    return frame;
  }

  /** Leaves one period out of what comes next, if that would not be heard; how many samples. */
  shorten(urgent: boolean): number {
    const samples = this.#samples;
    const at = this.#start;
    if (this.aheadMs < SHORTEN_MS) return 0;
    const { length, likeness } = findPeriod(samples, at, 1, this.rateHz);
    if (likeness < LIKE_ENOUGH && !urgent) return 0;
    for (let i = 0; i < length; i++) {
      const later = (i + 0.5) / length;
      samples[at + length + i] = Math.round(
        samples[at + i]! * (1 - later) + samples[at + length + i]! * later,
      );
    }
    this.#start += length;
    return length;
  }

  /** Says one period of what comes next twice, if that would not be heard; how many samples. */
  lengthen(): number {
    if (this.aheadMs < LONGEST_MS) return 0;
    const { length, likeness } = findPeriod(this.#samples, this.#start, -1, this.rateHz);
    if (likeness < LIKE_ENOUGH || this.#room(length) < length) return 0;
    const samples = this.#samples;
    const at = this.#start;
    samples.copyWithin(at + length, at, this.#end);
    this.#end += length;
    // Between what was and what comes: begins as what would have come, ends as what led to it.
    for (let i = 0; i < length; i++) {
      const later = (i + 0.5) / length;
      samples[at + i] = Math.round(
        samples[at + length + i]! * (1 - later) + samples[at + i - length]! * later,
      );
    }
    return length;
  }

  /** The first samples of what was pushed behind a concealed stretch are faded in over how that would have gone on. */
  #join(count: number): void {
    const length = Math.min(this.#tail.length, count);
    this.#repeat(this.#tail, 0, length, this.#end);
    for (let i = 0; i < length; i++) {
      const later = (i + 0.5) / length;
      const at = this.#end + i;
      this.#samples[at] = Math.round(this.#tail[i]! * (1 - later) + this.#samples[at]! * later);
    }
  }

  /** Writes the period again and again, fading. `from`: the end of what is known, where the hole or its next part begins. */
  #repeat(to: Pcm, at: number, count: number, from: number): void {
    const { rateHz } = this;
    const samples = this.#samples;
    const loud = (LOUD_MS * rateHz) / 1000;
    const fade = (FADE_MS * rateHz) / 1000;
    const known = from - this.#concealed;
    for (let i = 0; i < count; i++) {
      const n = this.#concealed + i;
      const gain = n < loud ? 1 : Math.max(0, 1 - (n - loud) / fade);
      to[at + i] = gain === 0 ? 0 : Math.round(gain * samples[known - this.#period + (n % this.#period)]!);
    }
  }

  /** Makes room for so many samples, if there can be; how many fit. */
  #room(wanted: number): number {
    if (this.#samples.length - this.#end < wanted && this.#start > this.#past) {
      const from = this.#start - this.#past;
      this.#samples.copyWithin(0, from, this.#end);
      this.#start -= from;
      this.#end -= from;
    }
    return this.#samples.length - this.#end;
  }
}
