import { beforeEach, describe, expect, test } from 'vitest';
import { Turns } from './turns.ts';

/** A loop whose turns are run by hand and whose sleeping moves its clock. */
class Loop {
  nowMs = 1_000;
  readonly sleptMs: number[] = [];
  readonly turns = new Turns({
    nowMs: () => this.nowMs,
    defer: (action) => this.#deferred.push(action),
    sleep: (durationMs) => {
      this.sleptMs.push(durationMs);
      this.nowMs += durationMs;
    },
  });
  readonly #deferred: (() => void)[] = [];

  /** One message, so long after the one before, handled in `workMs`. */
  arrive(afterMs: number, workMs = 0): void {
    this.nowMs += afterMs;
    this.turns.note();
    this.nowMs += workMs;
    this.end();
  }

  end(): void {
    for (const action of this.#deferred.splice(0)) action();
  }
}

let loop: Loop;
beforeEach(() => {
  loop = new Loop();
  loop.turns.moderate({ aboveTurnsPerSec: 300, periodMs: 4 });
});
const rested = (): number => loop.sleptMs.reduce((sum, ms) => sum + ms, 0);

test('what one turn sends leaves together at its end, also without moderation', () => {
  const plain = new Loop();
  const sent: string[] = [];
  plain.turns.note();
  plain.turns.atEnd(() => sent.push('one'));
  plain.turns.atEnd(() => sent.push('other'));
  expect(sent).toEqual([]);
  plain.end();
  expect(sent).toEqual(['one', 'other']);
  plain.end();
  expect(sent).toHaveLength(2);
  expect(plain.sleptMs).toEqual([]);
});

test('a loop that is woken now and then never sleeps', () => {
  for (let at = 0; at < 500; at++) loop.arrive(5);
  expect(loop.sleptMs).toEqual([]);
});

test('under load there are at most so many turns, and what is to be sent leaves before the loop sleeps', () => {
  for (let at = 0; at < 200; at++) loop.arrive(1);
  expect(rested()).toBeGreaterThan(0);
  const fromMs = loop.nowMs;
  const before = loop.sleptMs.length;
  let sentMs = 0;
  for (let at = 0; at < 100; at++) {
    loop.turns.atEnd(() => {
      sentMs = loop.nowMs;
    });
    loop.arrive(1);
    expect(loop.nowMs - sentMs).toBe(loop.sleptMs.at(-1));
  }
  expect(loop.sleptMs.length - before).toBe(100);
  expect(loop.nowMs - fromMs).toBeCloseTo(400, 6);
});

describe('it stops', () => {
  beforeEach(() => {
    for (let at = 0; at < 200; at++) loop.arrive(1);
  });

  test('when less comes', () => {
    for (let at = 0; at < 20; at++) loop.arrive(40);
    const before = rested();
    for (let at = 0; at < 50; at++) loop.arrive(10);
    expect(rested()).toBe(before);
  });

  test('while a turn has more to do than the period', () => {
    const before = rested();
    for (let at = 0; at < 100; at++) loop.arrive(0.5, 6);
    expect(rested()).toBe(before);
  });
});
