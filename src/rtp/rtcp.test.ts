import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compactNtp,
  countPacket,
  jitterMs,
  newReception,
  ntpOf,
  packetsLost,
  parseRtcp,
  type ReportBlock,
  reportOn,
  roundTripMs,
  utcMsOf,
  worstJitterMs,
  writeRtcp,
} from './index.ts';

const block: ReportBlock = {
  ssrc: 0xfeedface,
  fractionLost: 25,
  cumulativeLost: -3,
  highestSequence: 0x0001ffff,
  jitter: 41,
  lastSr: 0x12345678,
  delaySinceLastSr: 65_536,
};

describe('RTCP', () => {
  it('is read as it was written: report, description, goodbye in one compound', () => {
    const packets = [
      {
        type: 'sr' as const,
        ssrc: 1,
        ntpSec: 0xe0000000,
        ntpFraction: 0x80000000,
        rtpTimestamp: 160,
        packetCount: 10,
        octetCount: 1600,
        reports: [block],
      },
      { type: 'rr' as const, ssrc: 2, reports: [block, block] },
      {
        type: 'sdes' as const,
        chunks: [
          { ssrc: 1, items: [{ type: 1, text: 'alice@phone' }] },
          {
            ssrc: 2,
            items: [
              { type: 1, text: 'x' },
              { type: 2, text: '' },
            ],
          },
          { ssrc: 3, items: [] },
        ],
      },
      { type: 'bye' as const, ssrcs: [1, 2], reason: 'good night' },
    ];
    const buffer = Buffer.alloc(300);
    const length = writeRtcp(buffer, packets);
    expect(length % 4).toBe(0);
    expect(parseRtcp(buffer, length)).toEqual({ ok: true, value: packets });
  });

  it('passes packets that it does not know by their place', () => {
    const feedback = Buffer.from([0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    expect(parseRtcp(feedback, 12)).toEqual({
      ok: true,
      value: [{ type: 'other', packetType: 205, start: 0, end: 12 }],
    });
  });

  it('takes padding at the end alone', () => {
    const padded = Buffer.from([0xa0, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4]);
    expect(parseRtcp(padded, 12)).toEqual({ ok: true, value: [{ type: 'rr', ssrc: 7, reports: [] }] });
    const followed = Buffer.concat([padded, Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 7])]);
    expect(parseRtcp(followed, followed.length).ok).toBe(false);
  });

  it('does not write what does not fit', () => {
    expect(writeRtcp(Buffer.alloc(31), [{ type: 'rr', ssrc: 1, reports: [block] }])).toBe(-1);
    expect(writeRtcp(Buffer.alloc(2000), [{ type: 'bye', ssrcs: Array(32).fill(1) }])).toBe(-1);
  });

  it('survives whatever comes from the network', () => {
    const one = fc.tuple(
      fc.integer({ min: 0x80, max: 0xbf }),
      fc.constantFrom(200, 201, 202, 203, 204, 205, 207),
      fc.uint8Array({ maxLength: 60 }),
    );
    fc.assert(
      fc.property(fc.array(one, { maxLength: 4 }), fc.integer({ min: -1, max: 4 }), (packets, off) => {
        const bytes = Buffer.concat(
          packets.map(([first, type, body]) => {
            const words = Math.max(0, Math.ceil(body.length / 4) + (off % 2));
            return Buffer.concat([Buffer.from([first, type, words >> 8, words & 255]), body]);
          }),
        );
        const read = parseRtcp(bytes, bytes.length);
        if (read.ok) expect(read.value.length).toBeLessThanOrEqual(bytes.length / 4);
      }),
      { numRuns: 500 },
    );
  });
});

describe('reception of a source', () => {
  /** 20 ms packets of 8 kHz: sequence, and how late it came. */
  function receive(packets: readonly [sequence: number, lateMs?: number][]) {
    const [first] = packets;
    const start = first![0];
    const timestampOf = (sequence: number) => (sequence * 160) >>> 0;
    const reception = newReception(9, 8000, start, timestampOf(start), start * 20);
    for (const [sequence, lateMs = 0] of packets.slice(1)) {
      countPacket(reception, sequence & 0xffff, timestampOf(sequence), sequence * 20 + lateMs);
    }
    return reception;
  }

  it('counts what is missing, over the wrap too', () => {
    const reception = receive([[65_530], [65_531], [65_533], [65_537], [65_538], [65_536]]);
    expect(reception.highestSequence).toBe(65_538);
    expect(packetsLost(reception)).toBe(3);
  });

  it('an even stream has no jitter, one that alternates by 10 ms tends to 10 ms (A.8)', () => {
    expect(jitterMs(receive(Array.from({ length: 100 }, (_, i) => [i, 0])))).toBe(0);
    const uneven = receive(Array.from({ length: 300 }, (_, i) => [i, (i % 2) * 10]));
    expect(jitterMs(uneven)).toBeCloseTo(10, 1);
    expect(worstJitterMs(uneven)).toBeCloseTo(10, 1);
  });

  it('a wrap of the timestamp is no jitter', () => {
    const reception = newReception(9, 8000, 1, 0xffffff00, 0);
    for (let i = 1; i <= 10; i++) countPacket(reception, 1 + i, (0xffffff00 + 160 * i) >>> 0, 20 * i);
    expect(jitterMs(reception)).toBe(0);
  });

  it('reports the fraction lost since the last report (A.3)', () => {
    const reception = receive([[10], [11], [12], [13]]);
    expect(reportOn(reception, 0, 0)).toMatchObject({
      fractionLost: 0,
      cumulativeLost: 0,
      highestSequence: 13,
    });
    for (const sequence of [14, 17]) countPacket(reception, sequence, sequence * 160, sequence * 20);
    expect(reportOn(reception, 5, 6)).toMatchObject({
      fractionLost: 128,
      cumulativeLost: 2,
      lastSr: 5,
      delaySinceLastSr: 6,
    });
    expect(reportOn(reception, 0, 0).fractionLost).toBe(0);
  });

  it('a source that starts anew counts once a second packet confirms it (A.1)', () => {
    const reception = receive([[100], [101], [103]]);
    expect(countPacket(reception, 40_000, 0, 3000)).toBe(false);
    expect(countPacket(reception, 104, 104 * 160, 3001)).toBe(true);
    expect(countPacket(reception, 20_000, 0, 3020)).toBe(false);
    expect(countPacket(reception, 20_001, 160, 3040)).toBe(true);
    expect(countPacket(reception, 20_002, 320, 3060)).toBe(true);
    expect(packetsLost(reception)).toBe(1);
    expect(JSON.parse(JSON.stringify(reception))).toEqual(reception);
  });
});

describe('NTP time', () => {
  it('goes there and back', () => {
    const utcMs = Date.UTC(2026, 10, 24, 22, 15, 0, 250);
    expect(ntpOf(utcMs).fraction).toBe(2 ** 30);
    expect(utcMsOf(ntpOf(utcMs))).toBeCloseTo(utcMs, 3);
  });

  it('gives the round trip that a report tells', () => {
    const sentMs = Date.UTC(2026, 10, 24, 22, 15, 0);
    expect(roundTripMs(sentMs + 1080, compactNtp(ntpOf(sentMs)), 65_536)).toBeCloseTo(80, 1);
    expect(roundTripMs(sentMs, 0, 0)).toBeUndefined();
  });
});
