import type { Clock, Logger, Timer, ZoneId } from '../base/index.ts';
import { ALL_RECORDS, isLeaseKey, parseRecordKey } from './keys.ts';
import { type Environment, refresh, type TwinEnvironment, written } from './lmdb-environment.ts';
import { canSweep, isVolatile } from './record.ts';
import { decodeRecord } from './record-bytes.ts';
import type { LeaseRecord } from './rules.ts';

const STATE_KEY = 'meta/sweep';
const EVERY_MS = 2000;
/** While nothing is found dead: an installation at rest shall sleep. */
const IDLE_EVERY_MS = 10_000;
const SLICE = 1000;

interface SweepState {
  /** UTC, because processes of the zone agree on it by the environment; a wrong wall clock only delays a sweep. */
  readonly utcMs: number;
  readonly cursor: string;
}

/**
 * Drops what is dead, in slices, so that the loop is never held for more than a few milliseconds. All processes of a
 * zone offer to; the cursor lies in the environment, and whoever moves it first does the slice.
 */
export class Sweeper {
  readonly #own: Environment;
  readonly #twin: TwinEnvironment;
  readonly #zones: { readonly zone: ZoneId; readonly twin: ZoneId };
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #tombstoneLifeMs: number;
  readonly #keepsLease: (key: string) => boolean;
  #timer: Timer | undefined;
  #stopped = false;
  #foundDead = false;

  constructor(
    own: Environment,
    twin: TwinEnvironment,
    options: {
      readonly zone: ZoneId;
      readonly twin: ZoneId;
      readonly clock: Clock;
      readonly log: Logger;
      readonly tombstoneLifeMs: number;
      /** Whether a lease that was not released is still of use. */
      readonly keepsLease?: (key: string) => boolean;
    },
  ) {
    this.#own = own;
    this.#twin = twin;
    this.#zones = options;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#tombstoneLifeMs = options.tombstoneLifeMs;
    this.#keepsLease = options.keepsLease ?? (() => true);
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.after(this.#foundDead ? EVERY_MS : IDLE_EVERY_MS, () => {
      // The next only after this one: while a frozen sibling holds the lock nothing piles up.
      this.#offer()
        .catch((error) => {
          if (!this.#stopped) this.#log.warn({ error }, 'state.sweep_failed');
        })
        .finally(() => this.start());
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** One slice, whoever's turn it is. Returns how many records were dropped. */
  async slice(): Promise<number> {
    const before = refresh(this.#own.store).getEntry(STATE_KEY);
    const { cursor } = readState(before?.value);
    const { dead, next } = this.#look(cursor);
    this.#foundDead = dead.length > 0;
    if (!(await this.#claim(before?.version, next))) return 0;
    const removals = await Promise.all(
      dead.map(({ key, version }) => written(this.#own.store.remove(key, version))),
    );
    // Readers that were killed leave their places behind, and with them pages that could be used again.
    this.#own.store.readerCheck();
    return removals.filter(({ applied }) => applied).length;
  }

  async #offer(): Promise<void> {
    const { utcMs } = readState(this.#own.store.get(STATE_KEY));
    const sinceMs = this.#clock.utcMs() - utcMs;
    if (sinceMs >= 0 && sinceMs < EVERY_MS) return;
    await this.slice();
  }

  #look(cursor: string): { dead: { key: string; version: number }[]; next: string } {
    const dead: { key: string; version: number }[] = [];
    const utcMs = this.#clock.utcMs();
    const start = cursor === '' ? ALL_RECORDS.start : cursor;
    let looked = 0;
    let last = '';
    for (const { key, value, version } of this.#own.store.getRange({
      start,
      end: ALL_RECORDS.end,
      limit: SLICE,
      versions: true,
    })) {
      looked++;
      last = key;
      if (this.#isDead(key, value, utcMs)) dead.push({ key, version: version! });
    }
    return { dead, next: looked < SLICE ? '' : last };
  }

  #isDead(key: string, value: Buffer, utcMs: number): boolean {
    if (isLeaseKey(key)) {
      const lease = JSON.parse(value.toString('utf8')) as LeaseRecord;
      const old = lease.updatedUtcMs + this.#tombstoneLifeMs <= utcMs;
      return old && (lease.released || !this.#keepsLease(key));
    }
    const record = decodeRecord(value, true);
    const parsed = parseRecordKey(key);
    if (record === undefined || parsed === undefined) return false;
    const twin = decodeRecord(this.#twin.store?.get(key), true);
    return canSweep(
      isVolatile(parsed.kind),
      { record, zone: this.#zones.zone },
      twin && { record: twin, zone: this.#zones.twin },
      utcMs,
      this.#tombstoneLifeMs,
    );
  }

  async #claim(version: number | undefined, cursor: string): Promise<boolean> {
    const { store } = this.#own;
    const state = Buffer.from(JSON.stringify({ utcMs: this.#clock.utcMs(), cursor } satisfies SweepState));
    const put = (): void => void store.put(STATE_KEY, state, (version ?? 0) + 1);
    const claim =
      version === undefined ? store.ifNoExists(STATE_KEY, put) : store.ifVersion(STATE_KEY, version, put);
    return (await written(claim)).applied;
  }
}

function readState(bytes: Buffer | undefined): SweepState {
  if (bytes === undefined) return { utcMs: 0, cursor: '' };
  return JSON.parse(bytes.toString('utf8')) as SweepState;
}
