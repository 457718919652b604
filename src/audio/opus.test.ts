import { expect, test } from 'vitest';
import { hasSpeech, speech } from '../../test/support/speech.ts';
import type { Encoder } from './codec.ts';
import { availableCodecs, createDecoder, createEncoder, type EncoderOptions } from './codecs.ts';

const FRAME = 960;
const ready = hasSpeech && availableCodecs().includes('opus');
const said = ready ? await speech(48_000) : new Int16Array();
const frames = Math.floor(said.length / FRAME);

const opus = (fmtp: string, options?: EncoderOptions): Encoder =>
  createEncoder({ name: 'opus', clockRateHz: 48_000, channels: 2, fmtp }, options)!;

function packets(encoder: Encoder, pcm = said): Uint8Array[] {
  const out = new Uint8Array(1500);
  return Array.from({ length: Math.floor(pcm.length / FRAME) }, (_, n) =>
    out.slice(0, encoder.encode(pcm.subarray(n * FRAME, (n + 1) * FRAME), out, 0)),
  );
}

/** Distance of two frames' spectra up to 4 kHz, in dB: behind a burst the waveform is another though it sounds alike. */
function spectralDb(a: Int16Array, b: Int16Array): number {
  let sum = 0;
  const bands = 40;
  for (let k = 1; k <= bands; k++) {
    const power = (frame: Int16Array): number => {
      let re = 0;
      let im = 0;
      for (let i = 0; i < FRAME; i++) {
        const turn = (2 * Math.PI * k * 100 * i) / 48_000;
        const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME);
        re += (frame[i] as number) * window * Math.cos(turn);
        im += (frame[i] as number) * window * Math.sin(turn);
      }
      return re * re + im * im + 1e7;
    };
    sum += (10 * Math.log10(power(a) / power(b))) ** 2;
  }
  return Math.sqrt(sum / bands);
}

/** How far the last frames of bursts of loss are from what would have been heard, on average of those that hold speech. */
function lossDb(sent: readonly Uint8Array[], burst: number, fec: boolean): number {
  const whole = createDecoder({ name: 'opus', clockRateHz: 48_000 })!;
  const torn = createDecoder({ name: 'opus', clockRateHz: 48_000 })!;
  let sum = 0;
  let count = 0;
  for (let n = 0; n + 1 < frames; n++) {
    const payload = sent[n] as Uint8Array;
    const wanted = whole.decode(payload, 0, payload.length).slice();
    const place = n % 11;
    if (place < 4 || place >= 4 + burst) {
      torn.decode(payload, 0, payload.length);
      continue;
    }
    // Only the packet behind the burst is here when its last frame is due.
    const last = place === 3 + burst;
    const got = torn.conceal(fec && last ? sent[n + 1] : undefined);
    if (!last || wanted.reduce((energy, sample) => energy + sample ** 2, 0) < FRAME * 1e5) continue;
    sum += spectralDb(wanted, got);
    count++;
  }
  whole.release();
  torn.release();
  expect(count).toBeGreaterThan(20);
  return sum / count;
}

test.skipIf(!ready).each([1, 2, 3])(
  'the last frame of a burst of %i is rebuilt from the packet behind it',
  (burst) => {
    const encoder = opus('minptime=10;useinbandfec=1');
    const sent = packets(encoder);
    encoder.release();
    expect(lossDb(sent, burst, true)).toBeLessThan(0.7 * lossDb(sent, burst, false));
  },
);

test.skipIf(!ready)('without a peer that can use FEC there is none', () => {
  const encoder = opus('minptime=10');
  const sent = packets(encoder);
  encoder.release();
  expect(Math.abs(lossDb(sent, 1, true) - lossDb(sent, 1, false))).toBeLessThan(0.5);
});

test.skipIf(!ready)('speech takes 60 to 100 kbit/s on the wire, plain and encrypted (PH-QOS-05)', () => {
  const encoder = opus('useinbandfec=1');
  const octets = packets(encoder).reduce((sum, { length }) => sum + length, 0) / frames;
  encoder.release();
  // IPv4, UDP, RTP; the tags of AES-CM with HMAC-SHA1-80 and of AES-GCM.
  for (const tag of [0, 10, 16]) {
    const bitsPerSec = (octets + 40 + tag) * 8 * 50;
    expect(bitsPerSec).toBeGreaterThan(60_000);
    expect(bitsPerSec).toBeLessThan(100_000);
  }
});

test.skipIf(!ready)('a peer that asks for less gets less', () => {
  const encoder = opus('maxaveragebitrate=16000;useinbandfec=1');
  const octets = packets(encoder).reduce((sum, { length }) => sum + length, 0);
  encoder.release();
  expect((octets * 8) / (frames * 0.02)).toBeLessThan(18_000);
});

test.skipIf(!ready)(
  'with DTX silence sends nearly nothing, and what is played meanwhile is no loud noise',
  () => {
    const encoder = opus('usedtx=1');
    const silence = new Int16Array(FRAME * 100);
    const sent = packets(encoder, silence);
    const told = sent.filter(({ length }) => length > 0).length;
    encoder.release();
    expect(told).toBeLessThan(40);
    const decoder = createDecoder({ name: 'opus', clockRateHz: 48_000 })!;
    for (const payload of sent) {
      const heard = payload.length > 0 ? decoder.decode(payload, 0, payload.length) : decoder.conceal();
      expect(Math.max(...heard)).toBeLessThan(100);
    }
    decoder.release();
  },
);
