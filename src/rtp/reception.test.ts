import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { burstMetrics, countLost, newBursts } from './bursts.ts';
import { countPacket, newReception, packetsExpected, packetsLost, type Reception } from './reception.ts';

/** Numbers of packets as they arrive, one each 20 ms. */
function receive(arrivals: readonly number[]): Reception {
  const [first = 0, ...rest] = arrivals;
  const timestampOf = (index: number) => (index * 160) >>> 0;
  const reception = newReception(9, 8000, first & 0xffff, timestampOf(first), 0);
  for (const [i, index] of rest.entries())
    countPacket(reception, index & 0xffff, timestampOf(index), 20 * (i + 1));
  return reception;
}

describe('what is lost', () => {
  it('is what was sent less what came, duplicates included, in any order and over each wrap (A.3)', () => {
    const fates = fc.array(
      fc.record({
        lost: fc.boolean(),
        twice: fc.boolean(),
        lateBy: fc.integer({ min: 0, max: 40 }),
      }),
      { minLength: 2, maxLength: 400 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 65_000, max: 65_535 }), fates, (first, packets) => {
        const sent = packets.map((fate, i) => ({ ...fate, index: first + i }));
        // Before the first one to arrive nothing is expected.
        const came = sent.flatMap(({ index, lost, twice, lateBy }, i) =>
          lost && i > 0
            ? []
            : (twice ? [0, 1] : [0]).map(() => ({ index, at: i === 0 ? -1 : index - first + lateBy })),
        );
        came.sort((a, b) => a.at - b.at);
        const reception = receive(came.map(({ index }) => index));
        const highest = Math.max(...came.map(({ index }) => index));
        expect(reception.highestSequence).toBe(highest - (first - (first & 0xffff)));
        expect(packetsExpected(reception)).toBe(highest - first + 1);
        expect(packetsLost(reception)).toBe(Math.max(0, highest - first + 1 - came.length));
      }),
    );
  });

  it('counts over a new beginning of the numbers', () => {
    const reception = receive([100, 101, 103]);
    for (const [i, sequence] of [20_000, 20_001, 20_003].entries())
      countPacket(reception, sequence, 160 * i, 100 + 20 * i);
    expect([packetsExpected(reception), packetsLost(reception)]).toEqual([8, 2]);
  });

  it('comes in runs', () => {
    expect(receive([0, 1, 4, 5, 6, 8]).lossRuns).toBe(2);
  });
});

describe('time', () => {
  it('is active between packets and not in pauses; the longest wait is known', () => {
    const reception = newReception(9, 8000, 0, 0, 0);
    for (const [i, atMs] of [20, 40, 2_540, 2_560].entries()) countPacket(reception, i + 1, atMs * 8, atMs);
    expect([reception.activeMs, reception.longestGapMs]).toEqual([60, 2_500]);
  });

  it('of telephone events tells nothing of jitter', () => {
    const reception = newReception(9, 8000, 0, 0, 0);
    for (let i = 1; i < 10; i++) countPacket(reception, i, 0, 20 * i, false);
    expect([reception.jitter, reception.jitterPackets, packetsLost(reception)]).toEqual([0, 0, 0]);
  });
});

describe('bursts and gaps', () => {
  const metricsOf = (row: string) => {
    const bursts = newBursts();
    for (const each of row) {
      if (each === '1') bursts.run++;
      else countLost(bursts, 1);
    }
    return burstMetrics(bursts, 10);
  };

  it('are those of the example of RFC 3611 §4.7.2: 120 ms, 0.33 and 0.04', () => {
    const metrics = metricsOf('11110111111111111111111011101011110111111111111111111011111111');
    expect(metrics.burstMs).toBe(120);
    expect(metrics.burstDensity).toBeCloseTo(4 / 12, 10);
    expect(metrics.gapDensity).toBeCloseTo(0.04, 2);
  });

  it('a stream without loss is one gap, one without a packet between two losses a burst', () => {
    expect(metricsOf('1'.repeat(50))).toEqual({ burstDensity: 0, gapDensity: 0, burstMs: 0, gapMs: 500 });
    expect(metricsOf(`${'1'.repeat(20)}00${'1'.repeat(20)}`)).toEqual({
      burstDensity: 1,
      gapDensity: 0,
      burstMs: 20,
      gapMs: 200,
    });
  });

  it('several lost in a row are as many losses', () => {
    const [once, each] = [newBursts(), newBursts()];
    once.run = each.run = 20;
    countLost(once, 5);
    for (let i = 0; i < 5; i++) countLost(each, 1);
    expect(once).toEqual(each);
  });
});
