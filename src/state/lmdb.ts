import { randomInt } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AccountId,
  type BundleId,
  type Clock,
  type Logger,
  type SwitchId,
  type Timer,
  TwinlineError,
  type ZoneId,
} from '../base/index.ts';
import { leaseKey, logHeadKey, recordKey } from './keys.ts';
import {
  type Environment,
  openOwn,
  refresh,
  TwinEnvironment,
  type Written,
  written,
} from './lmdb-environment.ts';
import { GATHER_LAZY_MS, GATHER_MS, GroupCommit } from './lmdb-group.ts';
import { LogAppender, nameIncarnation, zoneLog } from './lmdb-log.ts';
import { bootDirectory, bootName, durableDirectory, volatileDirectory } from './lmdb-paths.ts';
import { Sweeper } from './lmdb-sweep.ts';
import { LmdbView, leaseOf, type ZoneStores } from './lmdb-view.ts';
import type { Durability, Fence, Lease, StatePort, StateReader, Write } from './port.ts';
import { formatPosition } from './position.ts';
import { ReadingPort } from './reading.ts';
import { recordOf, TOMBSTONE_LIFE_MS } from './record.ts';
import { encodeRecord } from './record-bytes.ts';
import {
  checkGrantZone,
  epochAbove,
  fenced,
  isVolatileCommit,
  type LeaseRecord,
  releasedLease,
} from './rules.ts';

export interface LmdbOptions {
  /** The installation's data directory: environments are `<directory>/state/<zone>/{volatile/<boot>,durable}`. */
  readonly directory: string;
  readonly zone: ZoneId;
  readonly twin: ZoneId;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Names this boot of the machine (/proc/sys/kernel/random/boot_id). Volatile state lies in a directory of that name:
   * after a reboot it is meaningless, and without synchronous writes perhaps torn, so it is removed unopened.
   */
  readonly bootId: string;
  /** How long a deletion is remembered at least. Default 5 minutes. */
  readonly tombstoneLifeMs?: number;
  /**
   * How long after a flushed commit the next ones wait for each other, to be written and flushed together. Default 20 ms, and 50 ms
   * for commits of durable kinds with durability `volatile`.
   */
  readonly gatherMs?: number;
}

export interface LmdbState extends StatePort {
  /** Looks at the next slice of both environments and drops the dead. Done by itself every two seconds. */
  sweep(): Promise<number>;
}

const MAX_GRANT_ATTEMPTS = 1000;
const CLOSE_MS = 2000;

/**
 * The embedded engine, for a process of `zone`. Rejects with `state_open_failed` naming the directory. A process opens one
 * zone: lmdb shares what is opened twice. Opening waits for the zone's write lock, for as long as a frozen sibling has it.
 */
export async function openLmdbState(options: LmdbOptions): Promise<LmdbState> {
  const { directory, zone, twin, bootId } = options;
  const volatile = await openOwn(bootDirectory(directory, zone, bootId), true);
  const durable = await openOwn(durableDirectory(directory, zone), false);
  await nameIncarnation(durable.store);
  await removeOtherBoots(volatileDirectory(directory, zone), bootName(bootId));
  return new LmdbPort(options, volatile, durable, twinsOf(options, twin));
}

/**
 * A process that only reads, such as an edge: it makes nothing, and reads without any lock. Only while it opens an environment does it have the
 * zone's write lock, for a fraction of a millisecond, and it waits for it no longer than a quarter of a second, so that nobody who is frozen
 * holds it up. What is not there yet is seen when it comes.
 */
export function openLmdbReader(options: LmdbOptions): StateReader {
  const own = twinsOf(options, options.zone);
  const twin = twinsOf(options, options.twin);
  const view = new LmdbView(storesOf(options.zone, own), storesOf(options.twin, twin), options.clock);
  return Object.assign(view, {
    async close() {
      for (const environment of [own.volatile, own.durable, twin.volatile, twin.durable])
        await environment.close();
    },
  });
}

