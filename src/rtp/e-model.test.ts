import { expect, test } from 'vitest';
import { burstRatio, callQuality, impairmentOf, mosOf } from './e-model.ts';

const quality = (codec: string, oneWayDelayMs: number, lostFraction = 0, more = {}) =>
  callQuality({ codec: impairmentOf(codec), oneWayDelayMs, lostFraction, ...more });

test('the defaults of G.107 give its R of 93.2 and MOS of 4.41', () => {
  const { r, mos } = quality('pcmu', 0);
  expect(r).toBeCloseTo(93.2, 1);
  expect(mos).toBeCloseTo(4.41, 2);
});

// G.107 table B.1.
test.each([
  [90, 4.34],
  [80, 4.03],
  [70, 3.6],
  [60, 3.1],
  [50, 2.58],
  [0, 1],
  [-3, 1],
  [100, 4.5],
  [120, 4.5],
])('R %d is a MOS of %d', (r, mos) => expect(Math.abs(mosOf(r) - mos)).toBeLessThanOrEqual(0.01));

// Cole and Rosenbluth (2001) fitted G.107: Id = 0.024 d + 0.11 (d - 177.3) for d > 177.3.
test.each([0, 50, 100, 150, 200, 250, 300, 350])(
  '%d ms of delay cost what the known fit of G.107 says',
  (ms) => {
    const fit = 0.024 * ms + (ms > 177.3 ? 0.11 * (ms - 177.3) : 0);
    expect(Math.abs(quality('pcmu', 0).r - quality('pcmu', ms).r - fit)).toBeLessThan(2);
  },
);

// Ie-eff of G.113 appendix I's factors by 7-29, R = 93.2 - Ie-eff.
test.each([
  ['pcmu', 1, 1, 89.6],
  ['pcmu', 3, 1, 83.1],
  ['pcmu', 5, 1, 77.4],
  ['pcmu', 5, 2, 75.9],
  ['pcmu', 20, 1, 51.1],
  ['g729', 0, 1, 82.2],
  ['g729', 2, 1, 74.2],
  ['unknown', 1, 1, 75.3],
])('%s with %d %% lost in bursts of ratio %d has R %d', (codec, percent, ratio, r) =>
  expect(quality(codec, 0, percent / 100, { burstRatio: ratio }).r).toBeCloseTo(r, 0),
);

test('each band has its own scale: wide and full band start from 129 and 148', () => {
  expect(quality('g722', 0).r).toBeCloseTo(129 - 13, 0);
  expect(quality('opus', 0).r).toBeCloseTo(148 - 10.67, 0);
  for (const codec of ['pcmu', 'g722', 'opus']) {
    const { mos } = quality(codec, 60);
    expect(mos).toBeGreaterThan(4.2);
    expect(mos).toBeLessThanOrEqual(4.5);
  }
});

test('an Opus call with 5 % lost is good when FEC rebuilds most of it, and is not without (PH-QOS-06)', () => {
  // One in twenty lost at random: one in four hundred has lost its neighbour too and cannot be rebuilt.
  expect(quality('opus', 150, 0.0025, { rebuiltFraction: 0.0475 }).mos).toBeGreaterThan(3.5);
  expect(quality('opus', 150, 0.05).mos).toBeLessThan(3.5);
});

test('bursts are measured against chance', () => {
  expect(burstRatio(0, 100, 0)).toBe(1);
  expect(burstRatio(100, 0, 1)).toBe(1);
  // 10 % lost at random: runs of 1.11 on average.
  expect(burstRatio(100, 900, 90)).toBeCloseTo(1, 5);
  expect(burstRatio(100, 900, 30)).toBeCloseTo(3, 5);
});

test('nothing measured makes a figure that is none', () => {
  for (const value of [-1, 0, 0.5, 1, 2, Number.NaN]) {
    const { r, mos } = quality('opus', 1e6, value, { rebuiltFraction: value, burstRatio: value });
    expect(r).toBeGreaterThanOrEqual(0);
    expect(mos).toBeGreaterThanOrEqual(1);
    expect(mos).toBeLessThanOrEqual(4.5);
  }
});
