import { TwinlineError } from '../../src/base/index.ts';
import type { SimProcess } from './process.ts';

/** A page takes this long, instead of a millisecond or two. */
const SLOW_MS = 120;

/** What is wrong with the state for everybody, or for one process. */
export class StateFaults {
  /** Operations take long. */
  slow = false;
  /** Reading works, writing does not: the disk has no room. */
  full = false;
  /** By zone: who stands still in the middle of a write transaction, and so keeps every other writer waiting. */
  readonly #locks = new Map<string, SimProcess>();
  readonly #waiting = new Map<string, (() => void)[]>();

  delayMs(usualMs: number): number {
    return this.slow ? usualMs * (SLOW_MS / 2) : usualMs;
  }

  /** `holder` is stopped with the lock of its zone's writers in its hand; it is free again when it goes on or dies. */
  lock(zone: string, holder: SimProcess): void {
    this.#locks.set(zone, holder);
    holder.onGoesOn(() => {
      if (this.#locks.get(zone) !== holder) return;
      this.#locks.delete(zone);
      for (const goOn of this.#waiting.get(zone)?.splice(0) ?? []) goOn();
    });
  }

  /** Before every write of a process of that zone. */
  async toWrite(zone: string): Promise<void> {
    while (this.#locks.has(zone)) {
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(zone) ?? [];
        this.#waiting.set(zone, waiting);
        waiting.push(resolve);
      });
    }
    if (this.full) throw new TwinlineError('state_full', 'no room is left for the state');
  }
}
