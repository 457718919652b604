import type { Clock, Logger, Timer } from '../base/index.ts';
import type { ZoneLeases, ZoneSeen } from '../state/index.ts';

/** For how long a zone may speak after its lease was renewed or its twin promised not to adopt. */
const TERM_MS = 2_000;
/** Of these the last part is given up: clocks of two machines do not run quite alike, and falling silent takes a moment. */
const MARGIN_MS = 150;
const RENEW_EVERY_MS = 250;
/** A lease that an earlier life of the zone left is ended by the twin; only where there is no twin the new life ends it. */
const FORMER_LIFE_MS = 3 * TERM_MS;

export interface PermissionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly leases: ZoneLeases;
  /** This life of the zone's supervisor: never the same twice. */
  readonly holder: string;
  /** We may speak until then (`Clock.nowMs`); undefined: without end, since nobody could adopt from us. */
  readonly onTerm: (untilMs: number | undefined) => void;
  /** Asks the twin for its promise. Rejects, or resolves false, when it gives none. */
  readonly askTwin: (holder: string) => Promise<boolean>;
  /** The twin says nothing any more, and is not let speak again in this life. It may have spoken until then. */
  readonly onTwinSilent: (spokeUntilMs: number) => void;
  /** Our zone was taken: all that is ours must end. */
  readonly onLost: () => void;
}

/**
 * Whether a zone may speak, and when its twin on another machine may not, where neither can end the other's processes (PH-ZONE-17).
 *
 * A zone speaks while its lease in the state was renewed, or its twin has promised not to adopt, less than a term ago. The twin takes the lease
 * (compare-and-set) when it has promised nothing and has seen no renewal for a whole term, both by its own clock. So a zone that is only
 * cut off from the state, or only from its twin, goes on and nobody adopts; one that is cut off from both falls silent before it is
 * adopted. A machine that has seen all processes of its zone dead says so in the lease, and nobody waits. Who has no twin that could adopt (none was met in this life, or it was taken) needs no permission.
 */
export class Permission {
  readonly #options: PermissionOptions;
  #timer: Timer | undefined;
  #stopped = false;
  #count = 0;
  /** Sent, not answered: the term is reckoned from the asking. */
  #renewedMs = Number.NEGATIVE_INFINITY;
  #promisedUsMs = Number.NEGATIVE_INFINITY;
  #renewing = false;
  #asking = false;
  #claiming = false;
  /** Nobody could adopt from us. */
  #alone = true;
  /** The life of the twin that has asked for our promise, and when it was given last. */
  #twin: { readonly holder: string; promisedMs: number } | undefined;
  /** The twin's lease as it was last, and when it was first seen so. */
  #seen: { readonly lease: ZoneSeen | undefined; readonly sinceMs: number } | undefined;
  #connected = false;
  /** The life of the twin that we took: whatever it says later, it speaks no more. */
  #taken: string | undefined;

  constructor(options: PermissionOptions) {
    this.#options = options;
  }

