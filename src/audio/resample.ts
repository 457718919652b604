import type { Pcm, SampleRateHz } from './pcm.ts';

/** Keeps its past, so that frames join without a click. */
export interface Resampler {
  readonly fromHz: SampleRateHz;
  readonly toHz: SampleRateHz;
  /** The samples of a frame at the other rate, lent until the next call; at most 120 ms, else what is behind that is left out. */
  resample(frame: Pcm): Pcm;
}

/** Taps of each phase at the lower rate: 16 on either side hold the stop band beyond 60 dB from 1.1 times the cut-off on. */
const TAPS_PER_PHASE = 32;
const KAISER_BETA = 7;
/** Of the lower rate's Nyquist frequency: the transition band ends a little above it. */
const CUT_OFF = 0.92;

const filters = new Map<number, Float32Array>();

/** All rates in use are whole multiples of each other, so one prototype low-pass per ratio serves both directions. */
export function createResampler(fromHz: SampleRateHz, toHz: SampleRateHz): Resampler {
  if (fromHz === toHz) return { fromHz, toHz, resample: (frame) => frame };
  const up = toHz > fromHz;
  const ratio = up ? toHz / fromHz : fromHz / toHz;
  const taps = filterOf(ratio);
  const past = up ? TAPS_PER_PHASE : taps.length;
  const most = (fromHz * 120) / 1000;
  const line = new Float32Array(past + most);
  const out = new Int16Array((toHz * 120) / 1000);
  const lent = new Map<number, Pcm>();
  return {
    fromHz,
    toHz,
    resample(frame) {
      const length = Math.min(most, up ? frame.length : frame.length - (frame.length % ratio));
      for (let i = 0; i < length; i++) line[past + i] = frame[i] as number;
      const written = up
        ? interpolate(line, past, length, taps, ratio, out)
        : decimate(line, past, length, taps, ratio, out);
      line.copyWithin(0, length, length + past);
      let view = lent.get(written);
      if (view === undefined) {
        view = out.subarray(0, written);
        if (lent.size < 16) lent.set(written, view);
      }
      return view;
    },
  };
}

function decimate(
  line: Float32Array,
  past: number,
  length: number,
  taps: Float32Array,
  ratio: number,
  out: Pcm,
): number {
  const count = length / ratio;
  const last = taps.length;
  for (let n = 0; n < count; n++) {
    const newest = past + n * ratio;
    let sum = 0;
    for (let k = 0; k < last; k++) sum += (taps[k] as number) * (line[newest - k] as number);
    out[n] = saturate(sum);
  }
  return count;
}

function interpolate(
  line: Float32Array,
  past: number,
  length: number,
  taps: Float32Array,
  ratio: number,
  out: Pcm,
): number {
  const last = taps.length;
  let written = 0;
  for (let n = 0; n < length; n++)
    for (let phase = 0; phase < ratio; phase++) {
      let sum = 0;
      let at = past + n;
      for (let k = phase; k < last; k += ratio) sum += (taps[k] as number) * (line[at--] as number);
      out[written++] = saturate(sum * ratio);
    }
  return written;
}

const saturate = (value: number): number =>
  value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : Math.round(value);

/** Windowed sinc at the higher rate, its sum 1. */
function filterOf(ratio: number): Float32Array {
  let taps = filters.get(ratio);
  if (taps !== undefined) return taps;
  const count = TAPS_PER_PHASE * ratio;
  const middle = (count - 1) / 2;
  taps = new Float32Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const x = ((i - middle) * CUT_OFF) / ratio;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    const edge = (i - middle) / (middle + 1);
    taps[i] = sinc * bessel(KAISER_BETA * Math.sqrt(1 - edge * edge));
    sum += taps[i] as number;
  }
  for (let i = 0; i < count; i++) taps[i] = (taps[i] as number) / sum;
  filters.set(ratio, taps);
  return taps;
}

/** Modified Bessel function of order zero. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 30; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
