import {
  type AccountId,
  type BundleId,
  type Clock,
  type SwitchId,
  TwinlineError,
  type ZoneId,
} from '../base/index.ts';
import { leaseKey, logHeadKey, parseRecordKey, recordKey, recordRange } from './keys.ts';
import type { Durability, Fence, Lease, StateKey, StateKind, StatePort, Stored, Write } from './port.ts';
import { formatPosition, type LogEntry, mergeLogs, type ZoneLog } from './position.ts';
import {
  canSweep,
  type Found,
  isVolatile,
  newest,
  recordOf,
  type StateRecord,
  TOMBSTONE_LIFE_MS,
  visible,
} from './record.ts';
import {
  checkGrantZone,
  epochAbove,
  fenced,
  isVolatileCommit,
  type LeaseRecord,
  newestLease,
  releasedLease,
} from './rules.ts';

interface MemoryZone {
  readonly records: Map<string, StateRecord>;
  readonly leases: Map<string, LeaseRecord>;
  readonly logs: Map<string, LogEntry[]>;
  /** Where the sweep goes on. */
  sweep: Iterator<string>;
}

/** What zones share in unit tests and the simulator: each `open` gives one process's port into it. */
export class MemoryCluster {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #zones = new Map<ZoneId, MemoryZone>();
  readonly #restored = new Set<() => void>();

  /** `delayMs`: how long each operation takes; what it does happens at the end of that time. */
  constructor({ clock, delayMs = 0 }: { readonly clock: Clock; readonly delayMs?: number }) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** A port as a process of `zone` sees it; `twin` is whose environment it reads besides its own. */
  open(zone: ZoneId, twin: ZoneId): MemoryState {
    return new MemoryPort(
      this.#clock,
      this.#delayMs,
      zone,
      twin,
      this.#zone(zone),
      this.#zone(twin),
      this.#restored,
    );
  }

