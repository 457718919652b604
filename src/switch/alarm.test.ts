import { beforeEach, describe, expect, it } from 'vitest';
import { type Clock, VirtualClock } from '../base/index.ts';
import { Alarm } from './alarm.ts';

let clock: VirtualClock;
let rang: number[];
let alarm: Alarm;
beforeEach(() => {
  clock = new VirtualClock();
  rang = [];
  alarm = new Alarm(clock, () => rang.push(clock.nowMs()));
});

describe('an alarm', () => {
  it('rings when it is due', () => {
    const startMs = clock.nowMs();
    alarm.set(startMs + 500);
    clock.advance(499);
    expect(rang).toEqual([]);
    clock.advance(1);
    expect(rang).toEqual([startMs + 500]);
  });

  it('is moved, forwards and back, and taken away', () => {
    const startMs = clock.nowMs();
    alarm.set(startMs + 500);
    alarm.set(startMs + 4_000);
    clock.advance(1_000);
    expect(rang).toEqual([]);
    alarm.set(startMs + 2_000);
    clock.advance(1_000);
    expect(rang).toEqual([startMs + 2_000]);
    alarm.set(startMs + 3_000);
    alarm.set(undefined);
    clock.advance(5_000);
    expect(rang).toHaveLength(1);
  });
});

/** A machine whose loop stands still: timers run late, and before anything else. */
class Standstill implements Clock {
  ms = 0;
  #timers: { dueMs: number; action: () => void }[] = [];

  nowMs(): number {
    return this.ms;
  }

  utcMs(): number {
    return this.ms;
  }

  after(delayMs: number, action: () => void) {
    const timer = { dueMs: this.ms + delayMs, action };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  }

  /** One turn of the loop after so long: timers, then what has arrived. */
  turn(afterMs: number, arrived: () => void = () => {}): void {
    this.ms += afterMs;
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.ms);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { action } of due) action();
    arrived();
  }
}

describe('an alarm whose loop stood still', () => {
  it('lets what arrived be read first, which may take it away', () => {
    const loop = new Standstill();
    let sentAgain = 0;
    const timerA = new Alarm(loop, () => sentAgain++);
    timerA.set(500);
    loop.turn(900, () => timerA.set(undefined));
    loop.turn(20);
    expect(sentAgain).toBe(0);
  });

  it('rings a moment later when nothing takes it away', () => {
    const loop = new Standstill();
    let sentAgain = 0;
    const timerA = new Alarm(loop, () => sentAgain++);
    timerA.set(500);
    loop.turn(900);
    expect(sentAgain).toBe(0);
    loop.turn(10);
    expect(sentAgain).toBe(1);
  });

  it('rings in time though it is set to a time that has passed', () => {
    const loop = new Standstill();
    let rang = 0;
    loop.ms = 1_000;
    const alarm = new Alarm(loop, () => rang++);
    alarm.set(400);
    loop.turn(0);
    loop.turn(10);
    expect(rang).toBe(1);
  });
});
