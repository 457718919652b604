import { FRAME_MS } from '../../audio/index.ts';
import type { Clock, Timer } from '../../base/index.ts';

/** A process that was busy makes up for so many frames; what is older would only be delay at the peers. */
const MOST_AT_ONCE = 4;

/**
 * Calls every 20 ms, for as long as somebody needs it. Ticks are numbered by the clock that all processes of a machine share, so whoever takes a
 * stream over goes on in the same beat, and nothing drifts: a late tick is followed by one in time.
 */
export class Ticker {
  readonly #clock: Clock;
  readonly #tick: (tick: number, dueMs: number) => void;
  #timer: Timer | undefined;
  #next = 0;
  /** Frames that were never made, as this process stood still. */
  skipped = 0;

  constructor(clock: Clock, tick: (tick: number, dueMs: number) => void) {
    this.#clock = clock;
    this.#tick = tick;
  }

  get running(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#next = Math.floor(this.#clock.nowMs() / FRAME_MS) + 1;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#next * FRAME_MS - this.#clock.nowMs(), () => this.#run());
  }

  #run(): void {
    const due = Math.floor(this.#clock.nowMs() / FRAME_MS);
    if (due - this.#next >= MOST_AT_ONCE) {
      this.skipped += due - this.#next - MOST_AT_ONCE + 1;
      this.#next = due - MOST_AT_ONCE + 1;
    }
    for (; this.#next <= due && this.#timer !== undefined; this.#next++)
      this.#tick(this.#next, this.#next * FRAME_MS);
    if (this.#timer !== undefined) this.#arm();
  }
}
