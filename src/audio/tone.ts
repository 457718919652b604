import type { SampleRateHz } from './pcm.ts';
import { type AudioSource, samplesOf } from './source.ts';
import { DEFAULT_COUNTRY, TONE_PLANS, type ToneName } from './tone-plan.ts';

/** A stretch of a cadence: sine waves at once for so long. */
export interface ToneStep {
  readonly frequenciesHz: readonly number[];
  /** Amplitude modulation, 90 % deep, where there is one. */
  readonly modulatedByHz?: number;
  /** `Infinity`: steady. */
  readonly durationMs: number;
}

/** Of each of the sine waves, in dBm0: E.180 §2 asks -10 ± 5 for a single tone and 3 dB less for each of two. */
const SINGLE_DBM0 = -10;
const EACH_OF_TWO_DBM0 = -13;
/** The beep before a voice message: 1 kHz for 200 ms, once. */
const BEEP: readonly ToneStep[] = [{ frequenciesHz: [1000], durationMs: 200 }];
/** Rise and fall at either end of a burst, so that it does not click. */
const EDGE_MS = 2;
const MODULATION = 0.9;

/** Peak of a sine wave of 0 dBm0: 3.14 dB below the largest that A-law can say (G.711 §4). */
export const PEAK_AT_0_DBM0 = 32_767 * 10 ** (-3.14 / 20);

/** Throws for a text that is not of the notation of `TonePlan`: the plans are ours. */
export function toneSteps(cadence: string): ToneStep[] {
  return cadence.split(',').map((element) => {
    const parts = /^(\d+)(?:([+*])(\d+))?(?:\/(\d+))?$/.exec(element);
    if (parts === null) throw new Error(`"${element}" is no element of a cadence`);
    const [, first, joint, second, ms] = parts;
    return {
      frequenciesHz: [first, joint === '+' ? second : undefined].map(Number).filter((hz) => hz > 0),
      ...(joint === '*' && { modulatedByHz: Number(second) }),
      durationMs: ms === undefined ? Number.POSITIVE_INFINITY : Number(ms),
    };
  });
}

/** A country's tone, said again and again; a beep ends by itself. An unknown country has the tones of North America. */
export function toneSource(rateHz: SampleRateHz, name: ToneName, country = DEFAULT_COUNTRY): AudioSource {
  if (name === 'beep') return bursts(rateHz, BEEP, SINGLE_DBM0, false);
  const key = country.toLowerCase();
  const plan = (Object.hasOwn(TONE_PLANS, key) ? TONE_PLANS[key] : TONE_PLANS[DEFAULT_COUNTRY])!;
  const steps = toneSteps(plan[name]);
  const twin = steps.some(({ frequenciesHz }) => frequenciesHz.length > 1);
  return bursts(rateHz, steps, twin ? EACH_OF_TWO_DBM0 : SINGLE_DBM0, true);
}

/** Sine waves by a cadence at `eachDbm0`, once or again and again. */
export function bursts(
  rateHz: SampleRateHz,
  steps: readonly ToneStep[],
  eachDbm0: number,
  repeats: boolean,
): AudioSource {
  const starts: number[] = [];
  let round = 0;
  for (const { durationMs } of steps) {
    starts.push(round);
    round += samplesOf(durationMs, rateHz);
  }
  const peak = PEAK_AT_0_DBM0 * 10 ** (eachDbm0 / 20);
  const edge = samplesOf(EDGE_MS, rateHz);
  const samples = repeats ? Number.POSITIVE_INFINITY : round;
  return {
    rateHz,
    samples,
    read(from, out, at, count) {
      out.fill(0, at, at + count);
      let position = from;
      let written = 0;
      while (written < count && position < samples) {
        const within = round === Number.POSITIVE_INFINITY ? position : position % round;
        let index = steps.length - 1;
        while (index > 0 && (starts[index] as number) > within) index--;
        const step = steps[index] as ToneStep;
        const start = starts[index] as number;
        const end = start + samplesOf(step.durationMs, rateHz);
        const length = Math.min(count - written, end - within);
        // Not `for of`: nothing may be allocated here.
        for (let f = 0; f < step.frequenciesHz.length; f++)
          addSine(
            out,
            at + written,
            length,
            (2 * Math.PI * (step.frequenciesHz[f] as number)) / rateHz,
            within - start,
            peak,
          );
        if (step.modulatedByHz !== undefined)
          modulate(out, at + written, length, (2 * Math.PI * step.modulatedByHz) / rateHz, within - start);
        soften(out, at + written, length, within - start, end - within, edge);
        written += length;
        position += length;
      }
    },
  };
}

/** The phase is exact where it begins and turned from sample to sample: two trigonometric calls for each stretch, not for each sample. */
function addSine(out: Int16Array, at: number, count: number, step: number, from: number, peak: number): void {
  let re = Math.cos(step * from);
  let im = Math.sin(step * from);
  const turnRe = Math.cos(step);
  const turnIm = Math.sin(step);
  for (let i = 0; i < count; i++) {
    out[at + i] = Math.round((out[at + i] as number) + peak * im);
    const next = re * turnRe - im * turnIm;
    im = re * turnIm + im * turnRe;
    re = next;
  }
}

function modulate(out: Int16Array, at: number, count: number, step: number, from: number): void {
  for (let i = 0; i < count; i++)
    out[at + i] = Math.round(
      ((out[at + i] as number) * (1 + MODULATION * Math.cos(step * (from + i)))) / (1 + MODULATION),
    );
}

function soften(
  out: Int16Array,
  at: number,
  count: number,
  sinceStart: number,
  untilEnd: number,
  edge: number,
): void {
  for (let i = 0; i < count && sinceStart + i < edge; i++)
    out[at + i] = Math.round(((out[at + i] as number) * (sinceStart + i + 1)) / (edge + 1));
  for (let i = Math.max(0, untilEnd - edge); i < count; i++)
    out[at + i] = Math.round(((out[at + i] as number) * (untilEnd - i)) / (edge + 1));
}