interface ReadOnlyZone {
  readonly volatile: TwinEnvironment;
  readonly durable: TwinEnvironment;
}

const twinsOf = ({ directory, bootId, clock, log }: LmdbOptions, zone: ZoneId): ReadOnlyZone => ({
  volatile: new TwinEnvironment(bootDirectory(directory, zone, bootId), clock, log),
  durable: new TwinEnvironment(durableDirectory(directory, zone), clock, log),
});

const storesOf = (zone: ZoneId, { volatile, durable }: ReadOnlyZone): ZoneStores => ({
  zone,
  volatile: () => volatile.store,
  durable: () => durable.store,
});

/** Nobody of this boot has them open. */
async function removeOtherBoots(path: string, boot: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (name !== boot) await rm(join(path, name), { recursive: true, force: true });
  }
}

class LmdbPort extends ReadingPort implements LmdbState {
  readonly capabilities = { engine: 'lmdb', acrossMachines: false } as const;
  readonly #options: LmdbOptions;
  readonly #volatile: Environment;
  readonly #durable: Environment;
  readonly #twin: ReadOnlyZone;
  readonly #view: LmdbView;
  readonly #sweepers: readonly Sweeper[];
  readonly #appenders = new Map<string, LogAppender>();
  readonly #group: GroupCommit;
  /** Makes the versions of records differ, so that a sweep never drops what was just written anew. */
  #version = randomInt(1 << 20);

