import type { AccountId, BundleId, Clock, ZoneId } from '../base/index.ts';
import { type KeyRange, LEASE_RANGE, leaseKey, parseRecordKey, recordKey, recordRange } from './keys.ts';
import type { Store } from './lmdb-environment.ts';
import { zoneLog } from './lmdb-log.ts';
import type { Lease, StateKey, StateKind, StateReader, Stored } from './port.ts';
import { mergeLogs } from './position.ts';
import { type Found, isVolatile, newest, visible } from './record.ts';
import { decodeRecord } from './record-bytes.ts';
import { type LeaseRecord, newestLease } from './rules.ts';

/** One zone's environments as this process reads them. A store is good until the next await; undefined: not there. */
export interface ZoneStores {
  readonly zone: ZoneId;
  readonly volatile: () => Store | undefined;
  readonly durable: () => Store | undefined;
}

/** Entries that are read in one go before other work of the loop gets its turn. */
const PAGE = 1000;

/** Reads two zones as one. Takes no lock, so that nobody who is frozen or killed can hold it up. */
export class LmdbView implements Omit<StateReader, 'close'> {
  readonly capabilities = { engine: 'lmdb', acrossMachines: false } as const;
  readonly #own: ZoneStores;
  readonly #twin: ZoneStores;
  readonly #clock: Clock;

  constructor(own: ZoneStores, twin: ZoneStores, clock: Clock) {
    this.#own = own;
    this.#twin = twin;
    this.#clock = clock;
  }

  async get<T>(key: StateKey): Promise<Stored<T> | undefined> {
    const found = this.found(recordKey(key), isVolatile(key.kind), false);
    return visible<T>(key, found, this.#clock.utcMs());
  }

  async list<T>(account: AccountId, kind: StateKind, idPrefix = ''): Promise<Stored<T>[]> {
    const volatile = isVolatile(kind);
    const range = recordRange(account, kind, idPrefix);
    const newestByKey = new Map<string, Found>();
    for (const [zone, store] of this.#stores(volatile)) {
      for await (const page of pages(store, range)) {
        for (const { key, value } of page) {
          const record = decodeRecord(value);
          if (record === undefined) continue;
          newestByKey.set(key, newest(volatile, newestByKey.get(key), { record, zone })!);
        }
      }
    }
    const utcMs = this.#clock.utcMs();
    const list: Stored<T>[] = [];
    for (const [key, found] of newestByKey) {
      const stored = visible<T>(parseRecordKey(key)!, found, utcMs);
      if (stored !== undefined) list.push(stored);
    }
    return list.sort((one, other) => (one.key.id < other.key.id ? -1 : one.key.id > other.key.id ? 1 : 0));
  }

  async lease(bundle: BundleId): Promise<Lease | undefined> {
    const key = leaseKey(bundle);
    return newestLease(leaseOf(this.#own.volatile()?.get(key)), leaseOf(this.#twin.volatile()?.get(key)));
  }

  async leases(): Promise<Lease[]> {
    const own = leasesIn(this.#own.volatile());
    const twin = leasesIn(this.#twin.volatile());
    const keys = [...new Set([...own.keys(), ...twin.keys()])].sort();
    return keys.map((key) => newestLease(own.get(key), twin.get(key))).filter((lease) => lease !== undefined);
  }

  async read(
    account: AccountId,
    log: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ position: string; entry: unknown }[]> {
    const logs = this.#stores(false).map(([zone, store]) => zoneLog(store, zone, account, log));
    return mergeLogs(logs, after, limit);
  }

  /** The highest epoch that the twin zone has given for a bundle, released or not; 0 for none. */
  twinEpoch(bundle: BundleId): number {
    return this.#twin.volatile()?.getEntry(leaseKey(bundle))?.version ?? 0;
  }

  /** The version that counts, deleted or expired though it be. */
  found(key: string, volatile: boolean, headOnly: boolean): Found | undefined {
    let found: Found | undefined;
    for (const [zone, store] of this.#stores(volatile)) {
      const record = decodeRecord(store.get(key), headOnly);
      if (record !== undefined) found = newest(volatile, found, { record, zone });
    }
    return found;
  }

  #stores(volatile: boolean): [ZoneId, Store][] {
    const stores: [ZoneId, Store][] = [];
    for (const source of [this.#own, this.#twin]) {
      const store = volatile ? source.volatile() : source.durable();
      if (store !== undefined) stores.push([source.zone, store]);
    }
    return stores;
  }
}

export function leaseOf(bytes: Buffer | undefined): LeaseRecord | undefined {
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString('utf8')) as LeaseRecord);
}

function leasesIn(store: Store | undefined): Map<string, LeaseRecord> {
  const leases = new Map<string, LeaseRecord>();
  for (const { key, value } of store?.getRange(LEASE_RANGE) ?? []) leases.set(key, leaseOf(value)!);
  return leases;
}

async function* pages(
  store: Store,
  { start, end }: KeyRange,
): AsyncGenerator<{ key: string; value: Buffer }[]> {
  let from = start;
  for (;;) {
    const page = [...store.getRange({ start: from, end, limit: PAGE, exclusiveStart: from !== start })];
    yield page;
    if (page.length < PAGE) return;
    from = page.at(-1)!.key;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
