import type { Pcm } from './pcm.ts';

/**
 * What probably was in lost frames of a codec that has no concealment of its own, after the manner of G.711 appendix I: the last pitch period
 * is said again, after 10 ms the last two, after 20 ms the last three, ever quieter, and after 60 ms nothing. It delays nothing: where
 * appendix I holds back 3.75 ms to blend, the step between two periods is faded out.
 */
export interface Concealer {
  /** Takes a frame that came. Behind a loss its beginning is blended with what was put in its place. */
  take(frame: Pcm): void;
  /** Fills a frame that did not come. */
  fill(out: Pcm): void;
}

/** 66 to 200 Hz, as appendix I has it. */
const SHORTEST_PITCH_MS = 5;
const LONGEST_PITCH_MS = 15;
const MATCH_MS = 20;
const STEP_MS = 10;
const MOST_PERIODS = 3;
const LOUD_MS = 10;
const SILENT_MS = 60;
/** Behind a loss: 4 ms, and 4 more for each 10 ms of it, up to this. */
const BLEND_MS = 4;
const MOST_BLEND_MS = 10;

export function createConcealer(rateHz: number): Concealer {
  const perMs = rateHz / 1000;
  const shortest = SHORTEST_PITCH_MS * perMs;
  const longest = LONGEST_PITCH_MS * perMs;
  // Three periods of the longest pitch, and a quarter before them to blend with.
  const kept = Math.ceil(longest * (MOST_PERIODS + 0.25));
  const past = new Float32Array(kept);
  /** The periods that are said, the end blended into what was before the beginning. */
  const said = new Float32Array(longest * MOST_PERIODS);
  const blend = new Float32Array(MOST_BLEND_MS * perMs);
  let pitch = 0;
  let periods = 0;
  let length = 0;
  let at = 0;
  let step = 0;
  /** Samples of the loss so far. */
  let lost = 0;

  const prepare = (count: number): void => {
    periods = count;
    length = pitch * count;
    const start = kept - length;
    for (let i = 0; i < length; i++) said[i] = past[start + i] as number;
    const quarter = pitch >> 2;
    for (let i = 0; i < quarter; i++) {
      const weight = (i + 1) / (quarter + 1);
      const end = length - quarter + i;
      said[end] = (1 - weight) * (said[end] as number) + weight * (past[start - quarter + i] as number);
    }
  };

  const loudness = (): number => {
    const ms = lost / perMs;
    return ms <= LOUD_MS ? 1 : ms >= SILENT_MS ? 0 : 1 - (ms - LOUD_MS) / (SILENT_MS - LOUD_MS);
  };

  /** The next so many samples of the loss. */
  const extend = (out: Pcm | Float32Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const wanted = Math.min(MOST_PERIODS, 1 + Math.floor(lost / perMs / STEP_MS));
      if (wanted !== periods) {
        // The same sample as before: at the end of what is said it goes back one period further than so far.
        at = periods === 0 ? 0 : at + pitch;
        prepare(wanted);
      }
      const quarter = pitch >> 2;
      let sample = said[at] as number;
      at = at + 1 === length ? 0 : at + 1;
      if (lost < quarter) {
        // From where the last sample was to where it would have been one period earlier.
        sample += step * (1 - (lost + 1) / (quarter + 1));
      }
      out[i] = Math.round(sample * loudness());
      lost++;
    }
  };

  return {
    take(frame) {
      if (lost > 0) {
        const ms = Math.min(MOST_BLEND_MS, BLEND_MS + (BLEND_MS * lost) / perMs / STEP_MS);
        const count = Math.min(frame.length, Math.floor(ms * perMs));
        extend(blend, count);
        for (let i = 0; i < count; i++) {
          const weight = (i + 1) / (count + 1);
          frame[i] = Math.round(weight * (frame[i] as number) + (1 - weight) * (blend[i] as number));
        }
        lost = 0;
      }
      const fresh = Math.min(kept, frame.length);
      past.copyWithin(0, fresh);
      for (let i = 0; i < fresh; i++) past[kept - fresh + i] = frame[frame.length - fresh + i] as number;
    },
    fill(out) {
      if (lost === 0) {
        pitch = findPitch(past, shortest, longest, MATCH_MS * perMs);
        step = (past[kept - 1] as number) - (past[kept - 1 - pitch] as number);
        periods = 0;
      }
      // A loss that goes on and on is silence, and the count of it stays a number.
      if (lost > SILENT_MS * perMs) out.fill(0);
      else extend(out, out.length);
    },
  };
}

/** The lag at which the end is most like what was before it: every second one first, then the neighbours of the best. */
function findPitch(past: Float32Array, shortest: number, longest: number, window: number): number {
  let best = longest;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let lag = shortest; lag <= longest; lag += 2) {
    const score = likeness(past, lag, window, 2);
    if (score > bestScore) {
      bestScore = score;
      best = lag;
    }
  }
  const coarse = best;
  bestScore = Number.NEGATIVE_INFINITY;
  for (let lag = Math.max(shortest, coarse - 1); lag <= Math.min(longest, coarse + 1); lag++) {
    const score = likeness(past, lag, window, 1);
    if (score > bestScore) {
      bestScore = score;
      best = lag;
    }
  }
  return best;
}

/** Correlation by the energy of the earlier part, every `step`-th sample. */
function likeness(past: Float32Array, lag: number, window: number, step: number): number {
  const from = past.length - window;
  let product = 0;
  let energy = 1;
  for (let i = from; i < past.length; i += step) {
    const before = past[i - lag] as number;
    product += (past[i] as number) * before;
    energy += before * before;
  }
  return product / Math.sqrt(energy);
}
