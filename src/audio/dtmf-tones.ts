import type { SampleRateHz } from './pcm.ts';
import { type AudioSource, sequence } from './source.ts';
import { bursts, type ToneStep } from './tone.ts';

/** Q.23 §3: one of the low group and one of the high group at once, by the rows and columns of the keypad. */
export const LOW_HZ = [697, 770, 852, 941] as const;
export const HIGH_HZ = [1209, 1336, 1477, 1633] as const;
export const KEYPAD = '123A456B789C*0#D';

/** Longer than any receiver of Q.24 table 1 needs (40 ms on, 30 to 70 ms off), and what phones send. */
export const DEFAULT_DIGIT_MS = 100;
export const DEFAULT_PAUSE_MS = 100;
/** Q.24 annex A: receivers take 0 to -24 dBm0 and more; lines that add up to 10 dB leave this far inside. */
const LEVEL_DBM0 = -9;

/** Digits as sound; `,` and `w` are waited for, half a second each. What is no key says nothing. */
export function dtmfSource(
  rateHz: SampleRateHz,
  digits: string,
  digitMs = DEFAULT_DIGIT_MS,
  pauseMs = DEFAULT_PAUSE_MS,
): AudioSource {
  const parts: AudioSource[] = [];
  for (const character of digits.toUpperCase()) {
    const key = KEYPAD.indexOf(character);
    const steps: ToneStep[] =
      key >= 0
        ? [
            { frequenciesHz: [LOW_HZ[key >> 2] as number, HIGH_HZ[key & 3] as number], durationMs: digitMs },
            { frequenciesHz: [], durationMs: pauseMs },
          ]
        : character === ',' || character === 'W'
          ? [{ frequenciesHz: [], durationMs: 500 }]
          : [];
    if (steps.length > 0) parts.push(bursts(rateHz, steps, LEVEL_DBM0, false));
  }
  return sequence(rateHz, parts, 1);
}
