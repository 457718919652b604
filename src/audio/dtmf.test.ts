import { expect, test } from 'vitest';
import { hasSpeech, SENTENCES, speech } from '../../test/support/speech.ts';
import { availableCodecs, createDecoder, createEncoder, sampleRateOf } from './codecs.ts';
import { createDtmfDetector, type DtmfHeard } from './dtmf-detector.ts';
import { dtmfSource, HIGH_HZ, KEYPAD, LOW_HZ } from './dtmf-tones.ts';
import type { SampleRateHz } from './pcm.ts';
import { createResampler } from './resample.ts';
import { PEAK_AT_0_DBM0 } from './tone.ts';

interface Key {
  readonly digit: string;
  readonly ms: number;
  readonly pauseMs?: number;
  /** Of each tone. */
  readonly lowDbm0?: number;
  readonly highDbm0?: number;
  readonly offPercent?: number;
  /** Silence for so long in its middle. */
  readonly gapMs?: number;
}

/** Keys as a phone of any quality sends them, after `leadMs` of silence. */
function pressed(keys: readonly Key[], leadMs = 37): Int16Array {
  const parts: number[] = new Array(8 * leadMs).fill(0);
  for (const { digit, ms, pauseMs = 60, lowDbm0 = -9, highDbm0 = -9, offPercent = 0, gapMs = 0 } of keys) {
    const key = KEYPAD.indexOf(digit);
    const turn = (2 * Math.PI * (1 + offPercent / 100)) / 8000;
    const length = Math.round(8 * ms);
    const [gapFrom, gapTo] = [(length - 8 * gapMs) / 2, (length + 8 * gapMs) / 2];
    for (let i = 0; i < length; i++) {
      const low = 10 ** (lowDbm0 / 20) * Math.sin(turn * LOW_HZ[key >> 2]! * i);
      const high = 10 ** (highDbm0 / 20) * Math.sin(turn * HIGH_HZ[key & 3]! * i);
      parts.push(gapMs > 0 && i >= gapFrom && i < gapTo ? 0 : Math.round(PEAK_AT_0_DBM0 * (low + high)));
    }
    for (let i = 0; i < 8 * pauseMs; i++) parts.push(0);
  }
  return Int16Array.from([...parts, ...new Array(800).fill(0)]);
}

function heardIn(pcm: Int16Array, rateHz: SampleRateHz = 8000): DtmfHeard[] {
  const detector = createDtmfDetector(rateHz);
  const frame = rateHz / 50;
  const heard: DtmfHeard[] = [];
  for (let at = 0; at + frame <= pcm.length; at += frame) {
    const one = detector.detect(pcm.subarray(at, at + frame));
    if (one !== undefined) heard.push(one);
  }
  return heard;
}

const digitsIn = (pcm: Int16Array, rateHz: SampleRateHz = 8000): string =>
  heardIn(pcm, rateHz)
    .map(({ digit }) => digit)
    .join('');

const all = (of: Omit<Key, 'digit'>): Key[] => [...KEYPAD].map((digit) => ({ digit, ...of }));

/** White noise, normal, of this level in dBm0. */
function withNoise(pcm: Int16Array, dbm0: number): Int16Array {
  let seed = 12_345;
  const even = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) / 2 ** 24 + 1e-9;
  };
  const rms = (PEAK_AT_0_DBM0 / Math.SQRT2) * 10 ** (dbm0 / 20);
  return pcm.map((sample) =>
    Math.max(
      -32_768,
      Math.min(32_767, sample + rms * Math.sqrt(-2 * Math.log(even())) * Math.cos(2 * Math.PI * even())),
    ),
  );
}

test.each([8000, 16_000, 48_000] as const)('every key that we generate at %i Hz is heard', (rateHz) => {
  const source = dtmfSource(rateHz, KEYPAD, 60, 50);
  const pcm = new Int16Array(source.samples + rateHz / 5);
  source.read(0, pcm, rateHz / 50, source.samples);
  const heard = heardIn(pcm, rateHz);
  expect(heard.map(({ digit }) => digit).join('')).toBe(KEYPAD);
  for (const { durationMs } of heard) {
    expect(durationMs).toBeGreaterThan(45);
    expect(durationMs).toBeLessThan(75);
  }
});

test('Q.24: 40 ms are enough wherever they begin, 23 ms are not', () => {
  for (let leadMs = 20; leadMs < 41; leadMs++) {
    expect(digitsIn(pressed(all({ ms: 40, pauseMs: 40 }), leadMs)), `${leadMs}`).toBe(KEYPAD);
    expect(digitsIn(pressed(all({ ms: 22 }), leadMs))).toBe('');
  }
});

test('Q.24: an interruption of 10 ms makes no second key, a pause of 30 ms does', () => {
  for (let leadMs = 20; leadMs < 41; leadMs += 3) {
    expect(digitsIn(pressed(all({ ms: 130, gapMs: 10 }), leadMs))).toBe(KEYPAD);
    expect(digitsIn(pressed(all({ ms: 130, gapMs: 40 }), leadMs))).toBe(
      [...KEYPAD].map((d) => d + d).join(''),
    );
  }
});

test('Q.24: 1.5 % off is taken, 3.5 % off is not', () => {
  for (const offPercent of [-1.5, -1, 1, 1.5])
    expect(digitsIn(pressed(all({ ms: 60, offPercent }))), `${offPercent}`).toBe(KEYPAD);
  for (const offPercent of [-3.5, 3.5])
    expect(digitsIn(pressed(all({ ms: 60, offPercent }))), `${offPercent}`).toBe('');
});

