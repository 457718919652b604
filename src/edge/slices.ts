import type { Clock } from '../base/index.ts';

const WINDOW_MS = 100;
/** So many in one window are many: below, each is served as it comes and its sender stays with one switch. */
const MANY = 20;
/** Long enough for a batch that is worth waking a process for, short enough that nobody waits: a switch's turn comes again within 50 ms. */
const SLICE_MS = 10;

/**
 * Turns of several receivers, where much comes: for some milliseconds all of it is for one, then for the next. Each is woken less often, finds
 * more, and commits it together.
 */
export class Slices {
  readonly #clock: Clock;
  #windowMs = 0;
  #count = 0;
  #many = false;
  #sliceMs = 0;
  #turn = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one more and tells whose turn it is, a number that grows by one; undefined while there is too little to take turns. */
  next(): number | undefined {
    const nowMs = this.#clock.nowMs();
    const passedMs = nowMs - this.#windowMs;
    if (passedMs >= WINDOW_MS) {
      this.#many = passedMs < 2 * WINDOW_MS && this.#count >= MANY;
      this.#windowMs = nowMs;
      this.#count = 0;
    }
    this.#count++;
    if (!this.#many) return undefined;
    if (nowMs - this.#sliceMs >= SLICE_MS) {
      this.#sliceMs = nowMs;
      this.#turn++;
    }
    return this.#turn;
  }
}
