import { checkNonce, createNonce } from '../sip/index.ts';

const NONCES_KEPT = 4096;

/**
 * Nonces of the pair, checked by their MAC wherever they were made. Most come back within a second to the switch that made them: those
 * it knows, which saves one of the two MACs of a registration.
 */
export class Nonces {
  readonly #secret: Uint8Array;
  /** Our own and what each is good for, the oldest first. */
  readonly #made = new Map<string, string>();

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** `context` is the realm and the address that the nonce is good for only. */
  create(context: string, utcMs: number): string {
    const nonce = createNonce(this.#secret, utcMs, { context });
    this.#made.set(nonce, context);
    if (this.#made.size > NONCES_KEPT) this.#made.delete(this.#made.keys().next().value!);
    return nonce;
  }

  check(nonce: string, context: string, utcMs: number): 'fresh' | 'stale' | 'bogus' {
    const madeHere = this.#made.get(nonce) === context;
    return checkNonce(this.#secret, nonce, utcMs, { context, madeHere });
  }
}
