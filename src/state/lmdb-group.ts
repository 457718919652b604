import { type Clock, type Timer, TwinlineError } from '../base/index.ts';
import { type Environment, type Written, written } from './lmdb-environment.ts';

/** A flush costs as much as writing twenty records; at most so many a second are paid for, whatever the load. */
export const GATHER_MS = 20;
/** Whoever only says again what the disk knows already waits longer: well below a phone's first repetition (500 ms). */
export const GATHER_LAZY_MS = 50;
/**
 * lmdb holds a thread of libuv's pool (4) until its flush has ended. A slow disk gets two of them, so that calls, which
 * are not flushed, are still written by the others.
 */
const MAX_UNFLUSHED = 2;
const MAX_BATCH = 1000;
/** 10 s of the heaviest load: beyond it the disk is not slow but lost. */
const MAX_WAITING = 10_000;

export interface GroupWrite {
  readonly puts: readonly (readonly [key: string, bytes: Buffer])[];
  /** Nothing is written unless the key has this version inside the transaction. */
  readonly condition: { readonly key: string; readonly version: number } | undefined;
  readonly lazy: boolean;
}

interface Waiting extends GroupWrite {
  readonly resolve: (done: Written) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes of one process to a flushed environment, several in one transaction. A lone one goes at once; while another was
 * begun less than the gathering time ago, it waits for company. Each remains all or nothing by itself and has its own condition.
 */
export class GroupCommit {
  readonly #environment: Environment;
  readonly #clock: Clock;
  readonly #gatherMs: { readonly eager: number; readonly lazy: number };
  #waiting: Waiting[] = [];
  /** When the next batch may begin, Infinity while none waits. */
  #dueMs = Number.POSITIVE_INFINITY;
  #begunMs = Number.NEGATIVE_INFINITY;
  #unflushed = 0;
  #timer: Timer | undefined;
  #closing = false;
  #onIdle: (() => void) | undefined;
  #version: number;

  constructor(
    environment: Environment,
    clock: Clock,
    options: { readonly gatherMs: number; readonly gatherLazyMs: number; readonly firstVersion: number },
  ) {
    this.#environment = environment;
    this.#clock = clock;
    this.#gatherMs = { eager: options.gatherMs, lazy: options.gatherLazyMs };
    this.#version = options.firstVersion;
  }

  /** Rejects with `state_busy` where too much waits for the disk. */
  write(write: GroupWrite): Promise<Written> {
    if (this.#closing) return Promise.reject(new TwinlineError('state_closed', 'the state was closed'));
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(
        new TwinlineError('state_busy', `${MAX_WAITING} writes wait for the disk: is it slow or gone?`),
      );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...write, resolve, reject });
      this.#dueMs = Math.min(this.#dueMs, this.#begunMs + this.#gatherMs[write.lazy ? 'lazy' : 'eager']);
      this.#arm();
    });
  }

  /** What waits is begun without gathering; resolves when all is done, well or not. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#arm();
    if (this.#waiting.length > 0 || this.#unflushed > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#waiting.length === 0 || this.#unflushed >= MAX_UNFLUSHED) return;
    const delayMs = this.#closing ? 0 : this.#dueMs - this.#clock.nowMs();
    if (delayMs <= 0) this.#begin();
    else this.#timer = this.#clock.after(delayMs, () => this.#begin());
  }

  #begin(): void {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#begunMs = this.#clock.nowMs();
    this.#dueMs = this.#waiting.length > 0 ? this.#begunMs : Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    this.#unflushed++;
    void this.#settle(
      batch,
      batch.map((one) => this.#put(one)),
    ).finally(() => {
      this.#unflushed--;
      this.#arm();
      if (this.#unflushed === 0 && this.#waiting.length === 0) this.#onIdle?.();
    });
    this.#arm();
  }

  /** Begun in one turn, so that lmdb makes one transaction of them. */
  #put({ puts, condition }: Waiting): Promise<Written> {
    try {
      const { store } = this.#environment;
      const put = (): void => {
        for (const [key, bytes] of puts) store.put(key, bytes, this.#version++);
      };
      if (condition !== undefined) return written(store.ifVersion(condition.key, condition.version, put));
      if (puts.length === 1) return written(store.put(puts[0]![0], puts[0]![1], this.#version++));
      return written(store.batch(put));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #settle(batch: readonly Waiting[], writes: readonly Promise<Written>[]): Promise<void> {
    const results = await Promise.allSettled(writes);
    for (const [at, one] of batch.entries()) {
      const result = results[at]!;
      if (result.status === 'fulfilled') one.resolve(result.value);
      else if (batch.length === 1) one.reject(result.reason);
      else {
        // A transaction fails as a whole, and with it those that could have been written: each is tried by itself.
        await this.#put(one).then(one.resolve, one.reject);
      }
    }
  }
}
