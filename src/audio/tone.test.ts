import { expect, test } from 'vitest';
import { levelDbov } from './mix.ts';
import type { SampleRateHz } from './pcm.ts';
import { bursts, toneSource, toneSteps } from './tone.ts';
import { TONE_PLANS, type ToneName } from './tone-plan.ts';

const RATES: readonly SampleRateHz[] = [8000, 16_000, 48_000];
const NAMES: readonly Exclude<ToneName, 'beep'>[] = ['dial', 'ringback', 'busy', 'reorder', 'call-waiting'];

/** Amplitude of a frequency, by correlation. */
function amplitude(pcm: Int16Array, hz: number, rateHz: number): number {
  let re = 0;
  let im = 0;
  for (let i = 0; i < pcm.length; i++) {
    re += (pcm[i] as number) * Math.cos((2 * Math.PI * hz * i) / rateHz);
    im += (pcm[i] as number) * Math.sin((2 * Math.PI * hz * i) / rateHz);
  }
  return (2 * Math.hypot(re, im)) / pcm.length;
}

function taken(
  rateHz: SampleRateHz,
  name: ToneName,
  country: string,
  fromMs: number,
  forMs: number,
): Int16Array {
  const out = new Int16Array((rateHz * forMs) / 1000);
  toneSource(rateHz, name, country).read((rateHz * fromMs) / 1000, out, 0, out.length);
  return out;
}

test('forty countries have all five tones, each in the notation and audible within its first second', () => {
  expect(Object.keys(TONE_PLANS).length).toBeGreaterThanOrEqual(40);
  for (const [country, plan] of Object.entries(TONE_PLANS))
    for (const name of NAMES) {
      const steps = toneSteps(plan[name]);
      expect(steps.length, `${country} ${name}`).toBeGreaterThan(0);
      expect(levelDbov(taken(8000, name, country, 0, 1000)), `${country} ${name}`).toBeGreaterThan(-32);
    }
});

test.each(RATES)(
  'a German ringback at %i Hz sounds for one second in five, at 425 Hz and -10 dBm0',
  (rateHz) => {
    const on = taken(rateHz, 'ringback', 'de', 0, 1000);
    expect(20 * Math.log10(amplitude(on, 425, rateHz) / 32_767) + 3.14).toBeCloseTo(-10, 1);
    expect(taken(rateHz, 'ringback', 'de', 1000, 4000).every((sample) => sample === 0)).toBe(true);
    expect(taken(rateHz, 'ringback', 'de', 5000, 1000)).toEqual(on);
  },
);

test('two tones sound at once, and a modulated one has its side bands', () => {
  const dial = taken(16_000, 'dial', 'us', 400, 1000);
  for (const hz of [350, 440])
    expect(20 * Math.log10(amplitude(dial, hz, 16_000) / 32_767) + 3.14).toBeCloseTo(-13, 1);
  const india = taken(16_000, 'dial', 'IN', 1000, 1000);
  for (const hz of [375, 425])
    expect(amplitude(india, hz, 16_000) / amplitude(india, 400, 16_000)).toBeCloseTo(0.45, 1);
});

test('what is heard follows from the position alone', () => {
  for (const rateHz of RATES) {
    const source = toneSource(rateHz, 'busy', 'gb');
    const whole = new Int16Array(2 * rateHz);
    source.read(0, whole, 0, whole.length);
    const pieces = new Int16Array(whole.length);
    for (let at = 0; at < pieces.length; ) {
      const count = Math.min(1 + ((at * 7) % 997), pieces.length - at);
      source.read(at, pieces, at, count);
      at += count;
    }
    // Turning a phase from sample to sample rounds a few of them the other way.
    for (let i = 0; i < whole.length; i++)
      expect(Math.abs((whole[i] as number) - (pieces[i] as number))).toBeLessThanOrEqual(1);
  }
});

test('a beep ends by itself and an unknown country has the tones of North America', () => {
  expect(toneSource(8000, 'beep').samples).toBe(1600);
  expect(taken(8000, 'busy', 'zz', 0, 500)).toEqual(taken(8000, 'busy', 'us', 0, 500));
  expect(taken(8000, 'busy', 'constructor', 0, 500)).toEqual(taken(8000, 'busy', 'us', 0, 500));
});

test('a burst rises and falls without a click', () => {
  const source = bursts(8000, [{ frequenciesHz: [1000], durationMs: 50 }], -10, false);
  const out = new Int16Array(480);
  source.read(0, out, 0, out.length);
  expect(Math.abs(out[1] as number)).toBeLessThan(1500);
  expect(Math.abs(out[399] as number)).toBeLessThan(1500);
  expect(out.subarray(400).every((sample) => sample === 0)).toBe(true);
});

test('a cadence that is none is a bug', () => {
  expect(() => toneSteps('440/,0')).toThrow('"440/" is no element');
});
