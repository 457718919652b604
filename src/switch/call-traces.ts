import type { Clock, Logger } from '../base/index.ts';
import { recordOf } from '../call/index.ts';
import type { StateKey, StatePort } from '../state/index.ts';
import type { RunningCall } from './running-call.ts';

/**
 * What is left of a call when its whole data centre dies: calls are volatile, so one durable entry says that it began, and another in its
 * place that it was answered (PH-ZONE-10). Taken away when the call's record is kept. Nobody waits for these writes.
 */
export class CallTraces {
  readonly #state: Pick<StatePort, 'commit'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #said = new WeakMap<RunningCall, 'began' | 'answered'>();

  constructor(options: { state: Pick<StatePort, 'commit'>; clock: Clock; log: Logger }) {
    this.#state = options.state;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  stepped(running: RunningCall): void {
    const { call } = running;
    if (call === undefined || running.over) return;
    const stage = call.answeredUtcMs === undefined ? 'began' : 'answered';
    if (this.#said.get(running) === stage) return;
    this.#said.set(running, stage);
    const updatedUtcMs = this.#clock.utcMs();
    this.#write(running, { op: 'put', key: keyOf(running), value: recordOf(call), updatedUtcMs });
  }

  /** The record of its end is in the log. */
  kept(running: RunningCall): void {
    // Later than what the owner before may have written in this millisecond.
    this.#write(running, { op: 'delete', key: keyOf(running), updatedUtcMs: this.#clock.utcMs() + 1 });
  }

  #write(running: RunningCall, write: Parameters<StatePort['commit']>[0][number]): void {
    this.#state.commit([write], { durability: 'volatile' }).catch((error: unknown) => {
      this.#log.warn({ call: running.id, error: String(error) }, 'call.not_traced');
    });
  }
}

const keyOf = ({ account, id }: RunningCall): StateKey => ({ account, kind: 'trace', id });
