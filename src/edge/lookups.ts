import type { BundleId, Clock, Timer } from '../base/index.ts';
import { CALL_INDEX_ACCOUNT } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Counters } from './counters.ts';

/** What the state says; `unanswered` when it could not be asked: then a call may well be there. */
type Answer = (found: BundleId | 'none' | 'unanswered') => void;

interface Pending {
  readonly answers: Answer[];
  readonly giveUp: Timer;
  again?: Timer;
}

/** So many at once; further ones are not answered, so that a state that hangs costs no memory. */
const LIMIT = 4_096;
/** A state that answers later than this is as good as none, for what most probably is in no call: the call path does not wait for it. */
export const PROMPT_MS = 300;
/** A state that refuses is asked again after this. */
const AGAIN_MS = 100;

/**
 * Asks the state's call index which bundle a call is in, when the transaction map does not know: it went with an earlier
 * edge, or with a switch that ended before it said so. While the state is away it is asked again. Messages with the same key keep
 * their order meanwhile.
 */
export class Lookups {
  readonly #pending = new Map<string, Pending>();
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

  /** Answers within `waitMs`; with a key that is asked for already when that one is answered. */
  ask(key: string, waitMs: number, answer: Answer): void {
    const pending = this.#pending.get(key);
    if (pending && pending.answers.length < LIMIT) {
      pending.answers.push(answer);
      return;
    }
    if (!this.#state || pending || this.#pending.size >= LIMIT) {
      answer(this.#state ? 'unanswered' : 'none');
      return;
    }
    const giveUp = this.#clock.after(waitMs, () => this.#settle(key, 'unanswered'));
    this.#pending.set(key, { answers: [answer], giveUp });
    this.#ask(key, this.#state);
  }

  close(): void {
    for (const { giveUp, again } of this.#pending.values()) {
      giveUp.cancel();
      again?.cancel();
    }
    this.#pending.clear();
  }

  #ask(key: string, state: Pick<StatePort, 'get'>): void {
    const pending = this.#pending.get(key);
    state.get<unknown>({ account: CALL_INDEX_ACCOUNT, kind: 'call-index', id: key }).then(
      (stored) => {
        // A question that hung may be answered when its message has been given up, and another one asks anew.
        if (this.#pending.get(key) === pending)
          this.#settle(key, typeof stored?.value === 'string' ? (stored.value as BundleId) : 'none');
      },
      () => {
        if (pending === undefined || this.#pending.get(key) !== pending) return;
        pending.again = this.#clock.after(AGAIN_MS, () => this.#ask(key, state));
      },
    );
  }

  #settle(key: string, found: BundleId | 'none' | 'unanswered'): void {
    const pending = this.#pending.get(key);
    if (!pending) return;
    this.#pending.delete(key);
    pending.giveUp.cancel();
    pending.again?.cancel();
    const outcome = found === 'none' ? 'missing' : found === 'unanswered' ? 'failed' : 'found';
    this.#counters.add('lookups_total', `outcome="${outcome}"`);
    for (const answer of pending.answers) answer(found);
  }
}
