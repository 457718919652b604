import { type AccountId, type BundleId, type Clock, type Logger, TwinlineError } from '../base/index.ts';
import { parseRecordKey } from './keys.ts';
import type { Lease, StateKey, StateKind, Stored } from './port.ts';
import { visible } from './record.ts';
import type { RedisConnection } from './redis-connection.ts';
import {
  indexNamed,
  indexOfPrefix,
  indexPattern,
  LEASE_INDEX,
  memberPrefix,
  plainKey,
  type RedisIndex,
  recordPattern,
  redisKey,
  redisLeaseKey,
  redisLogKey,
} from './redis-keys.ts';
import { decodeRedisRecord } from './redis-record.ts';

/** Records of one page of a list: a call is some kilobytes, and the server does nothing else while it collects them. */
const PAGE = 250;
const SCAN_COUNT = '1000';
const NEVER_LAST = Buffer.of(0xff);
const POSITION = /^\d{1,16}-\d{1,10}$/;

/** The reading half of the Redis engine. */
export class RedisView {
  readonly #connection: RedisConnection;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(connection: RedisConnection, clock: Clock, log: Logger) {
    this.#connection = connection;
    this.#clock = clock;
    this.#log = log;
  }

  async get<T>(key: StateKey): Promise<Stored<T> | undefined> {
    const bytes = (await this.#connection.call('get', [redisKey(key)], 'again')) as Buffer | null;
    if (bytes === null) return undefined;
    const stored = this.#read<T>(key, bytes);
    if (stored instanceof TwinlineError) throw stored;
    return stored;
  }

  async list<T>(account: AccountId, kind: StateKind, idPrefix = ''): Promise<Stored<T>[]> {
    const members = memberPrefix(account, kind, idPrefix);
    const index = indexOfPrefix(account, kind, idPrefix);
    const found: Stored<T>[] = [];
    const add = (member: string, bytes: Buffer): void => {
      const stored = this.#read<T>(parseRecordKey(plainKey(account, kind, member))!, bytes);
      // One that cannot be read must not hide the others.
      if (stored instanceof TwinlineError) this.#log.error({ error: stored.message }, 'state.unreadable');
      else if (stored !== undefined) found.push(stored);
    };
    if (index !== undefined) await this.#page(index, members, add);
    else if (kind === 'call-index') await this.#scanRecords(account, kind, members, add);
    else {
      for (const key of await this.#scan(indexPattern(account, kind))) {
        const each = indexNamed(key, account, kind);
        if (each !== undefined) await this.#page(each, members, add);
      }
    }
    return found.sort((one, other) => (one.key.id < other.key.id ? -1 : one.key.id > other.key.id ? 1 : 0));
  }

  async lease(bundle: BundleId): Promise<Lease | undefined> {
    const fields = await this.#connection.call('hmget', [redisLeaseKey(bundle), ...LEASE_FIELDS], 'again');
    return leaseFrom(bundle, fields);
  }

  async leases(): Promise<Lease[]> {
    const members = (await this.#connection.call('zrange', [LEASE_INDEX, '0', '-1'], 'again')) as Buffer[];
    const bundles = members.map((member) => member.toString() as BundleId);
    const leases = await Promise.all(
      bundles.map(async (bundle) => {
        const lease = await this.lease(bundle);
        if (lease === undefined) {
          await this.#connection
            .script('prune', [redisLeaseKey(bundle), LEASE_INDEX], [bundle])
            .catch(() => {});
        }
        return lease;
      }),
    );
    return leases.filter((lease) => lease !== undefined);
  }

  /** A position that the server does not know, because it lost the entry, reads from the beginning: readers take an entry twice. */
  async read(
    account: AccountId,
    log: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ position: string; entry: unknown }[]> {
    const page: { position: string; entry: unknown }[] = [];
    let position = after !== undefined && POSITION.test(after) ? after : '';
    while (page.length === 0) {
      const found = (await this.#connection.script(
        'read',
        [redisLogKey(account, log)],
        [position, String(limit)],
        'again',
      )) as [Buffer, Buffer[]][];
      if (found.length === 0) break;
      for (const [id, [, json]] of found) {
        position = id.toString();
        try {
          page.push({ position, entry: JSON.parse(json?.toString('utf8') ?? '') as unknown });
        } catch {
          this.#log.error({ log, position }, 'state.log_entry_unreadable');
        }
      }
    }
    return page;
  }

  #read<T>(key: StateKey, bytes: Buffer): Stored<T> | TwinlineError | undefined {
    const found = decodeRedisRecord(bytes);
    try {
      if (found !== undefined) return visible<T>(key, found, this.#clock.utcMs());
    } catch {
      // No JSON.
    }
    return new TwinlineError(
      'state_unreadable',
      `${this.#connection.where} holds under ${redisKey(key).slice(0, 100)} what this release cannot read: another release or another program wrote it`,
    );
  }

  async #page(
    index: RedisIndex,
    members: string,
    add: (member: string, bytes: Buffer) => void,
  ): Promise<void> {
    const last = Buffer.concat([Buffer.from(`(${members}`), NEVER_LAST]);
    let first = `[${members}`;
    for (;;) {
      const page = (await this.#connection.script(
        'list',
        [index.key],
        [first, last, String(PAGE), index.prefix],
        'again',
      )) as (Buffer | null)[];
      for (let at = 0; at < page.length; at += 2) {
        const member = page[at]!.toString();
        const bytes = page[at + 1];
        if (bytes != null) add(member, bytes);
        first = `(${member}`;
      }
      if (page.length < 2 * PAGE) return;
    }
  }

  async #scanRecords(
    account: AccountId,
    kind: StateKind,
    members: string,
    add: (member: string, bytes: Buffer) => void,
  ): Promise<void> {
    const prefix = plainKey(account, kind, '');
    const keys = (await this.#scan(recordPattern(account, kind))).filter((key) =>
      key.startsWith(prefix + members),
    );
    await Promise.all(
      keys.map(async (key) => {
        const bytes = (await this.#connection.call('get', [key], 'again')) as Buffer | null;
        if (bytes !== null) add(key.slice(prefix.length), bytes);
      }),
    );
  }

  async #scan(pattern: string): Promise<string[]> {
    const keys = new Set<string>();
    let cursor = '0';
    do {
      const [next, found] = (await this.#connection.call(
        'scan',
        [cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT],
        'again',
      )) as [Buffer, Buffer[]];
      cursor = next.toString();
      for (const key of found) keys.add(key.toString());
    } while (cursor !== '0');
    return [...keys];
  }
}

const LEASE_FIELDS = ['e', 'o', 'z', 'r'] as const;

function leaseFrom(bundle: BundleId, fields: unknown): Lease | undefined {
  const [epoch, owner, zone, released] = (fields as (Buffer | null)[]).map((field) => field?.toString());
  if (epoch === undefined || owner === undefined || zone === undefined || released !== undefined)
    return undefined;
  return { bundle, epoch: Number(epoch), owner: owner as Lease['owner'], zone: zone as Lease['zone'] };
}
