import type { SipMessage } from '../../src/sip/index.ts';

/** A thing awaited did not come in time. The message names it and what came instead. */
export class NotSeen extends Error {
  constructor(who: string, what: string, waitMs: number, seen: readonly string[]) {
    const instead = seen.length === 0 ? 'nothing' : `\n  ${seen.join('\n  ')}`;
    super(`${who} waited ${waitMs} ms for ${what}, and saw ${instead}`);
    this.name = 'NotSeen';
  }
}

interface Waiter<T> {
  readonly matches: (item: T) => boolean;
  readonly resolve: (item: T) => void;
}

/** What is told of an item in `NotSeen`, and how many of the last ones. */
const TOLD = 25;

/**
 * An ordered, bounded record of what came, that one can wait on. A wait sees what came before it too, unless it is for the next one.
 * Waits end by real time, also where the phone itself lives on virtual time.
 */
export class Seen<T> {
  readonly items: T[] = [];
  readonly #who: string;
  readonly #tell: (item: T) => string;
  readonly #keep: number;
  #waiters: Waiter<T>[] = [];
  readonly #listeners: ((item: T) => void)[] = [];
  /** How many were dropped from the front to keep the bound. */
  dropped = 0;

  constructor(who: string, tell: (item: T) => string, keep = 2000) {
    this.#who = who;
    this.#tell = tell;
    this.#keep = keep;
  }

  add(item: T): void {
    this.items.push(item);
    if (this.items.length > this.#keep) {
      this.items.shift();
      this.dropped++;
    }
    for (const listener of this.#listeners) listener(item);
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.matches(item)) waiter.resolve(item);
      else this.#waiters.push(waiter);
    }
  }

  /** Calls `listener` for every item from now on: for those who may not wait by real time. */
  each(listener: (item: T) => void): void {
    this.#listeners.push(listener);
  }

  /** The first item from index `from` on (default: all that came) that matches, now or within the wait. */
  first(
    what: string,
    matches: (item: T) => boolean,
    options: { readonly waitMs: number; readonly from?: number; readonly alsoTell?: () => readonly string[] },
  ): Promise<T> {
    const there = this.items.slice(Math.max(0, (options.from ?? 0) - this.dropped)).find(matches);
    if (there !== undefined) return Promise.resolve(there);
    return new Promise<T>((resolve, reject) => {
      const waiter: Waiter<T> = {
        matches,
        resolve: (item) => {
          clearTimeout(timer);
          resolve(item);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        const seen = options.alsoTell?.() ?? this.items.slice(-TOLD).map(this.#tell);
        reject(new NotSeen(this.#who, what, options.waitMs, seen));
      }, options.waitMs);
      this.#waiters.push(waiter);
    });
  }

  /** For `first(..., {from: seen.next})`: only what comes from now on. */
  get next(): number {
    return this.dropped + this.items.length;
  }
}

/** One line of a message for people: `INVITE sip:1002@… (1 INVITE)`, `180 Ringing (1 INVITE)`. */
export function tellMessage(message: SipMessage): string {
  const cseq = message.headers.find((entry) => entry.name === 'CSeq')?.value ?? 'no CSeq';
  return message.kind === 'request'
    ? `${message.method} ${message.uri} (${cseq})`
    : `${message.status} ${message.reason} (${cseq})`;
}
