import type { Clock, Timer } from '../base/index.ts';

/** A switch that has not said a word about a new call for so long has more than it can do: below T1, before phones repeat themselves. */
const SLOW_AFTER_MS = 400;
/** Nothing came back: the switch dropped it unheard, or the answer was lost. It says nothing of the pace any more. */
const FORGET_MS = 3_000;
/** A switch that is behind gets a call this often all the same: its answer shows that what is older was not waiting but is lost. */
const TRY_MS = 100;
/** More than any switch answers in `SLOW_AFTER_MS`. */
const MOST_WAITING = 1_000;

/**
 * What a switch has been given of new calls and has not said anything about, the oldest first. Its age holds everything that makes
 * callers wait: the link's queue, the switch's own loop, the state's disk. So it tells what a machine can do better than any figure
 * that was configured, and tells it again within a moment when the queue is gone.
 */
export class Unanswered {
  readonly #clock: Clock;
  readonly #sinceMs = new Map<string, number>();
  #givenMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  given(key: string): void {
    this.#givenMs = this.#clock.nowMs();
    if (!this.#sinceMs.has(key)) this.#sinceMs.set(key, this.#givenMs);
  }

  answered(key: string): void {
    const givenMs = this.#sinceMs.get(key);
    if (givenMs === undefined) return;
    this.#sinceMs.delete(key);
    // Messages are taken in their order: one that was overtaken by so much will not be answered any more.
    for (const [older, sinceMs] of this.#sinceMs) {
      if (givenMs - sinceMs < TRY_MS) break;
      this.#sinceMs.delete(older);
    }
  }

  /** Whether it takes a new call: it keeps up, or it is time to see whether it does again. */
  get isOpen(): boolean {
    return !this.#isSlow || this.#clock.nowMs() - this.#givenMs >= TRY_MS;
  }

  get #isSlow(): boolean {
    if (this.#sinceMs.size > MOST_WAITING) return true;
    const nowMs = this.#clock.nowMs();
    for (const [key, sinceMs] of this.#sinceMs) {
      if (nowMs - sinceMs <= FORGET_MS) return nowMs - sinceMs > SLOW_AFTER_MS;
      this.#sinceMs.delete(key);
    }
    return false;
  }

  get size(): number {
    return this.#sinceMs.size;
  }
}

const LOOK_MS = 100;
/** So many looks in a row must all find the loop late: one collection of garbage is no overload. */
const LOOKS = 5;
const LATE_MS = 100;

/** Whether the edge's own loop keeps up. It is looked at only while there is new work, so that an idle edge sleeps. */
export class OwnPace {
  readonly #clock: Clock;
  readonly #late: number[] = [];
  #timer: Timer | undefined;
  #asked = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Late for half a second without a break. */
  get isLate(): boolean {
    this.#asked = true;
    this.#arm();
    return this.#late.length >= LOOKS && this.#late.every((lateMs) => lateMs > LATE_MS);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    this.#asked = false;
    const dueMs = this.#clock.nowMs() + LOOK_MS;
    this.#timer = this.#clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.#late.push(this.#clock.nowMs() - dueMs);
      if (this.#late.length > LOOKS) this.#late.shift();
      if (this.#asked) this.#arm();
      else this.#late.length = 0;
    });
  }
}
