/*
 * How late packets come, and so how long a receiver should wait for them. A packet's transit is its arrival less its timestamp, of which
 * only differences mean anything: the earliest of the last seconds is the baseline, and what a packet is behind that is its delay.
 * The baseline forgets, so that two clocks that drift apart are no growing delay.
 */

const BUCKET_MS = 5;
const BUCKETS = 100;
/** The share of packets that shall come in time. The others cost a concealed frame each, every millisecond costs everybody. */
const QUANTILE = 0.98;
/** A packet's weight, once enough were seen: half of what is remembered is from the last 140 packets. */
const LEAST_WEIGHT = 1 / 200;
/** For timers of ours that are late. */
const MARGIN_MS = 5;
/** Until a few packets have shown how the way is. */
const FIRST_TARGET_MS = 30;
const FIRST_PACKETS = 10;
const MINIMUM_EVERY_MS = 500;
const MINIMA = 10;

export class JitterDelay {
  readonly #leastMs: number;
  readonly #mostMs: number;
  readonly #share = new Float64Array(BUCKETS);
  readonly #minima = new Float64Array(MINIMA);
  #period = -1;
  #seen = 0;
  #targetMs: number;
  /** The least transit of the last five seconds. */
  baseMs = 0;

  constructor(leastMs: number, mostMs: number) {
    this.#leastMs = leastMs;
    this.#mostMs = mostMs;
    this.#targetMs = Math.max(leastMs, FIRST_TARGET_MS);
  }

  get targetMs(): number {
    return this.#targetMs;
  }

  get known(): boolean {
    return this.#seen > 0;
  }

  /** The way or the clock is another: what was learned of the baseline holds no more; how packets scatter about it may. */
  rebase(): void {
    this.#period = -1;
  }

  see(transitMs: number, nowMs: number): void {
    this.#seeMinimum(transitMs, nowMs);
    this.#seen++;
    const weight = Math.max(LEAST_WEIGHT, 1 / this.#seen);
    const behind = Math.min(BUCKETS - 1, Math.floor((transitMs - this.baseMs) / BUCKET_MS));
    const share = this.#share;
    for (let i = 0; i < BUCKETS; i++) share[i]! *= 1 - weight;
    share[behind]! += weight;
    let at = 0;
    for (let sum = share[0]!; sum < QUANTILE && at < BUCKETS - 1; sum += share[at]!) at++;
    const least = this.#seen < FIRST_PACKETS ? Math.max(this.#leastMs, FIRST_TARGET_MS) : this.#leastMs;
    this.#targetMs = Math.min(this.#mostMs, Math.max(least, (at + 1) * BUCKET_MS + MARGIN_MS));
  }

  #seeMinimum(transitMs: number, nowMs: number): void {
    const minima = this.#minima;
    const period = Math.floor(nowMs / MINIMUM_EVERY_MS);
    if (this.#period < 0 || period - this.#period >= MINIMA) minima.fill(Number.POSITIVE_INFINITY);
    else
      for (let each = this.#period + 1; each <= period; each++)
        minima[each % MINIMA] = Number.POSITIVE_INFINITY;
    if (period > this.#period) this.#period = period;
    const slot = this.#period % MINIMA;
    if (transitMs < minima[slot]!) minima[slot] = transitMs;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < MINIMA; i++) if (minima[i]! < least) least = minima[i]!;
    this.baseMs = least;
  }
}
