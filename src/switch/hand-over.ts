import type { BundleId, Clock, Logger } from '../base/index.ts';
import type { Bundles } from './bundles.ts';
import type { CallTable } from './calls.ts';

/** A client repeats a request for 32 s (RFC 3261 §17.1.1.2): that long we know where its call went. */
const REMEMBER_MS = 32_000;
const REMEMBERED_MAX = 20_000;
/** A supervisor that does not come back to say where a bundle went has died: its successor grants anew, and what waited is refused. */
const GONE_WITHIN_MS = 10_000;

interface Leaving {
  /** Lets the messages go that wait for the bundle. */
  readonly resolve: () => void;
}

export interface HandOverOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly bundles: Bundles;
  readonly calls: CallTable;
  /** The supervisor did not come back: is the bundle still ours? */
  readonly onForsaken: (bundles: readonly BundleId[]) => void;
}

/**
 * Giving bundles to another switch while both live: adoption without a death (PH-ZONE-19). First the bundle's calls stop where they
 * are, and all that happened in them is written and sent; then the supervisor grants the bundle to the next owner, who adopts it as
 * a dead owner's; then we forget it. What comes meanwhile waits unacknowledged, so that the edge passes it to the next owner.
 */
export class HandOver {
  readonly #options: HandOverOptions;
  readonly #leaving = new Map<BundleId, Leaving>();
  /** SIP Call-IDs of calls that went: a CANCEL or a repeated INVITE names no bundle. */
  readonly #went = new Map<string, { readonly bundle: BundleId; readonly untilMs: number }>();

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** The bundles that are quiet now. A bundle whose calls cannot be written (the state is away) stays. */
  async letGo(asked: readonly BundleId[]): Promise<{ bundles: BundleId[]; calls: number }> {
    const { bundles, calls, clock, log } = this.#options;
    const quiet: BundleId[] = [];
    let moved = 0;
    await Promise.all(
      asked.map(async (bundle) => {
        let resolve = (): void => {};
        const gone = new Promise<void>((done) => {
          resolve = done;
        });
        if (!bundles.leave(bundle, gone)) return;
        const went = await calls.letGo(bundle);
        if (went === undefined) {
          log.warn({ bundle }, 'bundle.stays');
          bundles.stay(bundle);
          resolve();
          return;
        }
        this.#leaving.set(bundle, { resolve });
        for (const sipCallId of went.sipCallIds) this.#remember(sipCallId, bundle);
        quiet.push(bundle);
        moved += went.calls;
      }),
    );
    clock.after(GONE_WITHIN_MS, () => {
      const forsaken = quiet.filter((bundle) => this.#leaving.has(bundle));
      if (forsaken.length > 0) this.#options.onForsaken(forsaken);
    });
    return { bundles: quiet, calls: moved };
  }

  /** Others own them now, or nobody will: they are forgotten here. */
  goneOver(gone: readonly BundleId[]): void {
    for (const bundle of gone) {
      const leaving = this.#leaving.get(bundle);
      if (leaving === undefined) continue;
      this.#leaving.delete(bundle);
      this.#options.bundles.drop(bundle);
      leaving.resolve();
    }
  }

  /** Granted to us again before it was gone: whoever waited is served here. */
  cameBack(bundle: BundleId): void {
    this.#leaving.get(bundle)?.resolve();
    this.#leaving.delete(bundle);
  }

  /** The bundle of a call that went from here, by its SIP Call-ID. */
  wentWith(sipCallId: string): BundleId | undefined {
    const went = this.#went.get(sipCallId);
    return went !== undefined && went.untilMs > this.#options.clock.nowMs() ? went.bundle : undefined;
  }

  #remember(sipCallId: string, bundle: BundleId): void {
    const nowMs = this.#options.clock.nowMs();
    // In the order of their ends: the first that still counts ends the search.
    for (const [known, { untilMs }] of this.#went) {
      if (untilMs > nowMs && this.#went.size < REMEMBERED_MAX) break;
      this.#went.delete(known);
    }
    this.#went.delete(sipCallId);
    this.#went.set(sipCallId, { bundle, untilMs: nowMs + REMEMBER_MS });
  }
}
