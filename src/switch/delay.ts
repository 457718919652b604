import type { Clock } from '../base/index.ts';

/** Does something with each item after about the same time, with one timer for all that came within a slice of it. */
export class Delay<T> {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #sliceMs: number;
  readonly #act: (item: T) => void;
  #slice: T[] | undefined;
  #sliceEndsMs = 0;

  /** @param options.sliceMs an item may come to its turn that much earlier than after `delayMs` */
  constructor(
    clock: Clock,
    options: { readonly delayMs: number; readonly sliceMs: number },
    act: (item: T) => void,
  ) {
    this.#clock = clock;
    this.#delayMs = options.delayMs;
    this.#sliceMs = options.sliceMs;
    this.#act = act;
  }

  add(item: T): void {
    const nowMs = this.#clock.nowMs();
    if (this.#slice !== undefined && nowMs < this.#sliceEndsMs) {
      this.#slice.push(item);
      return;
    }
    const slice = [item];
    this.#slice = slice;
    this.#sliceEndsMs = nowMs + this.#sliceMs;
    this.#clock.after(this.#delayMs, () => {
      if (this.#slice === slice) this.#slice = undefined;
      for (const one of slice) this.#act(one);
    });
  }
}
