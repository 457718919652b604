import type { ReplayWindow } from './replay-window.ts';

/** SSRCs of one key that are remembered; a phone has one or two, a server that transfers calls a few more over time. */
export const STREAM_LIMIT = 32;

/**
 * State per SSRC, the least recently used leaving first when `evicts`, else none joining a full table. Keeps the last one
 * at hand: nearly every packet is of that.
 */
export class StreamTable<State> {
  readonly #states = new Map<number, State>();
  readonly #create: () => State;
  readonly #evicts: boolean;
  #lastSsrc = -1;
  #last: State | undefined;

  constructor(create: () => State, evicts: boolean) {
    this.#create = create;
    this.#evicts = evicts;
  }

  peek(ssrc: number): State | undefined {
    if (ssrc === this.#lastSsrc) return this.#last;
    const state = this.#states.get(ssrc);
    if (state !== undefined) {
      this.#lastSsrc = ssrc;
      this.#last = state;
      // Found again after another: it is in use, so it goes to the end of the row.
      this.#states.delete(ssrc);
      this.#states.set(ssrc, state);
    }
    return state;
  }

  /** The state of an SSRC, new if need be; undefined when the table is full and none may leave. */
  of(ssrc: number): State | undefined {
    return this.peek(ssrc) ?? this.put(ssrc, this.#create());
  }

  put(ssrc: number, state: State): State | undefined {
    this.#states.delete(ssrc);
    if (this.#states.size >= STREAM_LIMIT) {
      if (!this.#evicts) return undefined;
      for (const oldest of this.#states.keys()) {
        this.#states.delete(oldest);
        break;
      }
    }
    this.#states.set(ssrc, state);
    this.#lastSsrc = ssrc;
    this.#last = state;
    return state;
  }

  entries(): [number, State][] {
    return [...this.#states];
  }
}

export const copyWindow = (window: ReplayWindow): ReplayWindow => ({
  highest: window.highest,
  words: [...window.words],
});
