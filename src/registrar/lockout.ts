import { createHash } from 'node:crypto';
import { type AccountId, encodeBase32 } from '../base/index.ts';
import type { StateKey, StatePort } from '../state/index.ts';

/** PH-EDGE-11: ten wrong passwords within five minutes lock that source for that user, until they are five minutes old. */
export const WRONG_PASSWORDS = 10;
export const WITHIN_MS = 5 * 60_000;
const PAIRS_KEPT = 20_000;
/** A source that tries many names fills our memory up to a bound, but not the state: beyond this many names its failures stay here. */
const PAIRS_STORED_PER_SOURCE = 100;

interface Failures {
  readonly v: 1;
  readonly failedUtcMs: readonly number[];
}

/**
 * Counts wrong passwords per source and user name, whether or not the name exists. Kept in the state, so that both zones and all
 * switches agree; counted here as well, because many requests can come in before the first is written.
 */
export class Lockouts {
  readonly #state: Pick<StatePort, 'get' | 'commit'>;
  /** In order of use: the first one is the one not seen for longest. */
  readonly #pairs = new Map<string, readonly number[]>();
  readonly #storedPerSource = new Map<string, { untilUtcMs: number; pairs: number }>();

  constructor(state: Pick<StatePort, 'get' | 'commit'>) {
    this.#state = state;
  }

  /** Whether this source may not try this name now. The state being away locks nobody out. */
  async isLocked(account: AccountId, source: string, sipUser: string, utcMs: number): Promise<boolean> {
    const key = keyOf(account, source, sipUser);
    const own = this.#pairs.get(key.id) ?? [];
    if (recent(own, utcMs).length >= WRONG_PASSWORDS) return true;
    try {
      const stored = await this.#state.get<Failures>(key);
      if (stored === undefined) return false;
      const all = merged(own, stored.value.failedUtcMs, utcMs);
      this.#remember(key.id, all);
      return all.length >= WRONG_PASSWORDS;
    } catch {
      return false;
    }
  }

  /** Resolves to whether the pair is locked from now on. Never rejects: the count here stays when the state is away. */
  async failed(account: AccountId, source: string, sipUser: string, utcMs: number): Promise<boolean> {
    const key = keyOf(account, source, sipUser);
    const before = recent(this.#pairs.get(key.id) ?? [], utcMs);
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
  failures.filter((at) => at > utcMs - WITHIN_MS);

/** The union: a failure that both lists hold counts once. */
const merged = (a: readonly number[], b: readonly number[], utcMs: number): number[] =>
  [...new Set([...recent(a, utcMs), ...recent(b, utcMs)])].sort((x, y) => x - y).slice(-WRONG_PASSWORDS);
