import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toneQuality } from '../../../test/support/tone-quality.ts';
import { createEncoder, type Encoder, samplesPerFrame } from '../../audio/index.ts';
import { seededRandom } from '../../base/index.ts';
import { writeRtpHeader } from '../../rtp/index.ts';
import type { StreamCodec } from '../protocol.ts';
import { Ear } from './ear.ts';

const CODECS: readonly StreamCodec[] = [
  { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 },
  { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 },
  { payloadType: 9, name: 'g722', clockRateHz: 8000, channels: 1 },
  { payloadType: 96, name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'useinbandfec=1' },
];
const TONE_HZ = 440;
const AMPLITUDE = 8000;

/** Speaks a tone that goes on from frame to frame. */
class Speaker {
  readonly #encoder: Encoder;
  readonly #codec: StreamCodec;
  #sample = 0;
  #sequence: number;
  #timestamp: number;
  ssrc = 5;

  constructor(name: string, sequence = 65_500, timestamp = 4_294_900_000) {
    this.#codec = CODECS.find((codec) => codec.name === name)!;
    this.#encoder = createEncoder(this.#codec)!;
    this.#encoder.expectLoss?.(0.1);
    this.#sequence = sequence;
    this.#timestamp = timestamp;
  }

  packet(): Buffer {
    const frame = new Int16Array(samplesPerFrame(this.#encoder.rateHz));
    for (let i = 0; i < frame.length; i++)
      frame[i] = Math.round(
        AMPLITUDE * Math.sin((2 * Math.PI * TONE_HZ * this.#sample++) / this.#encoder.rateHz),
      );
    const bytes = Buffer.alloc(1500);
    writeRtpHeader(bytes, this.#codec.payloadType, false, this.#sequence++, this.#timestamp >>> 0, this.ssrc);
    this.#timestamp += this.#codec.clockRateHz / 50;
    const length = this.#encoder.encode(frame, bytes, 12);
    return bytes.subarray(0, 12 + length);
  }

  end(): void {
    this.#encoder.release();
  }
}

interface Arrival {
  readonly atMs: number;
  readonly packet: Buffer;
}

/** All that was heard, from when something was. */
function listen(
  arrivals: readonly Arrival[],
  endMs: number,
  ear = new Ear(CODECS),
): { heard: number[]; ear: Ear } {
  const inOrder = arrivals.toSorted((a, b) => a.atMs - b.atMs);
  const heard: number[] = [];
  let at = 0;
  for (let tick = 0; tick * 20 < endMs; tick++) {
    const dueMs = tick * 20;
    for (; at < inOrder.length && inOrder[at]!.atMs <= dueMs; at++)
      ear.receive(inOrder[at]!.packet, 12, inOrder[at]!.packet.length, inOrder[at]!.atMs);
    ear.listen(tick, dueMs);
    if (ear.speaking || heard.length > 0) heard.push(...ear.frame);
  }
  ear.release();
  return { heard, ear };
}

describe.each(['pcmu', 'g722', 'opus'])('%s', (name) => {
  test('a tone that comes in time is heard whole, without a sample too many or too few', () => {
    const speaker = new Speaker(name);
    const arrivals = Array.from({ length: 200 }, (_, i) => ({ atMs: i * 20 + 3, packet: speaker.packet() }));
    const { heard, ear } = listen(arrivals, 4000);
    const found = toneQuality(heard.slice(ear.rateHz / 5), ear.rateHz, TONE_HZ, AMPLITUDE);
    expect(found.pure).toBe(1);
    expect(Math.abs(found.levelDb)).toBeLessThan(0.5);
    expect(ear.buffer.counts.concealments).toBe(0);
    speaker.end();
  });

  test('over 5 % of loss in bursts, 60 ms of jitter and repeated packets it stays a tone of its level', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const random = seededRandom(seed);
        const chance = () => random.bytes(2).reduce((sum, byte) => sum * 256 + byte, 0) / 65_536;
        const speaker = new Speaker(name);
        const arrivals: Arrival[] = [];
        let burst = 0;
        for (let i = 0; i < 500; i++) {
          const packet = speaker.packet();
          // Bursts of one to three, one packet in twenty in all.
          burst = burst < 3 && chance() < (burst > 0 ? 0.5 : 0.03) ? burst + 1 : 0;
          if (burst > 0) continue;
          const atMs = i * 20 + chance() * 60;
          arrivals.push({ atMs, packet });
          if (chance() < 0.02) arrivals.push({ atMs: atMs + 10, packet });
        }
        const { heard, ear } = listen(arrivals, 10_000);
        const settled = heard.slice(ear.rateHz);
        const found = toneQuality(settled, ear.rateHz, TONE_HZ, AMPLITUDE);
        expect(found.pure).toBeGreaterThan(0.7);
        expect(found.silent).toBeLessThan(0.04);
        expect(Math.abs(found.levelDb)).toBeLessThan(1);
        speaker.end();
      }),
      { numRuns: 3 },
    );
  });

  test.each([500, -500])('a clock that is %i ppm off is followed for a minute without a click', (ppm) => {
    const speaker = new Speaker(name);
    const everyMs = 20 * (1 - ppm / 1e6);
    const arrivals = Array.from({ length: 3000 }, (_, i) => ({
      atMs: i * everyMs + (i % 7),
      packet: speaker.packet(),
    }));
    const { heard, ear } = listen(arrivals, 3000 * everyMs);
    const found = toneQuality(heard.slice(ear.rateHz), ear.rateHz, TONE_HZ, AMPLITUDE);
    expect(found.pure).toBeGreaterThan(0.99);
    expect(Math.abs(found.levelDb)).toBeLessThan(0.5);
    expect(ear.buffer.counts.concealments).toBeLessThan(6);
    expect(ear.buffer.counts.dropped).toBe(0);
    speaker.end();
  });
});

describe('what changes in mid-call', () => {
  test('another codec at another rate is heard from its first packet on; G.711 under another law without any gap', () => {
    const ear = new Ear(CODECS);
    const heard: { rate: number; speaking: boolean }[] = [];
    const said = ['pcmu', 'pcma', 'opus', 'g722'].flatMap((name, n) => {
      const speaker = new Speaker(name, 100 + n * 50, n < 2 ? 8000 * n : 77_777);
      return Array.from({ length: 50 }, () => speaker.packet());
    });
    said.forEach((packet, tick) => {
      ear.receive(packet, 12, packet.length, 995 + tick * 20);
      ear.listen(tick, 1000 + tick * 20);
      heard.push({ rate: ear.rateHz, speaking: ear.speaking });
    });
    ear.release();
    expect([10, 60, 110, 160].map((tick) => heard[tick])).toEqual(
      [8000, 8000, 48_000, 16_000].map((rate) => ({ rate, speaking: true })),
    );
    expect(heard.filter(({ speaking }) => !speaking).length).toBeLessThan(8);
  });

  test('no payload throws or makes a frame of another length', () => {
    const ear = new Ear(CODECS);
    const random = seededRandom(3);
    for (let n = 0; n < 3000; n++) {
      const packet = Buffer.alloc(12 + (n % 400));
      packet.set(random.bytes(packet.length));
      writeRtpHeader(packet, CODECS[n % 4]!.payloadType, false, n, n * 160, 5);
      ear.receive(packet, 12, packet.length, n * 20);
      ear.listen(n, n * 20);
      expect(ear.frame.length).toBe(samplesPerFrame(ear.rateHz));
      expect(ear.at(8000).length).toBe(160);
    }
    ear.release();
  });
});
