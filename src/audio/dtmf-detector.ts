import { HIGH_HZ, KEYPAD, LOW_HZ } from './dtmf-tones.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';
import { createResampler } from './resample.ts';
import { PEAK_AT_0_DBM0 } from './tone.ts';

/** A key that was heard. */
export interface DtmfHeard {
  readonly digit: string;
  readonly durationMs: number;
}

/** Listens for keys in one direction of a stream. */
export interface DtmfDetector {
  /** Takes a frame (20 ms; at most 40 ms). Gives a key once it was let go. */
  detect(frame: Pcm): DtmfHeard | undefined;
  /** The key that sounds now, known some 40 ms after it began; '' for none. */
  readonly sounding: string;
  /** The stream paused or began anew: a key that sounded is forgotten. */
  reset(): void;
}

const RATE_HZ = 8000;
/** 12.75 ms: 78 Hz wide, as far apart as two tones of a group are. Looked at twice as often as that. */
const BLOCK = 102;
const HOP = 51;
/** A block counts from about this part of it filled, so a tone is this much longer than its blocks' hops. */
const AROUND = 72;
/** Q.24 table 1: 40 ms must be taken (4 blocks lie in them wherever they begin), 23 ms must not. */
const HITS_TO_BEGIN = 4;
/** An interruption of less than 10 ms is none (it costs up to 4 blocks), a pause of 30 ms is one. */
const MISSES_TO_END = 5;

const ratio = (db: number): number => 10 ** (db / 10);
/** Of a sine wave of 0 dBm0: its amplitude squared. */
const SQUARE_AT_0_DBM0 = PEAK_AT_0_DBM0 ** 2;

/** Each tone: Q.24 asks 0 to -24 (NTT), -25 (AT&T), -27 dBm0 (Australia, Brazil). */
const LEAST_SQUARE = SQUARE_AT_0_DBM0 * ratio(-36);
/** Low tone above the high one: Q.24 takes up to 8 dB; high above low: 4 dB. Lines and codecs add to it. */
const MOST_TWIST = ratio(9.5);
const MOST_REVERSE_TWIST = ratio(6.5);
/** Q.24 takes 1.5 % (1.8 %: AT&T) and refuses 3 to 3.5 %. */
const MOST_OFF = 0.024;
/** Of the block's energy, before the tones' exact frequencies are known. Most of a call ends here. */
const LEAST_SHARE_AT_FIRST = 0.5;
/** What the two tones leave of it: speech leaves more. 15 dB between signal and noise leave 3 %. */
const MOST_LEFT = 0.13;
/** A voice has its overtones: what is left at twice a tone's frequency must be this far below the tone. */
const BELOW_TONE = ratio(-14);

const angle = (hz: number): number => (2 * Math.PI * hz) / RATE_HZ;
const ANGLES = Float64Array.from([...LOW_HZ, ...HIGH_HZ], angle);
const FACTORS = ANGLES.map((step) => 2 * Math.cos(step));

/** Goertzel's recurrence: the square of the amplitude of a frequency. */
function squareOf(block: Float64Array, factor: number): number {
  let before = 0;
  let last = 0;
  for (let i = 0; i < BLOCK; i++) {
    const now = (block[i] as number) + factor * last - before;
    before = last;
    last = now;
  }
  return (last * last + before * before - factor * last * before) * (2 / BLOCK) ** 2;
}

/** A tone being measured: its frequency as an angle per sample, and its two amplitudes. */
interface Wave {
  step: number;
  cos: number;
  sin: number;
}

/** Adds (`sign` 1) or takes away (-1) a wave. */
function addWave(block: Float64Array, wave: Wave, sign: number): void {
  const turnRe = Math.cos(wave.step);
  const turnIm = Math.sin(wave.step);
  let re = sign;
  let im = 0;
  for (let i = 0; i < BLOCK; i++) {
    block[i] = (block[i] as number) + wave.cos * re + wave.sin * im;
    const next = re * turnRe - im * turnIm;
    im = re * turnIm + im * turnRe;
    re = next;
  }
}

/** Measures the wave near its frequency so far: what its phase gains from one half of the block to the other says how far it is off. */
function measure(block: Float64Array, wave: Wave): void {
  for (let round = 0; round < 2; round++) {
    const turnRe = Math.cos(wave.step);
    const turnIm = Math.sin(wave.step);
    let re = 1;
    let im = 0;
    let cos = 0;
    let sin = 0;
    let firstCos = 0;
    let firstSin = 0;
    for (let i = 0; i < BLOCK; i++) {
      if (i === HOP) {
        firstCos = cos;
        firstSin = sin;
      }
      cos += (block[i] as number) * re;
      sin += (block[i] as number) * im;
      const next = re * turnRe - im * turnIm;
      im = re * turnIm + im * turnRe;
      re = next;
    }
    if (round === 1) {
      wave.cos = (2 * cos) / BLOCK;
      wave.sin = (2 * sin) / BLOCK;
      return;
    }
    const [secondCos, secondSin] = [cos - firstCos, sin - firstSin];
    // The angle between the halves: of a faster wave the second is behind.
    wave.step -=
      Math.atan2(secondSin * firstCos - secondCos * firstSin, secondCos * firstCos + secondSin * firstSin) /
      HOP;
  }
}

