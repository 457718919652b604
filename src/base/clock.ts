/**
 * Time as a port. Four clocks are never mixed: `nowMs` orders events on one machine (CLOCK_BOOTTIME, comparable between
 * processes of one boot), `utcMs` stamps records that people read. A wall clock that jumps ends no lease and no timer.
 */
export interface Clock {
  /** Milliseconds since boot, monotonic, with a fraction. The same for every process of one machine. */
  nowMs(): number;
  /** Names the boot that `nowMs` counts from: times of another one cannot be compared. Absent: there is only one, as in tests. */
  readonly boot?: string;
  /** Milliseconds since the Unix epoch, for records only. */
  utcMs(): number;
  /** Runs `action` once, `delayMs` from now at the earliest. */
  after(delayMs: number, action: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/**
 * How long until the next beat of `periodMs`, which all processes of a machine have in common: what they do now and then they do together, so
 * that an idle machine is woken seldom and finds its caches warm. `phaseMs` later than the beat itself.
 */
export function untilBeat(clock: Clock, periodMs: number, phaseMs = 0): number {
  const sinceMs = (clock.nowMs() - phaseMs) % periodMs;
  return periodMs - (sinceMs < 0 ? sinceMs + periodMs : sinceMs);
}

/** A clock for tests and the simulator: time stands still until `advance` or `runNext` is called. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #epochMs: number;
  #order = 0;
  /** A binary heap by (due time, order of arming). */
  readonly #due: VirtualTimer[] = [];

  constructor(startMs = 1_000_000, utcEpochMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
    this.#epochMs = utcEpochMs - startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  utcMs(): number {
    return Math.floor(this.#epochMs + this.#nowMs);
  }

  after(delayMs: number, action: () => void): Timer {
    const timer = new VirtualTimer(this.#nowMs + Math.max(0, delayMs), this.#order++, action);
    this.#push(timer);
    return timer;
  }

  /** When the next timer is due, or undefined if none is armed. */
  nextDueMs(): number | undefined {
    while (this.#due[0]?.cancelled) this.#pop();
    return this.#due[0]?.dueMs;
  }

  /** Moves to the next timer and runs it. False if none is armed. */
  runNext(): boolean {
    if (this.nextDueMs() === undefined) return false;
    const timer = this.#pop();
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
    timer.action();
    return true;
  }

  /** Moves time forward by `ms`, running what is due on the way in order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (let due = this.nextDueMs(); due !== undefined && due <= end; due = this.nextDueMs()) this.runNext();
    this.#nowMs = end;
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#due;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!timer.before(heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): VirtualTimer {
    const heap = this.#due;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.before(heap[child]!)) child++;
      if (!heap[child]!.before(last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

class VirtualTimer implements Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
  cancelled = false;

  constructor(dueMs: number, order: number, action: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.action = action;
  }

  before(other: VirtualTimer): boolean {
    return this.dueMs < other.dueMs || (this.dueMs === other.dueMs && this.order < other.order);
  }

  cancel(): void {
    this.cancelled = true;
  }
}
