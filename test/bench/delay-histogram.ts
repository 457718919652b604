const STEP_MS = 0.01;
const STEPS = 50_000;

/** Delays in steps of 10 µs up to half a second: exact enough, and no allocation per packet. */
export class DelayHistogram {
  readonly #counts = new Uint32Array(STEPS);
  #total = 0;
  #worstMs = 0;

  add(delayMs: number): void {
    this.#total++;
    if (delayMs > this.#worstMs) this.#worstMs = delayMs;
    const step = Math.floor(delayMs / STEP_MS);
    const at = step < 0 ? 0 : step >= STEPS ? STEPS - 1 : step;
    this.#counts[at] = this.#counts[at]! + 1;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
    this.#worstMs = 0;
  }

  summary(): { p50: number; p99: number; worst: number } {
    return { p50: this.#quantile(0.5), p99: this.#quantile(0.99), worst: this.#worstMs };
  }

  #quantile(part: number): number {
    if (this.#total === 0) return Number.NaN;
    let seen = 0;
    for (let step = 0; step < STEPS; step++) {
      seen += this.#counts[step]!;
      if (seen >= part * this.#total) return (step + 1) * STEP_MS;
    }
    return this.#worstMs;
  }
}
