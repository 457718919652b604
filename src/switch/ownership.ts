import {
  type BundleId,
  type CallId,
  type Clock,
  type Deferred,
  deferred,
  type Logger,
  type SwitchId,
  TwinlineError,
} from '../base/index.ts';
import type { DirectoryWatch } from '../directory/index.ts';
import type { BundleEpoch, ZoneToSwitch } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Bundles } from './bundles.ts';
import type { CallTable } from './calls.ts';
import type { Edges } from './edges.ts';
import { HandOver } from './hand-over.ts';
import type { MediaLinks } from './media-links.ts';

/** A bundle that could not be given up because the state was away: otherwise its lease would stay for ever. */
const RELEASE_RETRY_MS = 1_000;

export interface OwnershipOptions {
  readonly id: SwitchId;
  readonly clock: Clock;
  readonly state: StatePort;
  readonly directories: DirectoryWatch;
  readonly log: Logger;
  readonly bundles: Bundles;
  readonly edges: Edges;
  readonly media: MediaLinks;
  readonly calls: CallTable;
  /** Beside each call lies the secret that opens it: see `Sealer.inState`. */
  readonly secretsInState: boolean;
  readonly onAdopted: () => void;
  /** We hold more or less than before. */
  readonly onChanged: () => void;
}

/**
 * Which bundles are ours: taken when the supervisor grants them, lost when somebody holds them under a higher epoch, let go of when the
 * supervisor asks for them, given up when they are empty.
 */