test('Q.24: levels from 0 to -30 dBm0, the high tone up to 4 dB above and 8 dB below the low one', () => {
  for (const dbm0 of [-3, -10, -20, -30])
    expect(digitsIn(pressed(all({ ms: 50, lowDbm0: dbm0, highDbm0: dbm0 })))).toBe(KEYPAD);
  expect(digitsIn(pressed(all({ ms: 50, lowDbm0: -55, highDbm0: -55 })))).toBe('');
  for (const twist of [-8, -4, 4])
    expect(digitsIn(pressed(all({ ms: 50, lowDbm0: -14, highDbm0: -14 + twist }))), `${twist}`).toBe(KEYPAD);
  for (const twist of [-12, 12])
    expect(digitsIn(pressed(all({ ms: 50, lowDbm0: -18, highDbm0: -18 + twist }))), `${twist}`).toBe('');
});

test('noise 15 dB below the keys hides none', () => {
  const keys = [...KEYPAD.repeat(8)].map((digit) => ({ digit, ms: 60, pauseMs: 60 }));
  // Two tones of -9 dBm0 have -6 together.
  expect(digitsIn(withNoise(pressed(keys), -21))).toBe(KEYPAD.repeat(8));
  expect(digitsIn(withNoise(new Int16Array(8000 * 20), -10))).toBe('');
});

test('one tone alone, a dial tone and a tone held are no keys and one key', () => {
  expect(digitsIn(pressed([{ digit: '1', ms: 500, highDbm0: -90 }]))).toBe('');
  const [held] = heardIn(pressed([{ digit: '8', ms: 3000 }]));
  expect(held?.digit).toBe('8');
  expect(Math.abs(held!.durationMs - 3000)).toBeLessThan(20);
});

const CODECS = [
  { name: 'pcmu', clockRateHz: 8000 },
  { name: 'pcma', clockRateHz: 8000 },
  { name: 'g722', clockRateHz: 8000 },
  { name: 'opus', clockRateHz: 48_000, fmtp: 'useinbandfec=1' },
  { name: 'g729', clockRateHz: 8000 },
].filter(({ name }) => availableCodecs().includes(name));

test.each(CODECS)('keys pass through $name', (codec) => {
  // G.729 models a voice: keys of a hurried finger do not outlive it, which is why RFC 4733 exists.
  const ms = codec.name === 'g729' ? 120 : 60;
  const rateHz = sampleRateOf(codec)!;
  const up = createResampler(8000, rateHz);
  const encoder = createEncoder(codec)!;
  const decoder = createDecoder(codec)!;
  const detector = createDtmfDetector(rateHz);
  const payload = new Uint8Array(1500);
  const pcm = withNoise(pressed(all({ ms, pauseMs: ms })), -50);
  let digits = '';
  for (let at = 0; at + 160 <= pcm.length; at += 160) {
    const length = encoder.encode(up.resample(pcm.subarray(at, at + 160)), payload, 0);
    digits += detector.detect(decoder.decode(payload, 0, length))?.digit ?? '';
  }
  expect(digits).toBe(KEYPAD);
  encoder.release();
  decoder.release();
});

test('the key that sounds is known before it ends, and a reset forgets it', () => {
  const pcm = pressed([{ digit: '5', ms: 200 }], 0);
  const detector = createDtmfDetector(8000);
  for (let at = 0; at < 800; at += 160) detector.detect(pcm.subarray(at, at + 160));
  expect(detector.sounding).toBe('5');
  detector.reset();
  expect(detector.sounding).toBe('');
});

// Voices with overtones where keys have their tones: high and low ones, of four languages, at three speeds.
const TALKERS = [
  ['en', '-p', '80', '-s', '150'],
  ['en+f3', '-p', '99', '-s', '110'],
  ['en+m7', '-p', '20', '-s', '200'],
  ['de+f2', '-p', '60', '-s', '160'],
  ['fr+f5', '-p', '90', '-s', '130'],
  ['it+m3', '-p', '45', '-s', '170'],
] as const;

test.skipIf(!hasSpeech)('minutes of speech press no key, plain, loud or through G.711', async () => {
  const encoder = createEncoder({ name: 'pcmu', clockRateHz: 8000 })!;
  const decoder = createDecoder({ name: 'pcmu', clockRateHz: 8000 })!;
  const payload = new Uint8Array(160);
  let seconds = 0;
  for (const [voice, ...more] of TALKERS) {
    const said = await speech(8000, SENTENCES.repeat(2), voice, more);
    const loud = said.map((sample) => Math.max(-32_768, Math.min(32_767, 3 * sample)));
    for (const pcm of [said, loud]) {
      expect(digitsIn(pcm), voice).toBe('');
      const coded = new Int16Array(pcm.length);
      for (let at = 0; at + 160 <= pcm.length; at += 160) {
        encoder.encode(pcm.subarray(at, at + 160), payload, 0);
        coded.set(decoder.decode(payload, 0, 160), at);
      }
      expect(digitsIn(coded), voice).toBe('');
      seconds += (2 * pcm.length) / 8000;
    }
  }
  expect(seconds).toBeGreaterThan(600);
});

test.skipIf(!hasSpeech)('keys are heard while a prompt comes back as an echo 15 dB below them', async () => {
  const said = await speech(8000);
  const keys = pressed([...KEYPAD].map((digit) => ({ digit, ms: 100, pauseMs: 100 })));
  // Speech peaks near full scale; as an echo it has -21 dBm0 at its loudest, the keys -6.
  const mixed = keys.map((sample, i) => sample + Math.round((said[8000 + i] as number) * 0.12));
  expect(digitsIn(mixed)).toBe(KEYPAD);
});
