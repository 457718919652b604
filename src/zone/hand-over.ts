import { type BundleId, type Logger, type SwitchId, TwinlineError, type ZoneId } from '../base/index.ts';
import type { HandedOver, ZoneToSwitch } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Child } from './children.ts';

/** Settling a switch's calls takes a few writes. One that takes longer hangs: its heartbeat deals with it, not we. */
const LET_GO_MS = 1_000;

export interface HandOverOptions {
  readonly zone: ZoneId;
  readonly state: StatePort;
  readonly log: Logger;
  /** The switches of this zone that can be reached. */
  readonly live: () => readonly Child[];
  /** Grants what `from` still holds to switches of the own zone that may have it; resolves when they have adopted. */
  readonly grant: (
    bundles: readonly BundleId[],
    from: SwitchId,
    may: (child: Child) => boolean,
  ) => Promise<unknown>;
  /** Undefined while the twin is away. Resolves when the twin's switches have adopted. */
  readonly twin:
    | (() => ((bundles: readonly BundleId[], to?: SwitchId) => Promise<unknown>) | undefined)
    | undefined;
}

/**
 * Moves bundles away from a switch that lives (PH-ZONE-19): it lets go, others are granted, it hears that it is over. Between the two it
 * neither speaks nor decides, so that a call never has two owners; should we die in between, the switch asks the state who owns.
 */
export class HandOvers {
  readonly #options: HandOverOptions;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** Everything that the switch holds goes to its siblings, or with `toTwin`, or without siblings, to the twin zone. */
  async empty(from: Child, toTwin: boolean): Promise<HandedOver> {
    const { state, zone, live, grant, twin } = this.#options;
    const held = (await state.leases()).filter((lease) => lease.owner === from.id && lease.zone === zone);
    if (held.length === 0) return { bundles: 0, calls: 0 };
    const isAdopter = (child: Child): boolean => child !== from && !child.draining;
    const hasSibling = !toTwin && live().some(isAdopter);
    const atTwin = twin?.();
    const give = hasSibling
      ? (bundles: readonly BundleId[]) => grant(bundles, from.id as SwitchId, isAdopter)
      : atTwin && ((bundles: readonly BundleId[]) => atTwin(bundles));
    if (give === undefined)
      throw new TwinlineError(
        'no_adopter',
        `${from.name} takes no new calls; the calls that it has stay with it, because no other switch could take them over now`,
      );
    return this.#move(
      from,
      held.map(({ bundle }) => bundle),
      give,
    );
  }

  /** One bundle, to a switch of either zone. */
  async migrate(from: Child, bundle: BundleId, to: SwitchId): Promise<HandedOver> {
    const { live, grant, twin } = this.#options;
    if (from.id === to) return { bundles: 0, calls: 0 };
    const isSibling = live().some((child) => child.id === to);
    const atTwin = twin?.();
    if (isSibling)
      return this.#move(from, [bundle], (bundles) =>
        grant(bundles, from.id as SwitchId, (child) => child.id === to),
      );
    if (atTwin === undefined)
      throw new TwinlineError('no_adopter', `switch ${to} is away, or takes no calls`);
    return this.#move(from, [bundle], (bundles) => atTwin(bundles, to));
  }

  async #move(
    from: Child,
    bundles: readonly BundleId[],
    give: (bundles: readonly BundleId[]) => Promise<unknown>,
  ): Promise<HandedOver> {
    const { log, grant } = this.#options;
    const channel = from.channel;
    if (channel === undefined) throw new TwinlineError('no_adopter', `${from.name} is away`);
    const asked = await channel.request({ kind: 'let-go', data: { bundles }, lane: 'priority' }, LET_GO_MS);
    const quiet = asked.data as ZoneToSwitch['let-go']['reply'];
    if (quiet.bundles.length === 0) return { bundles: 0, calls: 0 };
    try {
      await give(quiet.bundles);
    } catch (error) {
      log.error({ child: from.name, error: String(error) }, 'hand_over.failed');
      // Under a new epoch, so that whatever has become of the attempt cannot disturb it.
      await grant(quiet.bundles, from.id as SwitchId, (child) => child === from);
      throw error;
    }
    await channel.request(
      { kind: 'gone-over', data: { bundles: quiet.bundles }, lane: 'priority' },
      LET_GO_MS,
    );
    log.info({ child: from.name, bundles: quiet.bundles.length, calls: quiet.calls }, 'hand_over.done');
    return { bundles: quiet.bundles.length, calls: quiet.calls };
  }
}