  /**
   * Gives how to lose what is written to volatile values from now on, deletions too, as a store does that fails over to a copy which was
   * behind. Leases and durable values stay: an engine that can lose them says them again itself.
   */
  remember(): () => void {
    const images = [...this.#zones.values()].map((zone) => [zone, new Map(zone.records)] as const);
    return () => {
      const isLost = (name: string): boolean => isVolatile(parseRecordKey(name)!.kind);
      for (const [{ records }, image] of images) {
        for (const name of [...records.keys()]) if (isLost(name) && !image.has(name)) records.delete(name);
        for (const [name, record] of image) if (isLost(name)) records.set(name, record);
      }
      for (const listener of [...this.#restored]) listener();
    };
  }

  #zone(id: ZoneId): MemoryZone {
    const found = this.#zones.get(id);
    if (found !== undefined) return found;
    const records = new Map<string, StateRecord>();
    const made: MemoryZone = { records, leases: new Map(), logs: new Map(), sweep: records.keys() };
    this.#zones.set(id, made);
    return made;
  }
}

export interface MemoryState extends StatePort {
  onRestored(listener: () => void): () => void;
  /** The engine cannot be reached: what is asked from now on `rejects` with `state_away` or `hangs` until `back`. */
  away(how: 'rejects' | 'hangs'): void;
  back(): void;
  /** How many records, tombstones included, this zone holds: to see that sweeping works. */
  recordCount(): number;
  /** Looks at up to `limit` records of this zone and drops the dead ones. Also done bit by bit with each commit. */
  sweep(limit: number): Promise<void>;
}

class MemoryPort implements MemoryState {
  readonly capabilities = { engine: 'memory', acrossMachines: false } as const;
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #zone: ZoneId;
  readonly #twin: ZoneId;
  readonly #own: MemoryZone;
  readonly #other: MemoryZone;
  readonly #restored: Set<() => void>;
  #away: 'rejects' | 'hangs' | undefined;
  #hanging: (() => void)[] = [];
  #closed = false;

  constructor(
    clock: Clock,
    delayMs: number,
    zone: ZoneId,
    twin: ZoneId,
    own: MemoryZone,
    other: MemoryZone,
    restored: Set<() => void>,
  ) {
    this.#restored = restored;
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#zone = zone;
    this.#twin = twin;
    this.#own = own;
    this.#other = other;
  }

  async get<T>(key: StateKey): Promise<Stored<T> | undefined> {
    const name = recordKey(key);
    await this.#turn();
    return visible<T>(key, this.#found(name, isVolatile(key.kind)), this.#clock.utcMs());
  }

  async list<T>(account: AccountId, kind: StateKind, idPrefix = ''): Promise<Stored<T>[]> {
    const { start, end } = recordRange(account, kind, idPrefix);
    await this.#turn();
    const names = new Set<string>();
    for (const zone of [this.#own, this.#other]) {
      for (const name of zone.records.keys()) if (name >= start && name < end) names.add(name);
    }
    const utcMs = this.#clock.utcMs();
    const found: Stored<T>[] = [];
    for (const name of names) {
      const stored = visible<T>(parseRecordKey(name)!, this.#found(name, isVolatile(kind)), utcMs);
      if (stored !== undefined) found.push(stored);
    }
    return found.sort(byId);
  }

  async commit(
    writes: readonly Write[],
    { durability, fence }: { durability: Durability; fence?: Fence },
  ): Promise<void> {
    const volatile = isVolatileCommit(writes, durability);
    // Encoded before waiting: a caller may change the value afterwards.
    const utcMs = this.#clock.utcMs();
    const records = writes.map((write) => {
      const name = recordKey(write.key);
      return [name, recordOf(write, fence?.epoch ?? 0, utcMs, this.#found(name, volatile))] as const;
    });
    await this.#turn();
    if (fence !== undefined) this.#check(fence);
    for (const [name, record] of records) this.#own.records.set(name, record);
    this.#sweep(2 * records.length);
  }

  async grant(bundle: BundleId, owner: SwitchId, zone: ZoneId, atLeast = 0): Promise<Lease> {
    checkGrantZone(zone, this.#zone);
    await this.#turn();
    const key = leaseKey(bundle);
    const seen = Math.max(
      this.#own.leases.get(key)?.epoch ?? 0,
      this.#other.leases.get(key)?.epoch ?? 0,
      atLeast,
    );
    const lease: Lease = { bundle, owner, zone, epoch: epochAbove(seen, this.#zone, this.#twin) };
    this.#own.leases.set(key, { ...lease, released: false, updatedUtcMs: this.#clock.utcMs() });
    return lease;
  }

  async lease(bundle: BundleId): Promise<Lease | undefined> {
    await this.#turn();
    const key = leaseKey(bundle);
    return newestLease(this.#own.leases.get(key), this.#other.leases.get(key));
  }

  async leases(): Promise<Lease[]> {
    await this.#turn();
    const keys = new Set([...this.#own.leases.keys(), ...this.#other.leases.keys()]);
    return [...keys]
      .sort()
      .map((key) => newestLease(this.#own.leases.get(key), this.#other.leases.get(key)))
      .filter((lease) => lease !== undefined);
  }

  async release(fence: Fence): Promise<void> {
    await this.#turn();
    const lease = this.#check(fence);
    this.#own.leases.set(
      leaseKey(fence.bundle),
      releasedLease(fence, lease, this.#zone, this.#twin, this.#clock.utcMs()),
    );
  }

  async append(account: AccountId, log: string, entry: unknown): Promise<string> {
    const key = logHeadKey(account, log);
    const utcMs = this.#clock.utcMs();
    const copy: unknown = JSON.parse(JSON.stringify(entry));
    await this.#turn();
    const entries = this.#own.logs.get(key) ?? [];
    this.#own.logs.set(key, entries);
    const number = entries.push({ number: entries.length + 1, utcMs, entry: copy });
    return formatPosition(new Map([[this.#zone, { incarnation: '', number }]]));
  }

  async read(
    account: AccountId,
    log: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ position: string; entry: unknown }[]> {
    const key = logHeadKey(account, log);
    await this.#turn();
    const logOf = (zone: ZoneId, { logs }: MemoryZone): ZoneLog => ({
      zone,
      incarnation: '',
      after: (number, most) => (logs.get(key) ?? []).slice(number, number + most),
    });
    return mergeLogs([logOf(this.#zone, this.#own), logOf(this.#twin, this.#other)], after, limit);
  }

  onRestored(listener: () => void): () => void {
    this.#restored.add(listener);
    return () => this.#restored.delete(listener);
  }

  /** As a process's death: what had not yet happened does not happen. */
  async close(): Promise<void> {
    this.#closed = true;
    this.back();
  }

  away(how: 'rejects' | 'hangs'): void {
    this.#away = how;
  }

  back(): void {
    this.#away = undefined;
    for (const goOn of this.#hanging.splice(0)) goOn();
  }

  recordCount(): number {
    return this.#own.records.size;
  }

  async sweep(limit: number): Promise<void> {
    await this.#turn();
    this.#sweep(limit);
  }

  #found(name: string, volatile: boolean): Found | undefined {
    const own = this.#own.records.get(name);
    const twin = this.#other.records.get(name);
    return newest(
      volatile,
      own && { record: own, zone: this.#zone },
      twin && { record: twin, zone: this.#twin },
    );
  }

  #check(fence: Fence): LeaseRecord {
    const key = leaseKey(fence.bundle);
    const own = this.#own.leases.get(key);
    const twinEpoch = this.#other.leases.get(key)?.epoch ?? 0;
    if (own === undefined || own.released || own.epoch !== fence.epoch || twinEpoch > fence.epoch)
      throw fenced(fence);
    return own;
  }

  #sweep(limit: number): void {
    const utcMs = this.#clock.utcMs();
    for (let looked = 0; looked < limit; looked++) {
      const { value: name, done } = this.#own.sweep.next();
      if (done) {
        this.#own.sweep = this.#own.records.keys();
        return;
      }
      const record = this.#own.records.get(name);
      if (record === undefined) continue;
      const twin = this.#other.records.get(name);
      const dead = canSweep(
        isVolatile(parseRecordKey(name)!.kind),
        { record, zone: this.#zone },
        twin && { record: twin, zone: this.#twin },
        utcMs,
        TOMBSTONE_LIFE_MS,
      );
      if (dead) this.#own.records.delete(name);
    }
  }

  /** What every operation waits for; what it does to the maps then happens in one go. */
  async #turn(): Promise<void> {
    if (this.#delayMs > 0) await new Promise<void>((resolve) => this.#clock.after(this.#delayMs, resolve));
    if (this.#away === 'hangs') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    if (this.#closed) throw new TwinlineError('state_closed', 'this port of the state was closed');
    if (this.#away === 'rejects') throw new TwinlineError('state_away', 'the state cannot be reached');
  }
}

const byId = (one: Stored<unknown>, other: Stored<unknown>): number =>
  one.key.id < other.key.id ? -1 : one.key.id > other.key.id ? 1 : 0;
