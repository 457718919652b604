import { type AccountId, type BundleId, TwinlineError } from '../base/index.ts';
import type { StateKey, StateKind } from './port.ts';

/** The layout of keys: `schema/account/kind/id`. Version N of the product reads N and N−1. */
export const SCHEMA = 1;
/** LMDB's limit is 1,978 bytes with pages of 4 KiB. */
const MAX_KEY_BYTES = 1500;
/** Sorts behind every continuation of a key. */
const LAST = '\u{10ffff}';

export interface KeyRange {
  readonly start: string;
  readonly end: string;
}

/** The whole schema: what the sweeper walks. Logs lie outside. */
export const ALL_RECORDS: KeyRange = { start: `${SCHEMA}/`, end: `${SCHEMA}/${LAST}` };

export function recordKey({ account, kind, id }: StateKey): string {
  return checked(`${kindPrefix(account, kind)}${escaped(id)}`);
}

export function recordRange(account: AccountId, kind: StateKind, idPrefix: string): KeyRange {
  const start = checked(`${kindPrefix(account, kind)}${escaped(idPrefix)}`);
  return { start, end: start + LAST };
}

/** Undefined for what is no record, such as a lease. */
export function parseRecordKey(key: string): StateKey | undefined {
  const [, account, kind, ...rest] = key.split('/');
  if (account === undefined || kind === undefined || kind === LEASE) return undefined;
  return {
    account: unescaped(account) as AccountId,
    kind: kind as StateKind,
    id: unescaped(rest.join('/')),
  };
}

const LEASE = 'lease';
/** Leases belong to no account: a bundle holds calls of many. */
const LEASES = `${SCHEMA}//${LEASE}/`;
export const leaseKey = (bundle: BundleId): string => checked(LEASES + escaped(bundle));
export const LEASE_RANGE: KeyRange = { start: LEASES, end: LEASES + LAST };
export const isLeaseKey = (key: string): boolean => key.startsWith(LEASES);

/** The log's head: its version is the number of the last entry. */
export const logHeadKey = (account: AccountId, log: string): string =>
  checked(`head/${SCHEMA}/${segment(account)}/${segment(log)}`);
const logPrefix = (account: AccountId, log: string): string =>
  checked(`log/${SCHEMA}/${segment(account)}/${segment(log)}/`);
export const logEntryKey = (account: AccountId, log: string, number: number): string =>
  logPrefix(account, log) + padded(number);
export const logRangeAfter = (account: AccountId, log: string, number: number): KeyRange => ({
  start: logPrefix(account, log) + padded(number + 1),
  end: logPrefix(account, log) + LAST,
});
export const numberOfLogKey = (key: string): number => Number(key.slice(key.lastIndexOf('/') + 1));

/** Sixteen digits hold every safe integer, and sort as numbers do. */
const padded = (number: number): string => String(number).padStart(16, '0');

const kindPrefix = (account: AccountId, kind: StateKind): string => `${SCHEMA}/${segment(account)}/${kind}/`;

const segment = (text: string): string => escaped(text).replaceAll('/', '%2f');

/** Control characters end or bend LMDB's ordered keys; lone surrogates have no UTF-8. */
const escaped = (text: string): string => (/^[ -$&-~]*$/.test(text) ? text : escapedRarely(text));

const escapedRarely = (text: string): string =>
  text.replace(/[%\u0000-\u001f\u007f]|\p{Surrogate}/gu, (char) => {
    const code = char.charCodeAt(0);
    return code > 255 ? `%u${code.toString(16)}` : `%${code.toString(16).padStart(2, '0')}`;
  });

const unescaped = (text: string): string =>
  text.replace(
    /%(?:u([0-9a-f]{4})|([0-9a-f]{2}))/g,
    (_, long: string | undefined, short: string | undefined) =>
      String.fromCharCode(Number.parseInt(long ?? short ?? '', 16)),
  );

function checked(key: string): string {
  // Three bytes at most per UTF-16 unit: the exact count only where it can matter.
  if (key.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(key) <= MAX_KEY_BYTES) return key;
  throw new TwinlineError(
    'state_key_too_long',
    `the key ${key.slice(0, 60)}… has more than ${MAX_KEY_BYTES} bytes: use a shorter id`,
  );
}
