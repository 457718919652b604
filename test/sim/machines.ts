import type { ZoneId } from '../../src/base/index.ts';
import type { Channel, Frame, SwitchToEdge } from '../../src/link/index.ts';
import type { MovingAddresses } from '../../src/native/index.ts';
import { MemoryZones, type ZoneLeases } from '../../src/state/index.ts';
import { asPlain } from './fence-watch.ts';
import type { SimProcess } from './process.ts';
import type { ZoneName } from './world.ts';

/** The kernel takes an address away that was not kept so long. */
const ADDRESS_LIFE_MS = 6_000;
/** A program that puts an address on an interface. */
const MOVE_MS = 4;
/** What is asked of a store that hangs fails after that. */
const GIVEN_UP_MS = 1_000;
/** Links between machines are watched so (`link/place.ts`), here with fewer pings, for what they cost. */
export const PING = { everyMs: 700, timeoutMs: 1_500 };

/** Of the media process of each zone, wherever it is now. */
export const MEDIA_ADDRESS: Readonly<Record<ZoneName, string>> = { a: '10.81.9.1', b: '10.81.9.2' };

/** Only what a zone runs on its machine counts; edges have one of their own. */
export const machineOf = ({ role, id }: SimProcess): string => (role === 'edge' ? 'door' : id[0]!);

export interface MachinesOptions {
  readonly nowMs: () => number;
  readonly living: (zone: ZoneName) => readonly SimProcess[];
  /** How long the next operation of the store takes; undefined: it is not reached by that zone's machine. */
  readonly storeMs: (zone: ZoneName) => number | undefined;
}

/**
 * What two zones on two machines have beside their links: the leases in the store, and addresses of media that move. It keeps an account of
 * who may not speak any more: whatever lived of a zone when its twin took it.
 */
export class Machines {
  /** What was done that nobody on another machine can do, and who spoke that had been taken. */
  readonly broken: string[] = [];
  /** Whether the two zones' machines reach each other. */
  linked = true;
  readonly zones = new MemoryZones();
  readonly #options: MachinesOptions;
  /** By address: on which machines it is, and until when the kernel leaves it there. */
  readonly #holders = new Map<string, Map<ZoneName, number>>();
  /** Where the network takes it to be. */
  readonly #announced = new Map<string, ZoneName>();
  readonly #taken = new Set<number>();
  readonly #lives = new Map<ZoneName, string>();

  constructor(options: MachinesOptions) {
    this.#options = options;
  }

  /** Where packets to the address arrive. */
  at(address: string): ZoneName | undefined {
    const nowMs = this.#options.nowMs();
    const holders = [...(this.#holders.get(address) ?? [])].flatMap(([zone, untilMs]) =>
      untilMs > nowMs ? [zone] : [],
    );
    const announced = this.#announced.get(address);
    return announced !== undefined && holders.includes(announced) ? announced : holders[0];
  }

  /** As a supervisor on that machine moves them: what it began ends with it. */
  moving(zone: ZoneName, { clock }: SimProcess): MovingAddresses {
    const soon = () => new Promise<void>((resolve) => clock.after(MOVE_MS, resolve));
    const put = async (address: string): Promise<void> => {
      await soon();
      const holders = this.#holders.get(address) ?? new Map<ZoneName, number>();
      this.#holders.set(address, holders.set(zone, this.#options.nowMs() + ADDRESS_LIFE_MS));
    };
    return {
      take: async (address) => {
        await put(address);
        this.#announced.set(address, zone);
      },
      keep: put,
      leave: async (address) => {
        await soon();
        this.#holders.get(address)?.delete(zone);
      },
    };
  }

  /** The machine is off, or its launcher has taken them away. */
  loseAddresses(zone: ZoneName): void {
    for (const holders of this.#holders.values()) holders.delete(zone);
  }

  /** The launcher has seen every process of the zone dead, and says so (`cli/zone-death.ts`). */
  sayDead(zone: ZoneName): void {
    this.loseAddresses(zone);
    const life = this.#lives.get(zone);
    if (life === undefined || this.#options.storeMs(zone) === undefined) return;
    void this.#port(zone)
      .ended(life)
      .catch(() => {});
  }

  #port(zone: ZoneName): ZoneLeases {
    return this.zones.open(zone as ZoneId, (zone === 'a' ? 'b' : 'a') as ZoneId);
  }

  /** A supervisor's way to the leases: each operation takes time, and its result comes only to who lives. */
  leases(zone: ZoneName, { clock }: SimProcess): ZoneLeases {
    const port = this.#port(zone);
    const soon = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
    const run = async <T>(operation: () => Promise<T>): Promise<T> => {
      const ms = this.#options.storeMs(zone);
      await soon(ms === undefined ? GIVEN_UP_MS : ms / 2);
      if (ms === undefined || this.#options.storeMs(zone) === undefined) throw new Error('the store is away');
      const result = await operation();
      await soon(ms / 2);
      return result;
    };
    return {
      begin: (holder, over) =>
        run(async () => {
          const begun = await port.begin(holder, over);
          if (begun === 'begun') this.#lives.set(zone, holder);
          return begun;
        }),
      renew: (holder, count) => run(() => port.renew(holder, count)),
      claim: (holder, seen) =>
        run(async () => {
          const outcome = await port.claim(holder, seen);
          if (outcome === 'claimed')
            for (const { pid } of this.#options.living(zone === 'a' ? 'b' : 'a')) this.#taken.add(pid);
          return outcome;
        }),
      own: () => run(() => port.own()),
      ended: (holder) => run(() => port.ended(holder)),
    };
  }

  /** The store forgets that a zone was taken. */
  forget(): void {
    for (const zone of ['a', 'b']) this.zones.forget(zone as ZoneId);
  }

  /** To be said of whatever leaves a process for the world. */
  spoke(by: SimProcess, of: string): void {
    if (this.#taken.has(by.pid))
      this.broken.push(`${by.name}#${by.pid} spoke for ${of} after its zone was taken`);
  }

  /** The channel of a switch to an edge, with every message heard. */
  overheard(by: SimProcess, channel: Channel): Channel {
    const hear = (frame: Frame): void => {
      if (frame.kind !== 'sip') return;
      const { bundle } = frame.data as SwitchToEdge['sip'];
      // Answers to what belongs to no call, such as REGISTER, say what the state holds, whoever owns what. Into a link that has ended nobody speaks.
      if (bundle !== undefined && channel.open) this.spoke(by, `bundle ${bundle} to ${channel.peer.id}`);
    };
    return {
      ...asPlain(channel),
      get open() {
        return channel.open;
      },
      send: (frame) => {
        hear(frame);
        return channel.send(frame);
      },
      request: (frame, timeoutMs) => {
        hear(frame);
        return channel.request(frame, timeoutMs);
      },
    };
  }
}
