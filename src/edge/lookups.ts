import type { BundleId, Clock, Timer } from '../base/index.ts';
import { CALL_INDEX_ACCOUNT } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Counters } from './counters.ts';

type Answer = (bundle: BundleId | undefined) => void;

/** So many at once; further ones are answered "not found", so that a state that hangs costs no memory. */
const LIMIT = 4_096;
/** A state that answers later than this is as good as none: the call path does not wait for it. */
const TIMEOUT_MS = 300;

/**
 * Asks the state's call index which bundle a call is in, when the transaction map does not know: it went with an earlier
 * edge, or with a switch that ended before it said so. Messages with the same key keep their order meanwhile.
 */
export class Lookups {
  readonly #pending = new Map<string, { answers: Answer[]; timer: Timer }>();
  readonly #state: Pick<StatePort, 'get'> | undefined;
  readonly #clock: Clock;
  readonly #counters: Counters;

  constructor(options: {
    state: Pick<StatePort, 'get'> | undefined;
    clock: Clock;
    counters: Counters;
  }) {
    this.#state = options.state;
    this.#clock = options.clock;
    this.#counters = options.counters;
  }

  /** True when a question about this key is under way: what comes now has to queue behind it. */
  isAsking(key: string): boolean {
    return this.#pending.has(key);
  }

  ask(key: string, answer: Answer): void {
    const pending = this.#pending.get(key);
    if (pending && pending.answers.length < LIMIT) {
      pending.answers.push(answer);
      return;
    }
    if (!this.#state || pending || this.#pending.size >= LIMIT) {
      answer(undefined);
      return;
    }
    const timer = this.#clock.after(TIMEOUT_MS, () => this.#settle(key, undefined, 'timeout'));
    this.#pending.set(key, { answers: [answer], timer });
    this.#state.get<unknown>({ account: CALL_INDEX_ACCOUNT, kind: 'call-index', id: key }).then(
      (stored) => {
        const bundle = typeof stored?.value === 'string' ? (stored.value as BundleId) : undefined;
        this.#settle(key, bundle, bundle === undefined ? 'missing' : 'found');
      },
      () => this.#settle(key, undefined, 'failed'),
    );
  }

  close(): void {
    for (const { timer } of this.#pending.values()) timer.cancel();
    this.#pending.clear();
  }

  #settle(key: string, bundle: BundleId | undefined, outcome: string): void {
    const pending = this.#pending.get(key);
    if (!pending) return;
    this.#pending.delete(key);
    pending.timer.cancel();
    this.#counters.add('lookups_total', `outcome="${outcome}"`);
    for (const answer of pending.answers) answer(bundle);
  }
}