const low: Wave = { step: 0, cos: 0, sin: 0 };
const high: Wave = { step: 0, cos: 0, sin: 0 };
const left = new Float64Array(BLOCK);
const squares = new Float64Array(8);
const square = (wave: Wave): number => wave.cos ** 2 + wave.sin ** 2;

/** The index of the key that a block holds, -1 for none. */
function keyIn(block: Float64Array): number {
  let energy = 0;
  for (let i = 0; i < BLOCK; i++) energy += (block[i] as number) ** 2;
  // As a square of amplitudes, so that it compares with those of waves.
  energy *= 2 / BLOCK;
  if (energy < 2 * LEAST_SQUARE) return -1;
  let row = 0;
  let column = 4;
  for (let i = 0; i < 8; i++) {
    squares[i] = squareOf(block, FACTORS[i] as number);
    if (i < 4) {
      if ((squares[i] as number) > (squares[row] as number)) row = i;
    } else if ((squares[i] as number) > (squares[column] as number)) column = i;
  }
  if ((squares[row] as number) + (squares[column] as number) < LEAST_SHARE_AT_FIRST * energy) return -1;
  return areTones(block, ANGLES[row] as number, ANGLES[column] as number, energy)
    ? row * 4 + (column - 4)
    : -1;
}

/** Fits two waves near these frequencies, each to what the other leaves, and judges them and what both leave. */
function areTones(block: Float64Array, lowStep: number, highStep: number, energy: number): boolean {
  left.set(block);
  low.step = lowStep;
  high.step = highStep;
  low.cos = low.sin = high.cos = high.sin = 0;
  for (let round = 0; round < 3; round++) {
    if (round > 0) addWave(left, low, 1);
    measure(left, low);
    addWave(left, low, -1);
    if (round > 0) addWave(left, high, 1);
    measure(left, high);
    addWave(left, high, -1);
  }
  const [lowSquare, highSquare] = [square(low), square(high)];
  if (lowSquare < LEAST_SQUARE || highSquare < LEAST_SQUARE) return false;
  if (lowSquare > highSquare * MOST_TWIST || highSquare > lowSquare * MOST_REVERSE_TWIST) return false;
  if (Math.abs(low.step / lowStep - 1) > MOST_OFF || Math.abs(high.step / highStep - 1) > MOST_OFF)
    return false;
  let rest = 0;
  for (let i = 0; i < BLOCK; i++) rest += (left[i] as number) ** 2;
  if (rest * (2 / BLOCK) > MOST_LEFT * energy) return false;
  return (
    squareOf(left, 2 * Math.cos(2 * low.step)) < lowSquare * BELOW_TONE &&
    squareOf(left, 2 * Math.cos(2 * high.step)) < highSquare * BELOW_TONE
  );
}

/** Q.24: Goertzel's filters find a pair of tones; level, twist, frequency, what else is there, harmonics and time decide. */
export function createDtmfDetector(rateHz: SampleRateHz): DtmfDetector {
  const down = createResampler(rateHz, RATE_HZ);
  const block = new Float64Array(BLOCK);
  let filled = BLOCK - HOP;
  let sounding = -1;
  let candidate = -1;
  let hits = 0;
  let misses = 0;
  let blocks = 0;

  const step = (): DtmfHeard | undefined => {
    const key = keyIn(block);
    let over: DtmfHeard | undefined;
    if (sounding >= 0) {
      blocks++;
      if (key === sounding) misses = 0;
      else if (++misses >= MISSES_TO_END || (key >= 0 && key === candidate)) {
        over = heard(sounding, blocks - misses);
        sounding = -1;
      }
    }
    hits = key >= 0 && key === candidate ? hits + 1 : key >= 0 ? 1 : 0;
    candidate = key;
    if (sounding < 0 && hits >= HITS_TO_BEGIN) {
      sounding = key;
      blocks = hits;
      misses = 0;
    }
    return over;
  };

  return {
    get sounding() {
      return sounding < 0 ? '' : (KEYPAD[sounding] as string);
    },
    detect(frame) {
      const samples = down.resample(frame);
      let over: DtmfHeard | undefined;
      for (let i = 0; i < samples.length; i++) {
        block[filled++] = samples[i] as number;
        if (filled < BLOCK) continue;
        over = step() ?? over;
        block.copyWithin(0, HOP);
        filled = BLOCK - HOP;
      }
      return over;
    },
    reset() {
      block.fill(0);
      sounding = -1;
      candidate = -1;
      hits = 0;
      misses = 0;
    },
  };
}

const heard = (key: number, blocks: number): DtmfHeard => ({
  digit: KEYPAD[key] as string,
  durationMs: Math.round((1000 * (blocks * HOP + AROUND)) / RATE_HZ),
});