export class Ownership {
  readonly handOver: HandOver;
  readonly #options: OwnershipOptions;
  readonly #bundles: Bundles;
  readonly #calls: CallTable;
  /** Set while we must ask the state whether our bundles are still ours. */
  #doubt: Promise<void> | undefined;
  /** The zone may speak until then, and who waits for a longer term. */
  #untilMs = Number.POSITIVE_INFINITY;
  /** Who waits for the next word that we may speak. */
  #nextTerm: Deferred | undefined;
  #lapsed: Deferred | undefined;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { clock, log, bundles, calls } = options;
    this.#bundles = bundles;
    this.#calls = calls;
    this.handOver = new HandOver({
      clock,
      log,
      bundles,
      calls,
      onForsaken: (forsaken) => void this.#onForsaken(forsaken),
    });
  }

  /** Defined while it is in doubt whether our bundles are still ours: nothing leaves until it resolves. */
  get doubt(): Promise<void> | undefined {
    if (this.#options.clock.nowMs() >= this.#untilMs) this.#lapse();
    return this.#lapsed?.promise ?? this.#doubt;
  }

  /**
   * The zone may speak until then; without end if absent. When that is over (our supervisor is cut off, or frozen, or dead) a twin on another
   * machine may hold our bundles already: nothing leaves until there is a new term and the state has said whose they are.
   */
  term(untilMs = Number.POSITIVE_INFINITY): void {
    if (untilMs > this.#untilMs || untilMs === Number.POSITIVE_INFINITY) {
      this.#nextTerm?.resolve();
      this.#nextTerm = undefined;
    }
    this.#untilMs = untilMs;
    if (this.#lapsed === undefined || this.#options.clock.nowMs() >= untilMs) return;
    this.#options.log.warn({}, 'switch.speaks_again');
    this.confirm();
    this.#lapsed.resolve();
    this.#lapsed = undefined;
  }

  /**
   * Resolves when somebody has said since that nobody adopts from us; undefined where nobody could. While the state is away only the twin says
   * so: one that cannot hear us either may be about to adopt.
   */
  get confirmedAnew(): Promise<void> | undefined {
    if (this.#untilMs === Number.POSITIVE_INFINITY) return undefined;
    this.#nextTerm ??= deferred();
    return this.#nextTerm.promise;
  }

  #lapse(): void {
    if (this.#lapsed !== undefined) return;
    this.#options.log.error({}, 'switch.says_nothing_more');
    this.#lapsed = deferred();
  }

  /** The supervisor grants: new bundles, or those of a former owner, whose calls are read. Resolves with how many those are. */
  async granted(bundles: ZoneToSwitch['grant']['bundles']): Promise<number> {
    const adopted = bundles.filter((bundle) => bundle.from !== undefined);
    const before = this.#calls.size;
    let done: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      done = resolve;
    });
    for (const bundle of bundles) {
      this.#bundles.hold(bundle, bundle.from === undefined ? Promise.resolve() : ready);
      this.handOver.cameBack(bundle.bundle);
    }
    try {
      const owned = bundles.map(({ bundle, epoch }) => ({ bundle, epoch }));
      // Not waited for: one may be frozen, and whatever we say to the others comes after it.
      this.#options.media.own(owned).catch(() => this.confirm());
      // The edges refuse the old epoch before the first call is read.
      await this.#options.edges.own(owned);
      await Promise.all(adopted.map(({ bundle }) => this.#adopt(bundle)));
    } finally {
      done();
    }
    const calls = this.#calls.size - before;
    if (adopted.length > 0) this.#options.log.warn({ bundles: adopted.length, calls }, 'bundles.adopted');
    for (const { bundle } of adopted) if (this.#bundles.isEmptyAdopted(bundle)) this.giveUp(bundle);
    this.#options.onChanged();
    return calls;
  }

  /** Somebody else holds this bundle under a higher epoch: we fall silent about it. */
  stale({ bundle, epoch }: BundleEpoch): void {
    const ours = this.#bundles.epochOf(bundle);
    if (ours === undefined || epoch <= ours) return;
    this.#lose(bundle, 'an edge knows a higher epoch');
  }

  /** Our loop stood still, or somebody says that a bundle is not ours: the state knows. */
  confirm(): void {
    const { state, log } = this.#options;
    this.#doubt ??= (async () => {
      for (const { bundle, epoch } of this.#bundles.all()) {
        const lease = await state.lease(bundle);
        if (lease !== undefined && lease.epoch > epoch) this.#lose(bundle, 'the state has a higher epoch');
      }
    })()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'ownership.not_confirmed'))
      .finally(() => {
        this.#doubt = undefined;
      });
  }

  /** An adopted bundle whose last call has gone. */
  giveUp(bundle: BundleId): void {
    const epoch = this.#bundles.epochOf(bundle);
    if (epoch === undefined) return;
    this.#bundles.drop(bundle);
    this.#options.edges.release([bundle]);
    this.#release(bundle, epoch);
  }

  async #adopt(bundle: BundleId): Promise<void> {
    const { state, directories, log } = this.#options;
    for (const { snapshot } of directories.directories.accounts) {
      const [stored, secrets] = await Promise.all([
        state.list<Uint8Array>(snapshot.account, 'call', `${bundle}/`),
        this.#options.secretsInState
          ? state.list<Uint8Array>(snapshot.account, 'call-key', `${bundle}/`)
          : [],
      ]);
      const secretOf = new Map(secrets.map(({ key, value }) => [key.id, value]));
      await Promise.all(
        stored.map(async ({ value, key }) => {
          try {
            await this.#calls.adopt(value, bundle, secretOf.get(key.id));
            this.#options.onAdopted();
            this.#tellEdges(key.id.slice(bundle.length + 1) as CallId);
          } catch (error) {
            log.error({ key: key.id, error: String(error) }, 'call.not_adopted');
          }
        }),
      );
    }
  }

  /** What the dead owner knew of edges may be old: one that it had lost is back, or it died with the news of one. */
  #tellEdges(call: CallId): void {
    const running = this.#calls.get(call);
    if (running === undefined) return;
    for (const edge of this.#options.edges.gone)
      void this.#calls.handle(running, { type: 'edge', edge, up: false });
    for (const edge of this.#options.edges.here)
      void this.#calls.handle(running, { type: 'edge', edge, up: true });
  }

  /** Nobody said what became of bundles that we let go: the state knows. */
  async #onForsaken(bundles: readonly BundleId[]): Promise<void> {
    const { id, state, log } = this.#options;
    for (const bundle of bundles) {
      const lease = await state.lease(bundle).catch(() => undefined);
      const epoch = this.#bundles.epochOf(bundle);
      log.warn({ bundle, owner: lease?.owner }, 'bundle.forsaken');
      if (lease !== undefined && lease.owner === id && lease.epoch === epoch)
        await this.granted([{ bundle, epoch, from: lease.zone }]);
      else this.handOver.goneOver([bundle]);
    }
  }

  #lose(bundle: BundleId, why: string): void {
    this.#options.log.warn({ bundle, why }, 'bundle.lost');
    this.#bundles.drop(bundle);
    this.#calls.dropBundle(bundle);
  }

  #release(bundle: BundleId, epoch: number): void {
    const { state, clock, log } = this.#options;
    state.release({ bundle, epoch }).catch((error: unknown) => {
      log.warn({ bundle, error: String(error) }, 'bundle.not_released');
      const isLost = error instanceof TwinlineError && error.code === 'fenced';
      if (!isLost) clock.after(RELEASE_RETRY_MS, () => this.#release(bundle, epoch));
    });
  }
}
