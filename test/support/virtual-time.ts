import type { VirtualClock } from '../../src/base/index.ts';

/** Lets every promise that can resolve without time passing resolve. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets `ms` of virtual time pass, timer by timer, with all promises settled in between. */
export async function passTime(clock: VirtualClock, ms: number): Promise<void> {
  const endMs = clock.nowMs() + ms;
  for (;;) {
    await settle();
    const dueMs = clock.nextDueMs();
    if (dueMs === undefined || dueMs > endMs) break;
    clock.runNext();
  }
  clock.advance(endMs - clock.nowMs());
  await settle();
}

/** Lets time pass until the condition holds; fails naming it when it does not within `withinMs`. */
export async function until(
  clock: VirtualClock,
  what: string,
  condition: () => boolean,
  withinMs = 60_000,
): Promise<void> {
  const endMs = clock.nowMs() + withinMs;
  for (;;) {
    await settle();
    if (condition()) return;
    const dueMs = clock.nextDueMs();
    if (dueMs === undefined || dueMs > endMs) throw new Error(`waited ${withinMs} ms for: ${what}`);
    clock.runNext();
  }
}
