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
    const take = (zone: ZoneId, page: Page): void => {
      for (const { key, value } of page) {
        const record = decodeRecord(value);
        if (record === undefined) continue;
        newestByKey.set(key, newest(volatile, newestByKey.get(key), { record, zone })!);
      }
    };
    for (const { zone, store } of this.#stores(volatile)) {
      // Most lists are short, and each pause costs them more than the reading.
      const first = pageAt(store, range, range.start);
      take(zone, first);
      if (first.length < PAGE) continue;
      for await (const page of pagesAfter(store, range, first.at(-1)!.key)) take(zone, page);
    }
    if (newestByKey.size === 0) return [];
    const utcMs = this.#clock.utcMs();
    const list: Stored<T>[] = [];
    for (const [key, found] of newestByKey) {
      const stored = visible<T>(parseRecordKey(key)!, found, utcMs);
      if (stored !== undefined) list.push(stored);
    }
    return list.length < 2
      ? list
      : list.sort((one, other) => (one.key.id < other.key.id ? -1 : one.key.id > other.key.id ? 1 : 0));
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
    const logs = this.#stores(false).map(({ zone, store }) => zoneLog(store, zone, account, log));
    return mergeLogs(logs, after, limit);
  }

  /** The highest epoch that the twin zone has given for a bundle, released or not; 0 for none. */
  twinEpoch(bundle: BundleId): number {
    return this.#twin.volatile()?.getEntry(leaseKey(bundle))?.version ?? 0;
  }

  /** The version that counts, deleted or expired though it be. */
  found(key: string, volatile: boolean, headOnly: boolean): Found | undefined {
    return newest(
      volatile,
      foundIn(this.#own, key, volatile, headOnly),
      foundIn(this.#twin, key, volatile, headOnly),
    );
  }

  #stores(volatile: boolean): { readonly zone: ZoneId; readonly store: Store }[] {
    const stores: { readonly zone: ZoneId; readonly store: Store }[] = [];
    for (const source of [this.#own, this.#twin]) {
      const store = volatile ? source.volatile() : source.durable();
      if (store !== undefined) stores.push({ zone: source.zone, store });
    }
    return stores;
  }
}

function foundIn(source: ZoneStores, key: string, volatile: boolean, headOnly: boolean): Found | undefined {
  const store = volatile ? source.volatile() : source.durable();
  const record = decodeRecord(store?.get(key), headOnly);
  return record && { record, zone: source.zone };
}

export function leaseOf(bytes: Buffer | undefined): LeaseRecord | undefined {
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString('utf8')) as LeaseRecord);
}

function leasesIn(store: Store | undefined): Map<string, LeaseRecord> {
  const leases = new Map<string, LeaseRecord>();
  for (const { key, value } of store?.getRange(LEASE_RANGE) ?? []) leases.set(key, leaseOf(value)!);
  return leases;
}

type Page = readonly { readonly key: string; readonly value: Buffer }[];

const pageAt = (store: Store, { start, end }: KeyRange, from: string): Page => [
  ...store.getRange({ start: from, end, limit: PAGE, exclusiveStart: from !== start }),
];

async function* pagesAfter(store: Store, range: KeyRange, last: string): AsyncGenerator<Page> {
  for (let from = last; ; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const page = pageAt(store, range, from);
    yield page;
    if (page.length < PAGE) return;
    from = page.at(-1)!.key;
  }
}
