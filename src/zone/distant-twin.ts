import { type Clock, type Logger, type Random, randomText, type Timer, type ZoneId } from '../base/index.ts';
import type { Channel, Frame, ZoneToMedia, ZoneToZone } from '../link/index.ts';
import { type MovingAddresses, REFRESH_MS } from '../native/index.ts';
import type { ZoneLeases, ZoneSeen } from '../state/index.ts';
import { Permission } from './permission.ts';

/** A promise that comes later is of no use. */
const PROMISE_WITHIN_MS = 1_000;
/** Media tell every second what they have. */
const TOLD_WITHIN_MS = 5_000;

/** The addresses of media, by media process. */
export type MediaAddresses = ReadonlyMap<string, string>;

export interface DistantTwinOptions {
  readonly zone: ZoneId;
  readonly leases: ZoneLeases;
  readonly addresses: {
    readonly own: MediaAddresses;
    readonly twins: MediaAddresses;
    readonly moving: MovingAddresses;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** To every child of ours, or to the media processes alone. */
  readonly tellChildren: (frame: Frame) => void;
  readonly tellMedia: (frame: Frame) => void;
  /** The twin speaks no more: its bundles are ours. */
  readonly adopt: () => Promise<number>;
  /** Our zone is the twin's: every process of ours must be dead at once. */
  readonly end: () => void;
}

/**
 * A twin on another machine: none of its processes can be ended from here. When it may speak no more (`Permission`), its media addresses
 * come to this machine, our media go on with its streams, and its bundles are granted to our switches.
 */
export class DistantTwin {
  readonly #options: DistantTwinOptions;
  readonly #permission: Permission;
  #channel: Channel | undefined;
  #term: { readonly untilMs?: number } = { untilMs: 0 };
  /** On this machine, and since when. */
  readonly #held = new Map<string, number>();
  /** Of our own, those that the twin says it has; undefined before it said so. */
  #theirs: ReadonlySet<string> | undefined;
  /** Addresses by which a media process of ours has streams. */
  readonly #inUse = new Map<string, ReadonlySet<string>>();
  /** One move after the other. */
  #moves: Promise<void> = Promise.resolve();
  #refresh: Timer | undefined;
  #stopped = false;

