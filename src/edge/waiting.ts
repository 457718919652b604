import type { BundleId, Clock, Timer } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import type { EdgeLimits } from './limits.ts';

export interface Waiter {
  readonly flow: Flow;
  readonly bytes: Uint8Array;
  readonly dueMs: number;
}

/**
 * Messages whose bundle has no live owner, or whose owner's link is full, in order per bundle. They wait for the next owner
 * (adoption takes well under a second), at most `waitMs`, and then are given to `expire`. Bounded per bundle and in total.
 */
export class Waiting {
  readonly #byBundle = new Map<BundleId, Waiter[]>();
  readonly #clock: Clock;
  readonly #limits: Pick<EdgeLimits, 'waitMs' | 'waitFramesPerBundle' | 'waitBytes'>;
  /** Tries a bundle's first message again: true when it was sent. */
  readonly #retry: (bundle: BundleId, waiter: Waiter) => boolean;
  readonly #expire: (waiter: Waiter) => void;
  #bytes = 0;
  #count = 0;
  #timer: Timer | undefined;

  constructor(options: {
    clock: Clock;
    limits: EdgeLimits;
    retry: (bundle: BundleId, waiter: Waiter) => boolean;
    expire: (waiter: Waiter) => void;
  }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#retry = options.retry;
    this.#expire = options.expire;
  }

  get size(): number {
    return this.#count;
  }

  has(bundle: BundleId): boolean {
    return this.#byBundle.has(bundle);
  }

  /** False when there is no room: the caller answers at once. */
  add(bundle: BundleId, flow: Flow, bytes: Uint8Array): boolean {
    const queue = this.#byBundle.get(bundle) ?? [];
    const { waitFramesPerBundle, waitBytes, waitMs } = this.#limits;
    if (queue.length >= waitFramesPerBundle || this.#bytes + bytes.length > waitBytes) return false;
    queue.push({ flow, bytes, dueMs: this.#clock.nowMs() + waitMs });
    this.#byBundle.set(bundle, queue);
    this.#bytes += bytes.length;
    this.#count++;
    this.#arm();
    return true;
  }

  /** Sends what waits for this bundle, as far as its owner takes it. */
  flush(bundle: BundleId): void {
    const queue = this.#byBundle.get(bundle);
    if (!queue) return;
    let sent = 0;
    while (sent < queue.length && this.#retry(bundle, queue[sent]!)) sent++;
    this.#drop(bundle, queue, sent);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer ??= this.#clock.after(RETRY_MS, () => {
      this.#timer = undefined;
      const now = this.#clock.nowMs();
      for (const [bundle, queue] of [...this.#byBundle]) {
        const due = queue.findIndex((waiter) => waiter.dueMs > now);
        for (const waiter of this.#drop(bundle, queue, due === -1 ? queue.length : due)) this.#expire(waiter);
        this.flush(bundle);
      }
      if (this.#count > 0) this.#arm();
    });
  }

  #drop(bundle: BundleId, queue: Waiter[], count: number): Waiter[] {
    const dropped = queue.splice(0, count);
    for (const { bytes } of dropped) this.#bytes -= bytes.length;
    this.#count -= dropped.length;
    if (queue.length === 0) this.#byBundle.delete(bundle);
    return dropped;
  }
}

/** A full link has room again, or never, within a few of these. An `own` flushes at once. */
const RETRY_MS = 20;
