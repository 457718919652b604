import { type BundleId, TwinlineError } from '../base/index.ts';
import type { BundleEpoch, StreamSpec } from './protocol.ts';

/** Bundles whose highest epoch is remembered after their last stream: a stale owner is refused as long as it may still speak. */
const EPOCHS_REMEMBERED = 16_384;

/** The highest epoch seen of each bundle, by whoever said it: PH-ZONE-17, a stale owner commands nothing. */
export class Epochs {
  readonly #highest = new Map<BundleId, number>();
  readonly #risen: (epoch: BundleEpoch) => void;

  /** `risen`: said by a switch, and higher than before. The twin must know too. */
  constructor(risen: (epoch: BundleEpoch) => void) {
    this.#risen = risen;
  }

  /** Throws `stale_epoch` when a higher one was seen. */
  check(bundle: BundleId, epoch: number): void {
    const highest = this.#highest.get(bundle) ?? -1;
    if (epoch < highest)
      throw new TwinlineError(
        'stale_epoch',
        `bundle ${bundle} is held under epoch ${highest}; ${epoch} commands nothing any more`,
      );
    this.#remember(bundle, epoch);
    if (epoch > highest) this.#risen({ bundle, epoch });
  }

  /** By hearsay: from the twin, or from a stream that was its. */
  learn({ bundle, epoch }: BundleEpoch): void {
    this.#remember(bundle, Math.max(epoch, this.#highest.get(bundle) ?? -1));
  }

  *[Symbol.iterator](): IterableIterator<BundleEpoch> {
    for (const [bundle, epoch] of this.#highest) yield { bundle, epoch };
  }

  #remember(bundle: BundleId, epoch: number): void {
    this.#highest.delete(bundle);
    this.#highest.set(bundle, epoch);
    if (this.#highest.size <= EPOCHS_REMEMBERED) return;
    for (const oldest of this.#highest.keys()) {
      this.#highest.delete(oldest);
      return;
    }
  }
}

/** Whether a stream may go over from its bundle to the one that `spec` names. Throws `stale_epoch` or `bad_spec`. */
export function checkMove(before: StreamSpec, spec: StreamSpec, epochs: Epochs): void {
  if (spec.bundle === before.bundle) return;
  if (before.movedFrom?.bundle === spec.bundle)
    throw new TwinlineError(
      'stale_epoch',
      `stream ${spec.id} was migrated to bundle ${before.bundle}; bundle ${spec.bundle} commands it no more`,
    );
  if (spec.movedFrom?.bundle !== before.bundle)
    throw new TwinlineError('bad_spec', "a stream's bundle: the stream belongs to another bundle");
  epochs.check(spec.movedFrom.bundle, spec.movedFrom.epoch);
}
