import type { Clock, Timer } from '../base/index.ts';

/** A timer that runs so late shows that the loop stood still. */
const STOOD_STILL_MS = 100;
/** Enough for one turn of the loop, in which everything that has arrived is read. */
const READ_FIRST_MS = 10;

/**
 * A call's one timer. It moves only to earlier times, because most waits are over before they end. After the loop has stood still it lets
 * what arrived meanwhile be read first: Node runs timers before sockets, and an INVITE would be sent again (Timer A) although its answer has
 * been lying there for half a second, which some phones take for a new one.
 */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: Timer | undefined;
  #timerDueMs = 0;
  #wakeAtMs = 0;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at that time of the clock, and not at any said before; undefined: not at all. */
  set(wakeAtMs: number | undefined): void {
    if (wakeAtMs === undefined) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    this.#wakeAtMs = wakeAtMs;
    if (this.#timer !== undefined && this.#timerDueMs <= wakeAtMs) return;
    this.#timer?.cancel();
    this.#after(Math.max(0, wakeAtMs - this.#clock.nowMs()), wakeAtMs, false);
  }

  #after(delayMs: number, dueMs: number, hasRead: boolean): void {
    this.#timerDueMs = dueMs;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      const lateMs = this.#clock.nowMs() - this.#wakeAtMs;
      if (lateMs < 0) this.set(this.#wakeAtMs);
      else if (lateMs > STOOD_STILL_MS && !hasRead) this.#after(READ_FIRST_MS, dueMs, true);
      else this.#ring();
    });
  }
}
