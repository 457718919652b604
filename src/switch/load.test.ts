import { expect, it } from 'vitest';
import { VirtualClock } from '../base/index.ts';
import { LoadMeter } from './load.ts';

const meter = () => new LoadMeter(new VirtualClock(), { calls: 100, callsPerSecond: 10 }, 2);

it('a loop that is late for two seconds is load, however few calls there are', () => {
  const load = meter();
  for (let look = 0; look < 4; look++) load.late(300);
  expect(load.load).toBeCloseTo(0.6);
  load.late(0);
  expect(load.load).toBe(0);
});

it('one long task is none', () => {
  const load = meter();
  for (const lateMs of [0, 900, 1, 2, 900, 0]) load.late(lateMs);
  expect(load.load).toBe(0);
});
