import type { AccountId, BundleId } from '../base/index.ts';
import { leaseKey, logHeadKey, recordKey, recordRange } from './keys.ts';
import type { StateKey, StateKind } from './port.ts';

/**
 * `{partition}schema/account/kind/id`: the hash tag keeps what one transaction touches together. A bundle's lease and its calls (whose
 * ids begin with the bundle) are one partition, whatever else an account has is another. An entry of the call index is found without
 * knowing the bundle, so it has a place of its own.
 */
export function redisKey(key: StateKey): string {
  const plain = recordKey(key);
  return key.kind === 'call-index' ? plain : tag(partitionOf(key.account, key.kind, key.id)) + plain;
}

/** A sorted set with the ids (escaped) of one kind of one partition, so that they can be listed in order. */
export interface RedisIndex {
  readonly key: string;
  /** What stands before a member in its record's key. */
  readonly prefix: string;
}

/** Undefined where nothing is listed by those who serve calls. */
export function indexOf({ account, kind, id }: StateKey): RedisIndex | undefined {
  return kind === 'call-index' ? undefined : indexIn(partitionOf(account, kind, id), account, kind);
}

/** The one index that holds every id with this beginning, if it is one. */
export function indexOfPrefix(account: AccountId, kind: StateKind, idPrefix: string): RedisIndex | undefined {
  if (kind === 'call-index' || (isInBundle(kind) && !idPrefix.includes('/'))) return undefined;
  return indexIn(partitionOf(account, kind, idPrefix), account, kind);
}

/** Where changes of a kind are told. Messages know no databases, so its number is in the name. */
export const changeChannel = (database: number, account: AccountId, kind: StateKind): string =>
  `twinline/${database}/${kindPrefix(account, kind)}`.replaceAll(',', '%2c');

/** Glob that matches the indexes of a kind in every partition. */
export const indexPattern = (account: AccountId, kind: StateKind): string =>
  `{*}${globbed(kindPrefix(account, kind).slice(0, -1))}`;

export function indexNamed(key: string, account: AccountId, kind: StateKind): RedisIndex | undefined {
  const prefix = kindPrefix(account, kind);
  if (!key.endsWith(`}${prefix.slice(0, -1)}`)) return undefined;
  return { key, prefix: `${key}/` };
}

/** Glob that matches the records themselves of a kind that has no index. */
export const recordPattern = (account: AccountId, kind: StateKind): string =>
  `${globbed(kindPrefix(account, kind))}*`;

/** How a record's key goes on behind its kind. */
export const memberOf = (key: StateKey): string =>
  recordKey(key).slice(kindPrefix(key.account, key.kind).length);

export const memberPrefix = (account: AccountId, kind: StateKind, idPrefix: string): string =>
  recordRange(account, kind, idPrefix).start.slice(kindPrefix(account, kind).length);

export const plainKey = (account: AccountId, kind: StateKind, member: string): string =>
  kindPrefix(account, kind) + member;

export const redisLeaseKey = (bundle: BundleId): string => tag(bundle) + leaseKey(bundle);
/** A sorted set with the bundles that have a lease. */
export const LEASE_INDEX = '{leases}1//leases';

export const redisLogKey = (account: AccountId, log: string): string =>
  tag(account) + logHeadKey(account, log);

const kindPrefix = (account: AccountId, kind: StateKind): string => recordRange(account, kind, '').start;

function indexIn(partition: string, account: AccountId, kind: StateKind): RedisIndex {
  const prefix = tag(partition) + kindPrefix(account, kind);
  return { key: prefix.slice(0, -1), prefix };
}

function partitionOf(account: AccountId, kind: StateKind, id: string): string {
  const slash = isInBundle(kind) ? id.indexOf('/') : -1;
  return slash > 0 ? id.slice(0, slash) : account;
}

/** Their ids begin with the bundle. */
const isInBundle = (kind: StateKind): boolean => kind === 'call' || kind === 'call-key';

/** Percent signs too, so that two partitions never share a tag; lone surrogates have no UTF-8. */
const tag = (partition: string): string =>
  `{${partition.replace(/[%{}\u0000-\u001f\u007f]|\p{Surrogate}/gu, (char) => `%${char.charCodeAt(0).toString(16)}.`) || '%'}}`;

const globbed = (text: string): string => text.replace(/[\\*?[\]^]/g, '\\$&');
