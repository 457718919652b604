import type { BundleId, ZoneId } from '../base/index.ts';
import type { BundleEpoch } from '../link/index.ts';

interface Held {
  readonly epoch: number;
  /** True for bundles made for this switch: new calls go there; an adopted bundle only empties. */
  readonly own: boolean;
  calls: number;
  /** Resolves when what lives in the bundle has been read; messages for it wait. */
  ready: Promise<void>;
  /** Set while it goes over to another owner: nothing of it may be touched. Resolves when it is there, or stays here after all. */
  leaving?: Promise<void>;
}

/** The bundles that this switch holds, and under which epoch. */
export class Bundles {
  readonly #held = new Map<BundleId, Held>();
  #next = 0;

  hold(bundle: BundleEpoch & { from?: ZoneId }, ready: Promise<void>): void {
    // Granted twice in a row when a zone dies in the middle of handing over: its calls are here already.
    const calls = this.#held.get(bundle.bundle)?.calls ?? 0;
    this.#held.set(bundle.bundle, { epoch: bundle.epoch, own: bundle.from === undefined, calls, ready });
  }

  /** Another owner has it. True when we held it. */
  drop(bundle: BundleId): boolean {
    return this.#held.delete(bundle);
  }

  epochOf(bundle: BundleId): number | undefined {
    return this.#held.get(bundle)?.epoch;
  }

  ready(bundle: BundleId): Promise<void> | undefined {
    return this.#held.get(bundle)?.ready;
  }

  /** Whether we may still act for it under this epoch. */
  owns(bundle: BundleId, epoch: number): boolean {
    const held = this.#held.get(bundle);
    return held?.epoch === epoch && held.leaving === undefined;
  }

  /** Set while the bundle goes over to another owner: what a message for it has to wait for. */
  leaving(bundle: BundleId): Promise<void> | undefined {
    return this.#held.get(bundle)?.leaving;
  }

  /** Marks the bundle as going over until `gone` resolves. False when it is not ours, or goes already. */
  leave(bundle: BundleId, gone: Promise<void>): boolean {
    const held = this.#held.get(bundle);
    if (held === undefined || held.leaving !== undefined) return false;
    held.leaving = gone;
    return true;
  }

  /** It stays here after all. */
  stay(bundle: BundleId): void {
    const held = this.#held.get(bundle);
    if (held !== undefined) delete held.leaving;
  }

  all(): BundleEpoch[] {
    return [...this.#held].map(([bundle, { epoch }]) => ({ bundle, epoch }));
  }

  /** Whether there is a bundle for a new call. */
  get takesCalls(): boolean {
    for (const { own, leaving } of this.#held.values()) if (own && leaving === undefined) return true;
    return false;
  }

  /** The bundle for a new call: our own ones in turn; undefined before the first grant. */
  forNewCall(): BundleId | undefined {
    const own = [...this.#held].filter(([, held]) => held.own && held.leaving === undefined);
    return own[this.#next++ % Math.max(1, own.length)]?.[0];
  }

  /** Keeps count; true when an adopted bundle has just lost its last call and can be given up. */
  count(bundle: BundleId, change: 1 | -1): boolean {
    const held = this.#held.get(bundle);
    if (held === undefined) return false;
    held.calls += change;
    return change === -1 && held.calls === 0 && !held.own && held.leaving === undefined;
  }

  isEmptyAdopted(bundle: BundleId): boolean {
    const held = this.#held.get(bundle);
    return held !== undefined && !held.own && held.calls === 0;
  }
}
