import { describe, expect, it } from 'vitest';
import type { Clock } from '../base/index.ts';
import { aheadOf, callClock } from './call-clock.ts';

/** A machine that began to count at another moment than others. */
const machine = (boot: string, nowMs: number, utcMs: number): Clock => ({
  boot,
  nowMs: () => nowMs,
  utcMs: () => utcMs,
  after: () => ({ cancel: () => {} }),
});

const UTC_MS = Date.UTC(2026, 10, 29);
const DAY_MS = 86_400_000;

describe('a call that another machine adopts', () => {
  const written = callClock(machine('north', 5_000, UTC_MS), 0);

  it.each([
    ['was started long before', 90 * DAY_MS],
    ['was started just now', 1_000],
  ])('goes on by its own time on a machine that %s', (_, nowMs) => {
    const south = machine('south', nowMs, UTC_MS + 700);
    expect(nowMs + aheadOf(written, south)).toBe(5_700);
  });

  it('does not go back when the clock of the other machine is behind', () => {
    const south = machine('south', 1_000, UTC_MS - 300);
    expect(1_000 + aheadOf(written, south)).toBe(5_000);
  });

  it('keeps its time from owner to owner', () => {
    const south = machine('south', 90 * DAY_MS, UTC_MS + 700);
    const again = callClock(south, aheadOf(written, south));
    const north = machine('north', 6_000, UTC_MS + 1_000);
    expect(6_000 + aheadOf(again, north)).toBe(6_000);
    expect(aheadOf(again, machine('south', 90 * DAY_MS + 5, UTC_MS + DAY_MS))).toBe(again.aheadMs);
  });

  it('of an older release is taken as it is', () => {
    expect(aheadOf(undefined, machine('south', 1, 2))).toBe(0);
  });
});
