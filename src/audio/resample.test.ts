import { expect, test } from 'vitest';
import { type SampleRateHz, samplesPerFrame } from './pcm.ts';
import { createResampler } from './resample.ts';

const PAIRS: [SampleRateHz, SampleRateHz][] = [
  [8000, 16_000],
  [16_000, 8000],
  [16_000, 48_000],
  [48_000, 16_000],
  [8000, 48_000],
  [48_000, 8000],
];

function run(fromHz: SampleRateHz, toHz: SampleRateHz, hz: number): Float64Array {
  const resampler = createResampler(fromHz, toHz);
  const frame = new Int16Array(samplesPerFrame(fromHz));
  const got = new Float64Array(20 * samplesPerFrame(toHz));
  for (let n = 0; n < 20; n++) {
    for (let i = 0; i < frame.length; i++)
      frame[i] = Math.round(10_000 * Math.sin((2 * Math.PI * hz * (n * frame.length + i)) / fromHz));
    got.set(resampler.resample(frame), n * samplesPerFrame(toHz));
  }
  return got.subarray(5 * samplesPerFrame(toHz));
}

/** Power of what is not the tone, against the tone's: any click at a frame's border would be there. */
function toneAndRest(
  samples: Float64Array,
  rateHz: number,
  hz: number,
): { amplitude: number; restDb: number } {
  let c = 0;
  let s = 0;
  let all = 0;
  samples.forEach((value, i) => {
    c += value * Math.cos((2 * Math.PI * hz * i) / rateHz);
    s += value * Math.sin((2 * Math.PI * hz * i) / rateHz);
    all += value * value;
  });
  const amplitude = (2 * Math.hypot(c, s)) / samples.length;
  const tone = (amplitude ** 2 / 2) * samples.length;
  return { amplitude, restDb: 10 * Math.log10(Math.max(all - tone, 1e-9) / tone) };
}

test.each(PAIRS)(
  'a tone of 1 kHz goes from %i to %i Hz without clicks at the borders of frames',
  (from, to) => {
    const { amplitude, restDb } = toneAndRest(run(from, to, 1000), to, 1000);
    expect(amplitude).toBeGreaterThan(9900);
    expect(amplitude).toBeLessThan(10_100);
    expect(restDb).toBeLessThan(-55);
  },
);

test.each([
  [16_000, 8000],
  [48_000, 8000],
  [48_000, 16_000],
] as [SampleRateHz, SampleRateHz][])(
  'what the lower rate cannot carry does not fold back from %i to %i Hz',
  (from, to) => {
    const got = run(from, to, to * 0.62);
    expect(Math.sqrt(got.reduce((sum, value) => sum + value * value, 0) / got.length)).toBeLessThan(20);
  },
);

test('a length that was never seen before gives as many samples as the ratio says', () => {
  const resampler = createResampler(48_000, 8000);
  expect(resampler.resample(new Int16Array(120)).length).toBe(20);
  expect(resampler.resample(new Int16Array(99_999)).length).toBe(960);
});
