import type { BundleId, Clock, Timer } from '../base/index.ts';
import type { Peeked } from '../sip/index.ts';
import type { Counters } from './counters.ts';
import type { EdgeLimits } from './limits.ts';
import type { Place } from './spread.ts';

export interface Transaction {
  readonly key: string;
  /** The bundle that the call got, as soon as the switch has said so. */
  bundle: BundleId | undefined;
  /** The switch that was given the first INVITE. Undefined when the state's index told the bundle. */
  readonly place: Place | undefined;
  expiresMs: number;
}

/**
 * Where an INVITE went, so that what carries no token of ours follows it: its CANCEL, the ACK of its refusal, the INVITE
 * sent again, with credentials, or by another way (merged, RFC 3261 §8.2.2.2). All of these have its Call-ID and From tag
 * in common (§9.1, §17.1.1.3, §8.1.3.5), also where branch, sent-by or flow differ, so one key serves them all.
 */
export class TransactionMap {
  readonly #byKey = new Map<string, Transaction>();
  readonly #clock: Clock;
  readonly #limits: Pick<EdgeLimits, 'transactions' | 'transactionMs' | 'transactionLingerMs'>;
  readonly #counters: Counters;
  #sweep: Timer | undefined;

  constructor(clock: Clock, limits: EdgeLimits, counters: Counters) {
    this.#clock = clock;
    this.#limits = limits;
    this.#counters = counters;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): Transaction | undefined {
    const found = this.#byKey.get(key);
    return found && found.expiresMs > this.#clock.nowMs() ? found : undefined;
  }

  /** `awaits`: an answer to the INVITE is still to come, as far as one can tell. */
  put(key: string, place: Place | undefined, bundle: BundleId | undefined, awaits = true): void {
    const { transactionMs, transactionLingerMs } = this.#limits;
    const expiresMs = this.#clock.nowMs() + (awaits ? transactionMs : transactionLingerMs);
    this.#byKey.delete(key);
    this.#byKey.set(key, { key, place, bundle, expiresMs });
    if (this.#byKey.size > this.#limits.transactions) {
      const [oldest] = this.#byKey.keys();
      this.#byKey.delete(oldest!);
      this.#counters.add('transactions_evicted_total');
    }
    this.#armSweep();
  }

  /** The switch answered the INVITE. */
  answered(key: string, status: number, bundle: BundleId | undefined): void {
    const transaction = this.#byKey.get(key);
    if (!transaction) return;
    transaction.bundle = bundle ?? transaction.bundle;
    const { transactionMs, transactionLingerMs } = this.#limits;
    transaction.expiresMs = this.#clock.nowMs() + (status >= 200 ? transactionLingerMs : transactionMs);
  }

  close(): void {
    this.#sweep?.cancel();
  }

  /** Runs only while there is something to forget: an idle edge sleeps. */
  #armSweep(): void {
    if (this.#sweep) return;
    this.#sweep = this.#clock.after(SWEEP_MS, () => {
      this.#sweep = undefined;
      const now = this.#clock.nowMs();
      for (const [key, { expiresMs }] of this.#byKey) if (expiresMs <= now) this.#byKey.delete(key);
      if (this.#byKey.size > 0) this.#armSweep();
    });
  }
}

/** 100,000 entries are walked in about 3 ms. */
const SWEEP_MS = 4_000;

/** Also the id under which switches write the state's call index. */
export const keyOf = ({ callId = '', fromTag = '' }: Peeked): string => `${callId} ${fromTag}`;
