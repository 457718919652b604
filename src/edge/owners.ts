import type { BundleId, SwitchId } from '../base/index.ts';
import type { BundleEpoch } from '../link/index.ts';
import type { Place } from './spread.ts';

export interface Ownership {
  readonly bundle: BundleId;
  readonly epoch: number;
  readonly holder: SwitchId;
  /** Undefined while the owner is gone and nobody has adopted yet. */
  readonly place: Place | undefined;
  /** Given up for good: what still comes for it is answered by any switch (481). */
  readonly released: boolean;
}

export type Claim =
  | { readonly outcome: 'taken'; readonly previous: Ownership | undefined }
  | { readonly outcome: 'stale'; readonly epoch: number };

/**
 * Who holds which bundle, under which epoch. An epoch never goes down: that is the edge's part of the fence (PH-ZONE-17).
 * Bundles without a live owner are kept for their epoch, the oldest forgotten when there are more than `limit`.
 */
export class Owners {
  readonly #byBundle = new Map<BundleId, Ownership>();
  readonly #ownerless = new Set<BundleId>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byBundle.size;
  }

  of(bundle: BundleId): Ownership | undefined {
    return this.#byBundle.get(bundle);
  }

  /** A switch says that it holds the bundle. With the epoch already seen only its holder, started or connected anew, may say so. */
  claim(place: Place, { bundle, epoch }: BundleEpoch): Claim {
    const known = this.#byBundle.get(bundle);
    if (known && (epoch < known.epoch || (epoch === known.epoch && !mayHoldAgain(known, place)))) {
      return { outcome: 'stale', epoch: known.epoch };
    }
    this.#ownerless.delete(bundle);
    this.#byBundle.set(bundle, { bundle, epoch, holder: place.id, place, released: false });
    return { outcome: 'taken', previous: known };
  }

  /** Whether what `place` says under this epoch may reach a client. */
  admits(place: Place, { bundle, epoch }: BundleEpoch): boolean {
    const known = this.#byBundle.get(bundle);
    if (known === undefined) return this.claim(place, { bundle, epoch }).outcome === 'taken';
    if (epoch === known.epoch) return known.place === place || mayHoldAgain(known, place);
    // It was granted more than we have heard of: its `own` is under way.
    return epoch > known.epoch && this.claim(place, { bundle, epoch }).outcome === 'taken';
  }

  /** The holder gives empty bundles up. Their epochs are kept a while, so that an older owner stays refused. */
  release(place: Place, bundles: readonly BundleId[]): void {
    for (const bundle of bundles) {
      const known = this.#byBundle.get(bundle);
      if (known?.place !== place) continue;
      this.#byBundle.set(bundle, { ...known, released: true });
      this.#retire(bundle);
    }
  }

  /** The switch is gone: its bundles wait for the next owner. */
  lost(place: Place): BundleId[] {
    const lost: BundleId[] = [];
    for (const known of this.#byBundle.values()) {
      if (known.place !== place) continue;
      if (!known.released) lost.push(known.bundle);
      this.#byBundle.set(known.bundle, { ...known, place: undefined });
    }
    for (const bundle of lost) this.#retire(bundle);
    return lost;
  }

  countOf(place: Place): number {
    let count = 0;
    for (const known of this.#byBundle.values()) if (known.place === place && !known.released) count++;
    return count;
  }

  #retire(bundle: BundleId): void {
    this.#ownerless.delete(bundle);
    this.#ownerless.add(bundle);
    if (this.#ownerless.size <= this.#limit) return;
    const [oldest] = this.#ownerless;
    this.#ownerless.delete(oldest!);
    this.#byBundle.delete(oldest!);
  }
}

/** The same switch over a new connection, or its own late answers after it released the bundle. */
const mayHoldAgain = (known: Ownership, place: Place): boolean =>
  known.place === place || (known.place === undefined && known.holder === place.id);
