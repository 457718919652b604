import type { Term } from '../directory/index.ts';

/** What two data centres say to each other every second; question and answer are alike. */
export interface Meeting {
  readonly v: 1;
  readonly dataCentre: string;
  readonly terms: readonly Term[];
  readonly heads: Heads;
  /** Homes whose users have registered at the sender since it took them over. */
  readonly guests: readonly string[];
}

/** Which snapshot of each account counts there. */
export type Heads = readonly { readonly account: string; readonly number: number; readonly digest: string }[];

const MAX_ENTRIES = 10_000;
const WHY: ReadonlySet<string> = new Set<Term['why']>(['first', 'lost', 'returned', 'kept', 'unsure']);

/** Undefined for what is none. A later version may add; what we know must be as we know it. */
export function readMeeting(data: unknown): Meeting | undefined {
  const { dataCentre, terms, heads, guests = [] } = (data ?? {}) as Record<string, unknown>;
  if (typeof dataCentre !== 'string' || !Array.isArray(terms) || !Array.isArray(heads)) return undefined;
  if (terms.length > MAX_ENTRIES || heads.length > MAX_ENTRIES) return undefined;
  if (!Array.isArray(guests) || !guests.every((home) => typeof home === 'string')) return undefined;
  return terms.every(isTerm) && heads.every(isHead) ? { v: 1, dataCentre, terms, heads, guests } : undefined;
}

function isTerm(data: unknown): data is Term {
  const { home, serving, number, sinceUtcMs, why } = (data ?? {}) as Record<string, unknown>;
  return (
    typeof home === 'string' &&
    typeof serving === 'string' &&
    Number.isSafeInteger(number) &&
    Number.isFinite(sinceUtcMs) &&
    typeof why === 'string' &&
    WHY.has(why)
  );
}

function isHead(data: unknown): data is Heads[number] {
  const { account, number, digest } = (data ?? {}) as Record<string, unknown>;
  return typeof account === 'string' && Number.isSafeInteger(number) && typeof digest === 'string';
}

/** For `twinline status`. */
export interface DataCentresStatus {
  readonly here: string;
  readonly region: string;
  /** Of our own users and of those whose secondary we are. */
  readonly serving: readonly {
    readonly home: string;
    readonly serving: string;
    readonly number: number;
    readonly sinceUtcMs: number;
    readonly why: Term['why'];
  }[];
  readonly peers: readonly {
    readonly id: string;
    readonly state: 'met' | 'lost' | 'never met';
    readonly silentSec: number;
    /** Accounts whose configuration there is another under the same number. */
    readonly differing?: readonly string[];
  }[];
}
