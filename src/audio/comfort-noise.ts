import type { Pcm } from './pcm.ts';

/** Background noise in place of silence (RFC 3389): what a codec without its own comfort noise plays while its peer sends none. */
export interface ComfortNoise {
  /** A payload [from, to): level and, where there are any, reflection coefficients. An empty one changes nothing. */
  describe(payload: Uint8Array, from: number, to: number): void;
  /** Without a payload: noise of this level. */
  level(dbov: number): void;
  /** Fills the frame. */
  fill(out: Pcm): void;
}

/** RFC 3389 §3.2: receivers take any order; more than this says nothing about noise. */
const MOST_ORDER = 12;
/** Of a full-scale square wave, as RFC 3389 §3.1 and RFC 6464 count. */
const FULL_SCALE = 32_768;
/** Louder than this is no background. */
const LOUDEST_DBOV = -20;
/** The level of a quiet room, until something is known. */
export const DEFAULT_NOISE_DBOV = -65;

/** `seed`: two streams that are mixed should not have the same noise. */
export function createComfortNoise(seed = 1): ComfortNoise {
  const reflection = new Float64Array(MOST_ORDER);
  const past = new Float64Array(MOST_ORDER + 1);
  let order = 0;
  let state = seed | 0 || 1;
  let targetAmplitude = amplitudeOf(DEFAULT_NOISE_DBOV);
  let amplitude = targetAmplitude;
  let shrink = 1;

  /** About normal, variance 1: the sum of four even ones, xorshift32 twice. */
  const chance = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const a = (state & 0xffff) + (state >>> 16);
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const b = (state & 0xffff) + (state >>> 16);
    // Each of the four has variance 65536² / 12.
    return (a + b - 131_070) / 37_837;
  };

  return {
    describe(payload, from, to) {
      if (!(from >= 0 && to > from && to <= payload.length)) return;
      targetAmplitude = amplitudeOf(Math.min(LOUDEST_DBOV, -((payload[from] as number) & 0x7f)));
      order = Math.min(MOST_ORDER, to - from - 1);
      shrink = 1;
      for (let i = 0; i < order; i++) {
        // §3.2: N = 127 is zero; inside the unit circle, so that the filter cannot grow.
        const k = (258 * ((payload[from + 1 + i] as number) - 127)) / 32_768;
        reflection[i] = Math.max(-0.99, Math.min(0.99, k));
        shrink *= Math.sqrt(1 - (reflection[i] as number) ** 2);
      }
      past.fill(0, order);
    },
    level(dbov) {
      targetAmplitude = amplitudeOf(Math.min(LOUDEST_DBOV, dbov));
      order = 0;
      shrink = 1;
    },
    fill(out) {
      for (let n = 0; n < out.length; n++) {
        amplitude += (targetAmplitude - amplitude) / 512;
        // All-pole lattice (RFC 3389 §4): white noise through the spectrum's shape, its power kept.
        let forward = chance() * amplitude * shrink;
        for (let i = order - 1; i >= 0; i--) {
          const k = reflection[i] as number;
          forward -= k * (past[i] as number);
          past[i + 1] = (past[i] as number) + k * forward;
        }
        past[0] = forward;
        out[n] = forward > 32_767 ? 32_767 : forward < -32_768 ? -32_768 : Math.round(forward);
      }
    },
  };
}

const amplitudeOf = (dbov: number): number => FULL_SCALE * 10 ** (dbov / 20);

/** Of 1 + this many octets. */
const SENT_ORDER = 8;

/** Describes noise in RFC 3389's form, from one frame of it. */
export interface NoiseAnalyser {
  /** Writes a payload of 9 octets to `out` at `at`; the octets written, 0 when they do not fit. */
  describe(frame: Pcm, out: Uint8Array, at: number): number;
}

export function createNoiseAnalyser(): NoiseAnalyser {
  const correlation = new Float64Array(SENT_ORDER + 1);
  const a = new Float64Array(SENT_ORDER + 1);
  const next = new Float64Array(SENT_ORDER + 1);
  return {
    describe(frame, out, at) {
      if (!(at >= 0 && at + 1 + SENT_ORDER <= out.length) || frame.length === 0) return 0;
      for (let lag = 0; lag <= SENT_ORDER; lag++) {
        let sum = 0;
        for (let i = lag; i < frame.length; i++) sum += (frame[i] as number) * (frame[i - lag] as number);
        correlation[lag] = sum;
      }
      const power = (correlation[0] as number) / frame.length / FULL_SCALE ** 2;
      out[at] = Math.min(127, power <= 0 ? 127 : Math.round(-10 * Math.log10(power)));
      // Levinson and Durbin; a floor of white noise keeps it well-conditioned.
      let error = (correlation[0] as number) * 1.001 + 1;
      a.fill(0);
      for (let m = 1; m <= SENT_ORDER; m++) {
        let sum = correlation[m] as number;
        for (let i = 1; i < m; i++) sum += (a[i] as number) * (correlation[m - i] as number);
        const k = -sum / error;
        next.set(a);
        next[m] = k;
        for (let i = 1; i < m; i++) next[i] = (a[i] as number) + k * (a[m - i] as number);
        a.set(next);
        error *= 1 - k * k;
        out[at + m] = Math.max(0, Math.min(254, Math.round((k * 32_768) / 258) + 127));
      }
      return 1 + SENT_ORDER;
    },
  };
}
