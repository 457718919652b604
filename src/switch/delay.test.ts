import { expect, it } from 'vitest';
import { VirtualClock } from '../base/index.ts';
import { Delay } from './delay.ts';

it('brings each item to its turn once, at most a slice early, and never late', () => {
  const clock = new VirtualClock();
  const waited: number[] = [];
  const delay = new Delay<number>(clock, { delayMs: 1_000, sliceMs: 100 }, (fromMs) => {
    waited.push(clock.nowMs() - fromMs);
  });
  for (let at = 0; at < 50; at++) {
    delay.add(clock.nowMs());
    clock.advance(37);
  }
  clock.advance(2_000);
  expect(waited).toHaveLength(50);
  expect(Math.min(...waited)).toBeGreaterThanOrEqual(900);
  expect(Math.max(...waited)).toBe(1_000);
  expect(clock.nextDueMs()).toBeUndefined();
});