  /** Resolves when the zone is this life's. */
  async begin(): Promise<void> {
    const { clock, leases, holder, log } = this.#options;
    let former: { readonly seen: ZoneSeen; readonly sinceMs: number } | undefined;
    let isTold = false;
    while (!this.#stopped) {
      try {
        const nowMs = clock.nowMs();
        const isOver = former !== undefined && nowMs - former.sinceMs >= FORMER_LIFE_MS;
        const begun = await leases.begin(holder, isOver ? former?.seen : undefined);
        if (begun === 'begun') break;
        if (former?.seen.holder !== begun.holder || former.seen.count !== begun.count) {
          former = { seen: begun, sinceMs: clock.nowMs() };
          log.info({ former: begun.holder }, 'zone.former_life');
        }
      } catch (error) {
        if (!isTold) log.warn({ error: String(error) }, 'zone.begins_when_the_state_answers');
        isTold = true;
      }
      await new Promise<void>((resolve) => clock.after(RENEW_EVERY_MS, resolve));
    }
    this.#tell();
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** The twin can be asked, or no longer. */
  connected(on: boolean): void {
    this.#connected = on;
  }

  /** The twin asks us to promise that we do not adopt for a term. False: we are about to. */
  promise(holder: string): boolean {
    if (this.#claiming || this.#stopped || holder === this.#taken) return false;
    this.#twin = { holder, promisedMs: this.#options.clock.nowMs() };
    return true;
  }

  /** The zone has ended in order. Gives the word by which the twin knows that our lease need not run out. */
  async leave(): Promise<ZoneSeen> {
    this.stop();
    while (this.#renewing) await new Promise<void>((resolve) => this.#options.clock.after(1, resolve));
    return { holder: this.#options.holder, count: this.#count };
  }

  /** That word, from the twin. */
  twinLeft(lease: ZoneSeen): void {
    if (this.#twin?.holder !== lease.holder) return;
    this.#twin.promisedMs = Number.NEGATIVE_INFINITY;
    this.#seen = { lease, sinceMs: Number.NEGATIVE_INFINITY };
    this.#claim();
  }

  /** The twin's lease was renewed of late, or it is not known whether it was. */
  get twinMayLive(): boolean {
    if (this.#seen === undefined) return true;
    const { lease, sinceMs } = this.#seen;
    if (lease === undefined || lease.takenBy !== undefined || lease.ended) return false;
    return this.#options.clock.nowMs() - sinceMs < TERM_MS;
  }

  #tick(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(RENEW_EVERY_MS, () => this.#tick());
    void this.#renew();
    if (this.#connected) void this.#ask();
    this.#claim();
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    const { clock, leases, holder, onLost, log } = this.#options;
    const askedMs = clock.nowMs();
    try {
      const renewed = await leases.renew(holder, ++this.#count);
      if (this.#stopped) return;
      if (renewed === 'lost') {
        log.error({ holder }, 'zone.taken');
        this.stop();
        onLost();
        return;
      }
      this.#renewedMs = askedMs;
      const { twin } = renewed;
      const before = this.#seen?.lease;
      if (
        this.#seen === undefined ||
        before?.holder !== twin?.holder ||
        before?.count !== twin?.count ||
        before?.takenBy !== twin?.takenBy ||
        before?.ended !== twin?.ended
      )
        this.#seen = { lease: twin, sinceMs: clock.nowMs() };
      // The store lost its last second.
      if (twin !== undefined && twin.holder === this.#taken && twin.takenBy === undefined)
        await leases.claim(holder, twin);
      this.#tell();
      if (twin?.ended) this.#claim();
    } catch (error) {
      log.debug({ error: String(error) }, 'zone.not_renewed');
    } finally {
      this.#renewing = false;
    }
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    // Said before the twin can hear it: from then on there is one who may adopt.
    this.#alone = false;
    const askedMs = this.#options.clock.nowMs();
    try {
      if (await this.#options.askTwin(this.#options.holder)) this.#promisedUsMs = askedMs;
    } catch {
      // It is away, or hangs: that is what the term is for.
    } finally {
      this.#asking = false;
    }
    this.#tell();
  }

  #claim(): void {
    const { clock, leases, holder, log, onTwinSilent, onLost } = this.#options;
    const [twin, seen] = [this.#twin, this.#seen];
    const lease = seen?.lease;
    if (this.#claiming || twin === undefined || seen === undefined || lease?.holder !== twin.holder) return;
    const nowMs = clock.nowMs();
    // Without the store nobody takes anything, and who tries would give no promises meanwhile.
    if (nowMs - this.#renewedMs >= TERM_MS) return;
    const mayLive = nowMs - twin.promisedMs < TERM_MS || nowMs - seen.sinceMs < TERM_MS;
    if (mayLive && !lease.ended) return;
    this.#claiming = true;
    leases
      .claim(holder, lease)
      .then(
        (outcome) => {
          if (this.#stopped || outcome === 'changed') return;
          if (outcome === 'lost') {
            this.stop();
            onLost();
            return;
          }
          this.#twin = undefined;
          this.#taken = lease.holder;
          this.#connected = false;
          this.#alone = true;
          const spokeMs = Math.max(twin.promisedMs, seen.sinceMs) + TERM_MS - MARGIN_MS;
          const spokeUntilMs = Number.isFinite(spokeMs) ? Math.min(spokeMs, nowMs) : nowMs;
          log.warn({ twin: lease.holder, silentMs: Math.round(nowMs - spokeUntilMs) }, 'twin.taken');
          this.#tell();
          onTwinSilent(spokeUntilMs);
        },
        (error: unknown) => log.debug({ error: String(error) }, 'twin.not_taken'),
      )
      .finally(() => {
        this.#claiming = false;
      });
  }

  #tell(): void {
    if (this.#stopped) return;
    const untilMs = Math.max(this.#renewedMs, this.#promisedUsMs) + TERM_MS - MARGIN_MS;
    this.#options.onTerm(this.#alone ? undefined : untilMs);
  }
}
