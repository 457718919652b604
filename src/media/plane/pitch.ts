import type { Pcm, SampleRateHz } from '../../audio/index.ts';

/*
 * Sound repeats itself, voiced speech every 2.5 to 12.5 ms. Where it does, one period more or less is not heard: so audio is made longer or shorter
 * (WSOLA), and a hole is filled (as G.711 Appendix I does).
 */

export const SHORTEST_MS = 2.5;
export const LONGEST_MS = 12.5;
/** What is compared. */
export const WINDOW_MS = 10;
/** Below about -50 dBov any two stretches are alike. */
const SILENCE_POWER = 100 ** 2;

export interface Period {
  /** Samples. */
  length: number;
  /** How alike the two stretches are: 1 the same, 0 not at all. */
  likeness: number;
  silent: boolean;
}

/**
 * The period at `at`: how far further on (`direction` 1) or back (-1) the audio is most like the `WINDOW_MS` from `at` on. All that is compared
 * must lie in `samples`. Searched coarsely at 8 kHz, then around the best sample by sample.
 */
export function findPeriod(samples: Pcm, at: number, direction: 1 | -1, rateHz: SampleRateHz): Period {
  const window = (WINDOW_MS * rateHz) / 1000;
  const shortest = (SHORTEST_MS * rateHz) / 1000;
  const longest = (LONGEST_MS * rateHz) / 1000;
  const step = rateHz / 8000;
  let power = 0;
  for (let i = 0; i < window; i += step) power += samples[at + i]! ** 2;
  if ((power * step) / window < SILENCE_POWER) return { length: longest, likeness: 1, silent: true };
  let best = longest;
  let likeness = -1;
  const search = (from: number, to: number, by: number, stride: number) => {
    for (let lag = from; lag <= to; lag += by) {
      const found = likenessAt(samples, at, at + direction * lag, window, stride);
      if (found > likeness) {
        likeness = found;
        best = lag;
      }
    }
  };
  search(shortest, longest, step, step);
  if (step > 1) {
    const around = best;
    likeness = -1;
    search(Math.max(shortest, around - step), Math.min(longest, around + step), 1, 1);
  }
  return { length: best, likeness, silent: false };
}

function likenessAt(samples: Pcm, a: number, b: number, window: number, stride: number): number {
  let both = 0;
  let powerA = 0;
  let powerB = 0;
  for (let i = 0; i < window; i += stride) {
    const x = samples[a + i]!;
    const y = samples[b + i]!;
    both += x * y;
    powerA += x * x;
    powerB += y * y;
  }
  return powerA === 0 || powerB === 0 ? 0 : both / Math.sqrt(powerA * powerB);
}