  constructor(options: DistantTwinOptions) {
    this.#options = options;
    const { clock, random, log, leases, zone } = options;
    this.#permission = new Permission({
      clock,
      log,
      leases,
      holder: `${zone}-${randomText(random, 10)}`,
      onTerm: (untilMs) => this.#onTerm(untilMs),
      askTwin: (holder) => this.#ask(holder),
      onTwinSilent: (spokeUntilMs) => this.#adopt(spokeUntilMs),
      onLost: () => {
        this.#stopped = true;
        // The addresses after the processes: what is on its way finds nobody rather than us.
        options.end();
      },
    });
  }

  /** Resolves when the zone is ours and its processes may start. */
  async begin(): Promise<void> {
    await this.#permission.begin();
    this.#tick();
  }

  connected(channel: Channel): void {
    this.#channel = channel;
    this.#theirs = undefined;
    this.#permission.connected(true);
    this.#tellHeld();
  }

  disconnected(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = undefined;
    this.#permission.connected(false);
  }

  /** What concerns us of what the twin says; undefined: somebody else's. */
  onFrame(frame: Frame): Frame | undefined {
    switch (frame.kind) {
      case 'promise': {
        const { holder } = frame.data as ZoneToZone['promise'];
        return { kind: 'promise', data: { promised: this.#permission.promise(holder) } };
      }
      case 'holds':
        this.#theirs = new Set((frame.data as ZoneToZone['holds']).addresses);
        this.#settleAddresses();
        return undefined;
      case 'media-died':
        this.#mediaDiedThere(frame.data as ZoneToZone['media-died']);
        return undefined;
      case 'leaves':
        this.#permission.twinLeft((frame.data as ZoneToZone['leaves']).lease);
        return undefined;
      default:
        return undefined;
    }
  }

  /** A child of ours can be told. */
  childUp(channel: Channel, role: string, id: string): void {
    channel.send({ kind: 'term', data: this.#term, lane: 'priority' });
    if (role === 'media') this.#tellAddress(id, channel);
  }

  /** A media process of ours is dead: the twin's goes on with its streams, at its address. */
  async mediaDied(id: string): Promise<void> {
    const channel = this.#channel;
    const own = this.#options.addresses.own.get(id);
    const used = this.#inUse.get(id) ?? new Set();
    this.#inUse.delete(id);
    // Without the twin nobody knows the streams: the address waits here for the next life.
    if (channel?.open !== true) return;
    const addresses = [...this.#held.keys()].filter((address) => address === own || used.has(address));
    this.#theirs = new Set([...(this.#theirs ?? []), ...addresses]);
    await Promise.all(addresses.map((address) => this.#move('leave', address)));
    channel.send({ kind: 'media-died', data: { media: id, addresses }, lane: 'priority' });
  }

  #mediaDiedThere({ media, addresses }: ZoneToZone['media-died']): void {
    const { own, twins } = this.#options.addresses;
    const known = new Set([...own.values(), ...twins.values()]);
    this.#theirs = this.#theirs && new Set([...this.#theirs].filter((one) => !addresses.includes(one)));
    const nowMs = this.#options.clock.nowMs();
    this.#takeMedia(
      [media],
      addresses.filter((address) => known.has(address)),
      nowMs,
    );
  }

  /** By which addresses that media process of ours has streams. */
  mediaUses(id: string, addresses: readonly string[]): void {
    this.#inUse.set(id, new Set(addresses));
    this.#settleAddresses();
  }

  /** All our processes have ended in order. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#refresh?.cancel();
    const lease: ZoneSeen = await this.#permission.leave();
    for (const address of [...this.#held.keys()]) await this.#move('leave', address);
    this.#channel?.send({ kind: 'leaves', data: { lease }, lane: 'priority' });
  }

  /** The processes are dead; so shall be what leads to them. */
  async dropAddresses(): Promise<void> {
    for (const address of [...this.#held.keys()]) await this.#move('leave', address);
  }

  async #ask(holder: string): Promise<boolean> {
    if (this.#channel?.open !== true) return false;
    const frame: Frame = { kind: 'promise', data: { holder }, lane: 'priority' };
    const reply = await this.#channel.request(frame, PROMISE_WITHIN_MS);
    return (reply.data as ZoneToZone['promise']['reply']).promised;
  }

  #onTerm(untilMs: number | undefined): void {
    this.#term = untilMs === undefined ? {} : { untilMs };
    this.#options.tellChildren({ kind: 'term', data: this.#term, lane: 'priority' });
  }

  #adopt(spokeUntilMs: number): void {
    const { addresses, adopt, log } = this.#options;
    const channel = this.#channel;
    this.#channel = undefined;
    this.#theirs = new Set();
    channel?.close('its zone was taken');
    const all = [...addresses.twins.values(), ...addresses.own.values()];
    this.#takeMedia([...addresses.twins.keys()], all, spokeUntilMs);
    adopt().then(
      (bundles) => log.info({ bundles }, 'twin.adopted'),
      () => {},
    );
    this.#settleAddresses();
  }

  /** First the address, then the word to go on: what media sends before it has the address does not leave. */
  #takeMedia(media: readonly string[], addresses: readonly string[], spokeUntilMs: number): void {
    const { tellMedia } = this.#options;
    const away = addresses.filter((address) => !this.#held.has(address));
    void Promise.all(away.map((address) => this.#move('take', address))).then(() => {
      const data: ZoneToMedia['take-over'] = { media, spokeUntilMs };
      tellMedia({ kind: 'take-over', data, lane: 'priority' });
      for (const id of this.#options.addresses.own.keys()) this.#tellAddress(id);
      this.#tellHeld();
    });
  }

  /** Our own addresses come here when nobody else has them; the twin's go back when nobody here uses them. */
  #settleAddresses(): void {
    if (this.#stopped) return;
    const { own, twins } = this.#options.addresses;
    const free = this.#theirs ?? (this.#permission.twinMayLive ? undefined : new Set<string>());
    for (const [id, address] of own) {
      if (free === undefined || free.has(address) || this.#held.has(address)) continue;
      void this.#move('take', address).then(() => this.#tellAddress(id));
    }
    const used = new Set([...this.#inUse.values()].flatMap((addresses) => [...addresses]));
    // With the twin away they wait: it is told when it is back.
    if (this.#channel?.open !== true) return;
    const nowMs = this.#options.clock.nowMs();
    for (const address of twins.values()) {
      const sinceMs = this.#held.get(address);
      // What was just taken over is not yet told of as used.
      if (sinceMs !== undefined && nowMs - sinceMs >= TOLD_WITHIN_MS && !used.has(address))
        void this.#move('leave', address).then(() => this.#tellHeld());
    }
  }

  #tellAddress(media: string, to?: Channel): void {
    const address = this.#options.addresses.own.get(media);
    const here = address !== undefined && this.#held.has(address);
    const frame: Frame = { kind: 'address', data: { media, here }, lane: 'priority' };
    if (to === undefined) this.#options.tellMedia(frame);
    else to.send(frame);
  }

  /** Of the twin's. */
  #tellHeld(): void {
    const addresses = [...this.#options.addresses.twins.values()].filter((one) => this.#held.has(one));
    this.#channel?.send({ kind: 'holds', data: { addresses }, lane: 'priority' });
  }

  #move(how: 'take' | 'leave', address: string): Promise<void> {
    const { addresses, log } = this.#options;
    if (how === 'take') this.#held.set(address, this.#options.clock.nowMs());
    else this.#held.delete(address);
    this.#moves = this.#moves.then(async () => {
      try {
        await addresses.moving[how](address);
        log.info({ address, how }, 'address.moved');
      } catch (error) {
        log.error({ address, how, error: String(error) }, 'address.not_moved');
      }
    });
    return this.#moves;
  }

  #tick(): void {
    if (this.#stopped) return;
    this.#refresh = this.#options.clock.after(REFRESH_MS, () => this.#tick());
    this.#settleAddresses();
    for (const address of this.#held.keys())
      this.#moves = this.#moves
        .then(() => (this.#held.has(address) ? this.#options.addresses.moving.keep(address) : undefined))
        .catch((error: unknown) =>
          this.#options.log.error({ address, error: String(error) }, 'address.not_kept'),
        );
  }
}
