import type { Clock } from '../base/index.ts';

/** What a zone can carry; each of its switches stands for an equal share. */
export interface ZoneCapacity {
  readonly calls: number;
  readonly callsPerSecond: number;
}

/** Calls per second are counted over this long, in slices of a tenth of it. */
const RATE_WINDOW_MS = 2_000;
const SLICE_MS = RATE_WINDOW_MS / 10;

/** A loop that is late by so much at every look for two seconds is all that a machine can do, whatever was configured. */
const FULL_LATE_MS = 500;
const LOOKS = 4;

/** A switch's load: the largest of calls to their share, new calls per second to theirs, and what its loop is late (PH-ZONE-07). */
export class LoadMeter {
  readonly #clock: Clock;
  readonly #share: ZoneCapacity;
  readonly #slices: { startMs: number; calls: number }[] = [];
  readonly #lateMs: number[] = [];
  calls = 0;

  constructor(clock: Clock, capacity: ZoneCapacity, switches: number) {
    this.#clock = clock;
    this.#share = { calls: capacity.calls / switches, callsPerSecond: capacity.callsPerSecond / switches };
  }

  newCall(): void {
    const nowMs = this.#clock.nowMs();
    const last = this.#slices.at(-1);
    if (last !== undefined && nowMs - last.startMs < SLICE_MS) last.calls++;
    else this.#slices.push({ startMs: nowMs, calls: 1 });
    this.calls++;
  }

  callEnded(): void {
    this.calls--;
  }

  /** How late a timer of this process was, looked at twice a second. */
  late(lateMs: number): void {
    this.#lateMs.push(Math.max(0, lateMs));
    if (this.#lateMs.length > LOOKS) this.#lateMs.shift();
  }

  get callsPerSecond(): number {
    const fromMs = this.#clock.nowMs() - RATE_WINDOW_MS;
    while (this.#slices[0] !== undefined && this.#slices[0].startMs < fromMs) this.#slices.shift();
    const sum = this.#slices.reduce((total, slice) => total + slice.calls, 0);
    return (1000 * sum) / RATE_WINDOW_MS;
  }

  /** 0 … 1 and above. */
  get load(): number {
    // The least of them: one long task, or a machine that was busy with something else for a moment, is no load.
    const late = this.#lateMs.length < LOOKS ? 0 : Math.min(...this.#lateMs) / FULL_LATE_MS;
    return Math.max(this.calls / this.#share.calls, this.callsPerSecond / this.#share.callsPerSecond, late);
  }
}
