import {
  type BundleId,
  type Logger,
  newBundleId,
  type Random,
  type SwitchId,
  TwinlineError,
  type ZoneId,
} from '../base/index.ts';
import type { BundleEpoch, ZoneToSwitch } from '../link/index.ts';
import type { Lease, StatePort } from '../state/index.ts';
import type { Child } from './children.ts';
import { spreadBundles } from './spread.ts';

/** How many bundles a fresh switch gets: when it dies, that many pieces are shared out among its adopters. */
export const BUNDLES_PER_SWITCH = 16;
/** A switch that takes longer to say that it adopted is watched by its heartbeat, not by this wait. */
export const GRANT_TIMEOUT_MS = 5_000;
/** A switch that did not take a grant, though it lives, is told again after this. */
const TELL_AGAIN_MS = 250;
/** While no switch of either zone lives. */
const SHARE_OUT_AGAIN_MS = 50;

export interface GrantsOptions {
  readonly zone: ZoneId;
  readonly twin: ZoneId | undefined;
  readonly random: Random;
  readonly state: StatePort;
  readonly log: Logger;
  /** The switches of this zone that can be reached. */
  readonly live: () => readonly Child[];
  /** Undefined while the twin is away. Resolves when the twin's switches have adopted. */
  readonly twinAdopts: () => ((bundles: readonly BundleId[]) => Promise<void>) | undefined;
  /** Unless the zone ends before. */
  readonly later: (delayMs: number, action: () => void) => void;
}

/**
 * Who gets which bundles: the lease is granted in the state, then its new owner is told. One thing after the other, because two deaths at
 * once must not grant one bundle twice.
 */
export class Grants {
  readonly #options: GrantsOptions;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** Resolves when all that was asked so far is done. */
  get settled(): Promise<void> {
    return this.#turn;
  }

  /** Does it when all that was asked before is done. A failure is logged, and rejects. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.then(
      () => undefined,
      (error: unknown) => this.#options.log.error({ error: String(error) }, 'adoption.failed'),
    );
    return result;
  }

  /** A switch that begins gets bundles of its own. */
  toNew(child: Child): Promise<void> {
    return this.serially(() => this.#grantFresh(child));
  }

  /** And one that was emptied, when it is to work again. */
  toEmpty(child: Child): Promise<void> {
    return this.serially(async () => {
      const leases = await this.#options.state.leases();
      if (!leases.some(({ owner }) => owner === child.id)) await this.#grantFresh(child);
    });
  }

  /** The bundles of a dead switch go to its siblings, to the twin when there is none, else to its own next life. */
  shareOut(dead: SwitchId): Promise<void> {
    return this.serially(() => this.#shareOut(dead));
  }

  /** Within a turn, when the twin zone is fenced: all that it held. */
  async adoptZone(dead: string): Promise<number> {
    const leases = await this.#options.state.leases();
    return this.#grant(leases.filter(({ zone }) => zone === dead).map(({ bundle }) => bundle));
  }

  /** For the twin, whose zone has no switch left for them, or hands them over. */
  adoptForTwin(bundles: readonly BundleId[], to: SwitchId | undefined): Promise<number> {
    const { twin } = this.#options;
    return this.grantHeld(
      bundles,
      ({ zone }) => zone === twin,
      (child) => (to === undefined ? this.#adopters().includes(child) : child.id === to),
    );
  }

  /** Grants what is still held so to those who still may: while it waited for its turn, either may have died. */
  grantHeld(
    bundles: readonly BundleId[],
    heldSo: (lease: Lease) => boolean,
    may: (child: Child) => boolean,
  ): Promise<number> {
    return this.serially(async () => {
      const asked = new Set(bundles);
      const leases = await this.#options.state.leases();
      const held = leases.filter((lease) => asked.has(lease.bundle) && heldSo(lease));
      if (held.length === 0) return 0;
      const adopters = this.#options.live().filter(may);
      if (adopters.length === 0)
        throw new TwinlineError('no_adopter', 'who was to take the calls over is away, or takes none');
      return this.#grant(
        held.map(({ bundle }) => bundle),
        adopters,
      );
    });
  }

  async #grantFresh(child: Child): Promise<void> {
    const { random, state, zone } = this.#options;
    const owner = child.id as SwitchId;
    const leases = await Promise.all(
      Array.from({ length: BUNDLES_PER_SWITCH }, () => state.grant(newBundleId(random), owner, zone)),
    );
    await this.#tell(child, leases, undefined);
  }

  async #shareOut(dead: SwitchId): Promise<void> {
    const { state, zone, log } = this.#options;
    const leases = await state.leases();
    const bundles = leases
      .filter((lease) => lease.owner === dead && lease.zone === zone)
      .map((lease) => lease.bundle);
    if (bundles.length === 0) return;
    if (this.#options.live().length > 0) {
      await this.#grant(bundles);
      return;
    }
    const twinAdopts = this.#options.twinAdopts();
    if (twinAdopts !== undefined) {
      try {
        await twinAdopts(bundles);
        return;
      } catch (error) {
        log.warn({ error: String(error) }, 'adoption.twin_refused');
      }
    }
    log.warn({ bundles: bundles.length }, 'adoption.waits_for_a_switch');
    this.#options.later(SHARE_OUT_AGAIN_MS, () => void this.shareOut(dead).catch(() => {}));
  }

  /** Grants bundles, evenly over these switches, and tells them to adopt. */
  async #grant(bundles: readonly BundleId[], among: readonly Child[] = this.#adopters()): Promise<number> {
    const { state, zone, log } = this.#options;
    if (among.length === 0) throw new Error('no live switch to grant to');
    await Promise.all(
      spreadBundles(bundles, among).map(async ({ child, share }) => {
        const leases = await Promise.all(
          share.map((bundle) => state.grant(bundle, child.id as SwitchId, zone)),
        );
        await this.#tell(child, leases, zone);
      }),
    ).catch((error: unknown) => log.error({ error: String(error) }, 'grant.failed'));
    return bundles.length;
  }

  async #tell(child: Child, leases: readonly BundleEpoch[], from: ZoneId | undefined): Promise<void> {
    const bundles = leases.map(({ bundle, epoch }) => ({
      bundle,
      epoch,
      ...(from === undefined ? {} : { from }),
    }));
    try {
      await child.channel?.request(
        { kind: 'grant', data: { bundles } satisfies Omit<ZoneToSwitch['grant'], 'reply'>, lane: 'priority' },
        GRANT_TIMEOUT_MS,
      );
    } catch (error) {
      // It died, and its exit shares the bundles out again; or it hangs, and its heartbeat deals with it.
      this.#options.log.warn({ child: child.name, error: String(error) }, 'grant.unanswered');
      // Or it only stood still, and drops as too late what it finds then.
      const isCurrent = this.#options.live().includes(child);
      if (isCurrent) this.#options.later(TELL_AGAIN_MS, () => void this.#tell(child, leases, from));
    }
  }

  /** What is being emptied takes nothing over, unless there is nobody else. */
  #adopters(): readonly Child[] {
    const live = this.#options.live();
    const staying = live.filter((child) => !child.draining);
    return staying.length > 0 ? staying : live;
  }
}
