import { createHash } from 'node:crypto';
import { type AccountId, encodeBase32 } from '../base/index.ts';
import type { StateKey, StatePort } from '../state/index.ts';

/** PH-EDGE-11: ten wrong passwords within five minutes lock that source for that user, until they are five minutes old. */
export const WRONG_PASSWORDS = 10;
export const WITHIN_MS = 5 * 60_000;
const PAIRS_KEPT = 20_000;
/** A source that tries many names fills our memory up to a bound, but not the state: beyond this many names its failures stay here. */
const PAIRS_STORED_PER_SOURCE = 100;
/** How old the knowledge may be who of an account has failed lately: reading it for each request costs a tenth of a REGISTER. */
const KNOWN_FOR_MS = 1000;
/** Under attack it is neither kept nor read again at once. */
const IDS_KEPT = 100;
const MANY_FOR_MS = 10_000;
const ACCOUNTS_KEPT = 1000;
const NONE: readonly number[] = [];

/** The pairs of an account that the state holds failures of. */
interface Failing {
  readonly utcMs: number;
  /** Undefined: not known, each is to be looked up. */
  readonly ids: ReadonlySet<string> | undefined;
}

interface Failures {
  readonly v: 1;
  readonly failedUtcMs: readonly number[];
}

/**
 * Counts wrong passwords per source and user name, whether or not the name exists. Kept in the state, so that both zones and all
 * switches agree; counted here as well, because many requests can come in before the first is written.
 */
export class Lockouts {
  readonly #state: Pick<StatePort, 'get' | 'list' | 'commit'>;
  readonly #failing = new Map<AccountId, Failing>();
  /** In order of use: the first one is the one not seen for longest. */
  readonly #pairs = new Map<string, readonly number[]>();
  readonly #storedPerSource = new Map<string, { untilUtcMs: number; pairs: number }>();

  constructor(state: Pick<StatePort, 'get' | 'list' | 'commit'>) {
    this.#state = state;
  }

  /**
   * Whether this source may not try this name now. The state being away locks nobody out. What other switches counted within the last
   * second may be missed, so that right passwords, which nearly all are, cost no reading of the state; `failed` misses nothing.
   */
  async isLocked(account: AccountId, source: string, sipUser: string, utcMs: number): Promise<boolean> {
    const failing = await this.#failingIn(account, utcMs);
    if (failing?.size === 0 && this.#pairs.size === 0) return false;
    const key = keyOf(account, source, sipUser);
    const own = recent(this.#pairs.get(key.id) ?? NONE, utcMs);
    if (own.length >= WRONG_PASSWORDS) return true;
    if (own.length === 0 && failing !== undefined && !failing.has(key.id)) return false;
    const stored = await this.#storedOf(key);
    if (stored.length === 0) return false;
    return this.#merge(key, stored, utcMs).length >= WRONG_PASSWORDS;
  }

  /** Resolves to whether the pair is locked from now on. Never rejects: the count here stays when the state is away. */
  async failed(account: AccountId, source: string, sipUser: string, utcMs: number): Promise<boolean> {
    const key = keyOf(account, source, sipUser);
    const stored = await this.#storedOf(key);
    // From here to the count without a pause: others of this pair may be failing at the same time.
    const before = this.#merge(key, stored, utcMs);
    // No two alike, or a union with what another switch stored would count them once.
    const all = [...before, Math.max(utcMs, (before.at(-1) ?? 0) + 1)].slice(-WRONG_PASSWORDS);
    const isNew = all.length === 1;
    this.#remember(key.id, all);
    if (this.#mayStore(source, utcMs, isNew)) {
      const value: Failures = { v: 1, failedUtcMs: all };
      const write = {
        op: 'put' as const,
        key,
        value,
        updatedUtcMs: all.at(-1)!,
        expiresUtcMs: utcMs + WITHIN_MS,
      };
      await this.#state.commit([write], { durability: 'durable' }).catch(() => {});
    }
    return all.length >= WRONG_PASSWORDS;
  }

  async #storedOf(key: StateKey): Promise<readonly number[]> {
    const stored = await this.#state.get<Failures>(key).catch(() => undefined);
    return stored?.value.failedUtcMs ?? NONE;
  }

  #merge(key: StateKey, stored: readonly number[], utcMs: number): readonly number[] {
    const own = this.#pairs.get(key.id) ?? NONE;
    if (stored.length === 0) return recent(own, utcMs);
    const all = merged(own, stored, utcMs);
    this.#remember(key.id, all);
    return all;
  }

  async #failingIn(account: AccountId, utcMs: number): Promise<ReadonlySet<string> | undefined> {
    const known = this.#failing.get(account);
    const goodForMs = known?.ids === undefined ? MANY_FOR_MS : KNOWN_FOR_MS;
    if (known !== undefined && utcMs >= known.utcMs && utcMs - known.utcMs < goodForMs) return known.ids;
    // Whoever comes while this one looks asks for its own pair.
    this.#keep(account, { utcMs, ids: undefined });
    const stored = await this.#state.list(account, 'lockout').catch(() => undefined);
    const ids =
      stored === undefined || stored.length > IDS_KEPT ? undefined : new Set(stored.map(({ key }) => key.id));
    this.#keep(account, { utcMs, ids });
    return ids;
  }

  #keep(account: AccountId, failing: Failing): void {
    this.#failing.delete(account);
    this.#failing.set(account, failing);
    if (this.#failing.size > ACCOUNTS_KEPT) this.#failing.delete(this.#failing.keys().next().value!);
  }

  #remember(id: string, failures: readonly number[]): void {
    this.#pairs.delete(id);
    this.#pairs.set(id, failures);
    if (this.#pairs.size > PAIRS_KEPT) this.#pairs.delete(this.#pairs.keys().next().value!);
  }

  #mayStore(source: string, utcMs: number, isNew: boolean): boolean {
    const known = this.#storedPerSource.get(source);
    if (known !== undefined && known.untilUtcMs > utcMs) {
      if (isNew) known.pairs++;
      return known.pairs <= PAIRS_STORED_PER_SOURCE;
    }
    this.#storedPerSource.delete(source);
    this.#storedPerSource.set(source, { untilUtcMs: utcMs + WITHIN_MS, pairs: 1 });
    if (this.#storedPerSource.size > PAIRS_KEPT)
      this.#storedPerSource.delete(this.#storedPerSource.keys().next().value!);
    return true;
  }
}

/** Names come from strangers: a hash bounds the key's length and alphabet. */
function keyOf(account: AccountId, source: string, sipUser: string): StateKey {
  const hash = createHash('sha256').update(`${source}\n${sipUser}`).digest();
  return { account, kind: 'lockout', id: encodeBase32(hash.subarray(0, 20)) };
}

const recent = (failures: readonly number[], utcMs: number): readonly number[] =>
  failures.length === 0 ? failures : failures.filter((at) => at > utcMs - WITHIN_MS);

/** The union: a failure that both lists hold counts once. */
const merged = (a: readonly number[], b: readonly number[], utcMs: number): number[] =>
  [...new Set([...recent(a, utcMs), ...recent(b, utcMs)])].sort((x, y) => x - y).slice(-WRONG_PASSWORDS);
