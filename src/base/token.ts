import { createHmac } from 'node:crypto';
import { encodeBase32 } from './base32.ts';
import { BUNDLE_ID_LENGTH, type BundleId } from './ids.ts';

/** 40 bits: a guess is refused by the edge at line rate and gains a stranger only a misrouted message. */
const MAC_LENGTH = 8;
export const TOKEN_LENGTH = BUNDLE_ID_LENGTH + MAC_LENGTH;
const CACHE_LIMIT = 4096;

/**
 * A token is a bundle's id with a MAC under the pair's secret. A switch writes it where it comes back by itself: behind
 * the magic cookie of a Via branch, at the start of a dialog's local tag, and as the Contact's user. So the edge finds a
 * message's owner without a table of dialogs that could be lost.
 */
export class Tokens {
  readonly #secret: Uint8Array;
  readonly #known = new Map<string, string>();

  constructor(pairSecret: Uint8Array) {
    this.#secret = pairSecret;
  }

  /** The token of a bundle: 18 characters of [0-9a-z], fit for tags, branches and users. */
  mint(bundle: BundleId): string {
    const token = this.#known.get(bundle) ?? this.#compute(bundle);
    this.#keep(bundle, token);
    return token;
  }

  /** The bundle whose genuine token stands at `offset` of `text`; undefined when none does. */
  read(text: string, offset = 0): BundleId | undefined {
    if (text.length < offset + TOKEN_LENGTH) return undefined;
    const bundle = text.slice(offset, offset + BUNDLE_ID_LENGTH);
    const known = this.#known.get(bundle);
    const genuine = known ?? this.#compute(bundle);
    if (!text.startsWith(genuine, offset)) return undefined;
    // Only what proved genuine is kept, so forgeries cannot push the real ones out.
    if (known === undefined) this.#keep(bundle, genuine);
    return bundle as BundleId;
  }

  #compute(bundle: string): string {
    const mac = createHmac('sha256', this.#secret).update(`bundle:${bundle}`).digest();
    return bundle + encodeBase32(mac.subarray(0, 5)).slice(0, MAC_LENGTH);
  }

  #keep(bundle: string, token: string): void {
    if (this.#known.size >= CACHE_LIMIT) this.#known.clear();
    this.#known.set(bundle, token);
  }
}