  constructor(options: LmdbOptions, volatile: Environment, durable: Environment, twin: ReadOnlyZone) {
    const view = new LmdbView(
      { zone: options.zone, volatile: () => refresh(volatile.store), durable: () => refresh(durable.store) },
      storesOf(options.twin, twin),
      options.clock,
    );
    super(view);
    this.#view = view;
    this.#options = options;
    this.#volatile = volatile;
    this.#durable = durable;
    this.#twin = twin;
    this.#group = new GroupCommit(durable, options.clock, {
      gatherMs: options.gatherMs ?? GATHER_MS,
      gatherLazyMs: options.gatherMs ?? GATHER_LAZY_MS,
      firstVersion: this.#version,
    });
    const sweeping = { ...options, tombstoneLifeMs: options.tombstoneLifeMs ?? TOMBSTONE_LIFE_MS };
    this.#sweepers = [
      new Sweeper(volatile, twin.volatile, sweeping),
      // A copy of a lease is of no use when the lease itself is gone, be it by a reboot.
      new Sweeper(durable, twin.durable, { ...sweeping, keepsLease: (key) => volatile.store.doesExist(key) }),
    ];
    for (const sweeper of this.#sweepers) sweeper.start();
  }

  async commit(
    writes: readonly Write[],
    { durability, fence }: { durability: Durability; fence?: Fence },
  ): Promise<void> {
    const volatile = isVolatileCommit(writes, durability);
    const utcMs = this.#options.clock.utcMs();
    const entries = writes.map((write) => {
      const key = recordKey(write.key);
      const before = write.updatedUtcMs === undefined ? this.#view.found(key, volatile, true) : undefined;
      return [key, encodeRecord(recordOf(write, fence?.epoch ?? 0, utcMs, before))] as const;
    });
    // The twin's grant lies in another environment: seen here, before, and for the rest by the order of epochs at reading.
    if (fence !== undefined && this.#view.twinEpoch(fence.bundle) > fence.epoch) throw fenced(fence);
    const condition = fence && { key: leaseKey(fence.bundle), version: fence.epoch };
    const lazy = durability === 'volatile';
    const { applied, flushed } = volatile
      ? await this.#writeVolatile(entries, condition)
      : await this.#group.write({ puts: entries, condition, lazy });
    if (!applied && fence !== undefined) throw fenced(fence);
    if (!lazy) await flushed;
  }

  #writeVolatile(
    puts: readonly (readonly [string, Buffer])[],
    condition: { readonly key: string; readonly version: number } | undefined,
  ): Promise<Written> {
    const { store } = this.#volatile;
    const put = (): void => {
      for (const [key, bytes] of puts) store.put(key, bytes, this.#version++);
    };
    return written(
      condition === undefined ? store.batch(put) : store.ifVersion(condition.key, condition.version, put),
    );
  }

  async grant(bundle: BundleId, owner: SwitchId, zone: ZoneId, atLeast = 0): Promise<Lease> {
    checkGrantZone(zone, this.#options.zone);
    const key = leaseKey(bundle);
    for (let attempt = 0; attempt < MAX_GRANT_ATTEMPTS; attempt++) {
      const own = refresh(this.#volatile.store).getEntry(key)?.version;
      const seen = Math.max(own ?? 0, this.#view.twinEpoch(bundle), atLeast);
      const lease: Lease = { bundle, owner, zone, epoch: epochAbove(seen, zone, this.#options.twin) };
      if (
        await this.#writeLease(key, own, {
          ...lease,
          released: false,
          updatedUtcMs: this.#options.clock.utcMs(),
        })
      ) {
        return lease;
      }
    }
    throw new TwinlineError('state_busy', `bundle ${bundle} could not be granted: others keep granting it`);
  }

  async release(fence: Fence): Promise<void> {
    const { zone, twin, clock } = this.#options;
    const key = leaseKey(fence.bundle);
    const lease = leaseOf(refresh(this.#volatile.store).get(key));
    if (lease === undefined || lease.released || lease.epoch !== fence.epoch) throw fenced(fence);
    if (this.#view.twinEpoch(fence.bundle) > fence.epoch) throw fenced(fence);
    const released = releasedLease(fence, lease, zone, twin, clock.utcMs());
    if (!(await this.#writeLease(key, fence.epoch, released))) throw fenced(fence);
  }

  async append(account: AccountId, log: string, entry: unknown): Promise<string> {
    const key = logHeadKey(account, log);
    let appender = this.#appenders.get(key);
    if (appender === undefined) {
      appender = new LogAppender(this.#durable, account, log);
      this.#appenders.set(key, appender);
    }
    const { zone, clock } = this.#options;
    const { incarnation } = zoneLog(this.#durable.store, zone, account, log);
    const number = await appender.append(entry, clock.utcMs());
    return formatPosition(new Map([[zone, { incarnation, number }]]));
  }

  async sweep(): Promise<number> {
    let dropped = 0;
    for (const sweeper of this.#sweepers) dropped += await sweeper.slice();
    return dropped;
  }

  async close(): Promise<void> {
    for (const sweeper of this.#sweepers) sweeper.stop();
    const closed = this.#group.close().then(async () => {
      await Promise.all([this.#volatile.close(), this.#durable.close()]);
    });
    // After a failed write lmdb waits for a flush that never comes.
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(CLOSE_MS, resolve);
    });
    await Promise.race([closed, late]);
    timer?.cancel();
    await this.#twin.volatile.close();
    await this.#twin.durable.close();
  }

  /**
   * The lease stands in both environments, so that a fence holds inside either's transaction. The volatile one decides
   * who holds the bundle; when this resolves, the durable one refuses the former holder too.
   */
  async #writeLease(key: string, before: number | undefined, lease: LeaseRecord): Promise<boolean> {
    const bytes = Buffer.from(JSON.stringify(lease));
    const write = async ({ store }: Environment, version: number | undefined): Promise<boolean> => {
      const put = (): void => void store.put(key, bytes, lease.epoch);
      const done = await written(
        version === undefined ? store.ifNoExists(key, put) : store.ifVersion(key, version, put),
      );
      return done.applied;
    };
    if (!(await write(this.#volatile, before))) return false;
    for (let attempt = 0; attempt < MAX_GRANT_ATTEMPTS; attempt++) {
      const copy = refresh(this.#durable.store).getEntry(key)?.version;
      if ((copy ?? 0) >= lease.epoch || (await write(this.#durable, copy))) return true;
    }
    throw new TwinlineError('state_busy', `the lease of bundle ${lease.bundle} could not be copied`);
  }
}
