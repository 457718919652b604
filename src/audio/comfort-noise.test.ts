import { expect, test } from 'vitest';
import { createComfortNoise, createNoiseAnalyser } from './comfort-noise.ts';
import { levelDbov } from './mix.ts';

function noise(describe: (noise: ReturnType<typeof createComfortNoise>) => void): Int16Array {
  const source = createComfortNoise(7);
  describe(source);
  const settle = new Int16Array(8000);
  source.fill(settle);
  const out = new Int16Array(16_000);
  source.fill(out);
  return out;
}

test.each([30, 45, 60])('noise described with level %i has it', (level) => {
  const out = noise((source) => source.describe(Uint8Array.of(level), 0, 1));
  expect(Math.abs(levelDbov(out) + level)).toBeLessThan(0.5);
});

test('noise with a spectrum keeps its level and has the spectrum', () => {
  // One coefficient, k = -0.7: A(z) = 1 - 0.7 / z, a low-pass, neighbours alike by 0.7.
  const code = 127 + Math.round((-0.7 * 32_768) / 258);
  const out = noise((source) => source.describe(Uint8Array.of(40, code), 0, 2));
  expect(Math.abs(levelDbov(out) + 40)).toBeLessThan(1);
  let power = 0;
  let neighbours = 0;
  for (let i = 1; i < out.length; i++) {
    power += (out[i] as number) ** 2;
    neighbours += (out[i] as number) * (out[i - 1] as number);
  }
  expect(neighbours / power).toBeCloseTo(0.7, 1);
});

test('what is described from a frame sounds like it again', () => {
  const original = noise((source) => source.describe(Uint8Array.of(35, 60, 160, 120), 0, 4));
  const payload = new Uint8Array(12);
  const analyser = createNoiseAnalyser();
  expect(analyser.describe(original.subarray(0, 4000), payload, 2)).toBe(9);
  const again = noise((source) => source.describe(payload, 2, 11));
  expect(Math.abs(levelDbov(again) - levelDbov(original))).toBeLessThan(1.5);
  const second = new Uint8Array(9);
  analyser.describe(again.subarray(0, 4000), second, 0);
  for (let i = 1; i < 4; i++)
    expect(Math.abs((second[i] as number) - (payload[i + 2] as number))).toBeLessThan(12);
});

test('silence, no room and hostile payloads do no harm', () => {
  const payload = new Uint8Array(9);
  expect(createNoiseAnalyser().describe(new Int16Array(160), payload, 0)).toBe(9);
  expect(payload[0]).toBe(127);
  expect(createNoiseAnalyser().describe(new Int16Array(160), payload, 1)).toBe(0);
  const source = createComfortNoise();
  const out = new Int16Array(160);
  for (let seed = 0; seed < 300; seed++) {
    source.describe(
      Uint8Array.from({ length: seed % 40 }, (_, i) => (seed * 89 + i * 151) & 0xff),
      0,
      seed % 40,
    );
    source.fill(out);
    expect(levelDbov(out)).toBeLessThan(-8);
  }
  source.describe(payload, 5, 3);
  source.describe(payload, 0, 99);
});
