import { expect, test } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { availableCodecs, createDecoder, createEncoder, missingCodecs, sampleRateOf } from './codecs.ts';
import { A_LAW, MU_LAW } from './g711.ts';

const CODECS = [
  { name: 'pcmu', clockRateHz: 8000, leastDb: 30 },
  { name: 'pcma', clockRateHz: 8000, leastDb: 30 },
  { name: 'l16', clockRateHz: 16_000, leastDb: 90 },
  { name: 'g722', clockRateHz: 8000, leastDb: 20 },
  { name: 'opus', clockRateHz: 48_000, leastDb: 10 },
  { name: 'g729', clockRateHz: 8000, leastDb: 3 },
].filter(({ name }) => availableCodecs().includes(name));

/** Signal to noise at the delay where it is best, the first 100 ms left out. */
function snrDb(sent: Float64Array, got: Float64Array, rateHz: number): number {
  let best = Number.NEGATIVE_INFINITY;
  const start = rateHz / 10;
  for (let delay = 0; delay < rateHz / 40; delay++) {
    let signal = 0;
    let noise = 0;
    for (let i = start; i + delay < got.length; i++) {
      const s = sent[i] as number;
      signal += s * s;
      noise += (s - (got[i + delay] as number)) ** 2;
    }
    best = Math.max(best, 10 * Math.log10(signal / Math.max(noise, 1)));
  }
  return best;
}

test.each(CODECS)('a chord passes $name with at least $leastDb dB between signal and noise', (codec) => {
  const rateHz = sampleRateOf(codec) as number;
  const encoder = createEncoder(codec)!;
  const decoder = createDecoder(codec)!;
  const frame = new Int16Array(rateHz / 50);
  const frames = 20;
  const sent = new Float64Array(frames * frame.length);
  const got = new Float64Array(sent.length);
  const payload = new Uint8Array(1500);
  for (let n = 0; n < frames; n++) {
    for (let i = 0; i < frame.length; i++) {
      const t = (n * frame.length + i) / rateHz;
      frame[i] = Math.round(6000 * Math.sin(2 * Math.PI * 300 * t) + 3000 * Math.sin(2 * Math.PI * 900 * t));
      sent[n * frame.length + i] = frame[i] as number;
    }
    const length = encoder.encode(frame, payload, 12);
    expect(length).toBeGreaterThan(0);
    got.set(decoder.decode(payload, 12, 12 + length), n * frame.length);
  }
  expect(snrDb(sent, got, rateHz)).toBeGreaterThan(codec.leastDb);
  encoder.release();
  decoder.release();
});

test('G.711 has the values of its tables and every code survives a round trip', () => {
  expect([0x00, 0x80, 0xff, 0x7f].map((code) => MU_LAW.toLinear[code])).toEqual([-32124, 32124, 0, 0]);
  expect([0xd5, 0x55, 0xaa, 0x2a].map((code) => A_LAW.toLinear[code])).toEqual([8, -8, 32256, -32256]);
  for (const law of [MU_LAW, A_LAW])
    for (let code = 0; code < 256; code++) {
      const value = law.toLinear[code] as number;
      expect(law.toLinear[law.toCode[(value >> 2) & 0x3fff] as number]).toBe(value);
    }
});

test.each(CODECS)('no payload harms the decoder of $name, and nothing is used after its release', (codec) => {
  const random = seededRandom(7);
  const decoder = createDecoder(codec)!;
  for (let n = 0; n < 400; n++) {
    const payload = random.bytes(n < 40 ? n : (n * 37) % 1500);
    const got = decoder.decode(payload, 0, payload.length);
    expect(got.length).toBeLessThanOrEqual((decoder.rateHz * 120) / 1000);
    expect(decoder.conceal(payload).length).toBe(decoder.rateHz / 50);
    decoder.decode(payload, 5, 2);
    decoder.decode(payload, 0, payload.length + 9);
  }
  decoder.release();
  decoder.release();
  expect(decoder.decode(new Uint8Array(160), 0, 160).length).toBeGreaterThan(0);
  expect(
    createEncoder(codec)!.encode(new Int16Array(decoder.rateHz / 50), new Uint8Array(4), 0),
  ).toBeLessThanOrEqual(4);
});

test('an unknown codec is undefined, and what is missing names its Debian package', () => {
  expect(createDecoder({ name: 'gsm', clockRateHz: 8000 })).toBeUndefined();
  for (const sentence of missingCodecs()) expect(sentence).toMatch(/Debian's package lib/);
  expect(availableCodecs()).toEqual(expect.arrayContaining(['pcmu', 'pcma']));
});
