import { type Pcm, type SampleRateHz, samplesPerFrame } from '../../audio/index.ts';
import { findPeriod, LONGEST_MS, WINDOW_MS } from './pitch.ts';

/** So much of what was played is kept: lengthening goes back one period. */
const PAST_MS = LONGEST_MS + WINDOW_MS;
/** One packet at its longest, and a frame that waits. */
const AHEAD_MS = 120 + 60;
/** Shortening needs so much ahead; lengthening less than a frame. */
export const SHORTEN_MS = 2 * LONGEST_MS;
const LIKE_ENOUGH = 0.85;

/** Decoded audio that waits to be played, at one rate, with a little of what was played. */
export class PlayOut {
  readonly rateHz: SampleRateHz;
  readonly #samples: Pcm;
  readonly #past: number;
  readonly #frame: Pcm;
  #start: number;
  #end: number;

  constructor(rateHz: SampleRateHz) {
    this.rateHz = rateHz;
    this.#past = (PAST_MS * rateHz) / 1000;
    this.#samples = new Int16Array(this.#past + (AHEAD_MS * rateHz) / 1000);
    this.#start = this.#end = this.#past;
    this.#frame = new Int16Array(samplesPerFrame(rateHz));
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
    this.#end += count;
  }

  pushSilence(length: number): void {
    const count = Math.min(length, this.#room(length));
    this.#samples.fill(0, this.#end, this.#end + count);
    this.#end += count;
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
