import { createHash } from 'node:crypto';
import type { VirtualClock } from '../../src/base/index.ts';
import type { SimProcess } from './process.ts';

/** What a fault can be timed by: the moment after the n-th of these. */
export type Point = 'to-edge' | 'to-phone' | 'between-processes' | 'commit';

/**
 * Everything that happened in a world, in order, as a digest: one seed must give one history, byte for byte. Also counts what a fault can
 * be timed by.
 */
export class History {
  readonly counts: Record<Point, number> = { 'to-edge': 0, 'to-phone': 0, 'between-processes': 0, commit: 0 };
  readonly #clock: VirtualClock;
  readonly #hash = createHash('sha256');
  readonly #tell: ((line: string) => void) | undefined;
  readonly #waiting: { point: Point; at: number; action: (by: SimProcess | undefined) => void }[] = [];
  #events = 0;

  constructor(clock: VirtualClock, tell: ((line: string) => void) | undefined) {
    this.#clock = clock;
    this.#tell = tell;
  }

  get events(): number {
    return this.#events;
  }

  add(what: string, bytes?: Uint8Array): void {
    this.#events++;
    this.#hash.update(`${this.#clock.nowMs()} ${what}\n`);
    if (bytes !== undefined) this.#hash.update(bytes);
    this.#tell?.(`${(this.#clock.nowMs() - START_MS).toFixed(3).padStart(11)} ${what}`);
  }

  /** Counts a point, and lets happen what was to happen then, as the next thing. */
  pass(point: Point, by?: SimProcess): void {
    const count = ++this.counts[point];
    for (let at = this.#waiting.length - 1; at >= 0; at--) {
      const waiting = this.#waiting[at]!;
      if (waiting.point !== point || waiting.at !== count) continue;
      this.#waiting.splice(at, 1);
      this.#clock.after(0, () => waiting.action(by));
    }
  }

  /** `action` right after the n-th from now, before anybody can act upon it; `by` did it. */
  after(point: Point, n: number, action: (by: SimProcess | undefined) => void): void {
    this.#waiting.push({ point, at: this.counts[point] + n, action });
  }

  digest(): string {
    return `${this.#events} ${this.#hash.copy().digest('hex')}`;
  }
}

/** Where `VirtualClock` begins. */
export const START_MS = 1_000_000;
