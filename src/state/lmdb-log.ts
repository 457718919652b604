import { randomBytes } from 'node:crypto';
import { type AccountId, TwinlineError } from '../base/index.ts';
import { logEntryKey, logHeadKey, logRangeAfter, numberOfLogKey } from './keys.ts';
import { type Environment, refresh, type Store, written } from './lmdb-environment.ts';
import type { LogEntry, ZoneLog } from './position.ts';

const INCARNATION_KEY = 'meta/incarnation';
/** Of one batch: the rest waits for the next. */
const MAX_BATCH = 500;
/** Each failure means that another process of the zone has appended meanwhile. */
const MAX_ATTEMPTS = 1000;

interface Waiting {
  readonly bytes: Buffer;
  readonly resolve: (number: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Appends to one log of the own zone. The head's version is the last entry's number, and a batch is written only while
 * it still is: so numbers follow the order of commits over all processes of the zone, and no reader ever sees a number
 * before a smaller one.
 */
export class LogAppender {
  readonly #environment: Environment;
  readonly #account: AccountId;
  readonly #log: string;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(environment: Environment, account: AccountId, log: string) {
    this.#environment = environment;
    this.#account = account;
    this.#log = log;
  }

  /** Resolves with the entry's number when it is on the disk. */
  append(entry: unknown, utcMs: number): Promise<number> {
    const bytes = Buffer.from(JSON.stringify({ t: utcMs, e: entry }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      if (!this.#busy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      try {
        const { first, flushed } = await this.#write(batch);
        // Not awaited: the next batch may be committed while this one is flushed.
        const tell = (): void => {
          for (const [at, { resolve }] of batch.entries()) resolve(first + at);
        };
        if (flushed === undefined) tell();
        else flushed.then(tell, (error) => rejectAll(batch, error));
      } catch (error) {
        rejectAll(batch, error);
      }
    }
    this.#busy = false;
  }

  async #write(batch: readonly Waiting[]): Promise<{ first: number; flushed: Promise<unknown> | undefined }> {
    const { store } = this.#environment;
    const head = logHeadKey(this.#account, this.#log);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const last = refresh(store).getEntry(head)?.version;
      const first = (last ?? 0) + 1;
      const put = (): void => {
        store.put(head, Buffer.of(1), first + batch.length - 1);
        for (const [at, { bytes }] of batch.entries()) {
          store.put(logEntryKey(this.#account, this.#log, first + at), bytes, 1);
        }
      };
      const { applied, flushed } = await written(
        last === undefined ? store.ifNoExists(head, put) : store.ifVersion(head, last, put),
      );
      if (applied) return { first, flushed };
    }
    throw new TwinlineError(
      'state_busy',
      `the log ${this.#log} could not be appended to ${MAX_ATTEMPTS} times`,
    );
  }
}

function rejectAll(batch: readonly Waiting[], error: unknown): void {
  for (const { reject } of batch) reject(error);
}

/** One zone's log as its environment holds it. */
export function zoneLog(store: Store, zone: string, account: AccountId, log: string): ZoneLog {
  return {
    zone,
    incarnation: store.get(INCARNATION_KEY)?.toString('latin1') ?? '',
    after(number, limit) {
      const entries: LogEntry[] = [];
      for (const { key, value } of store.getRange({ ...logRangeAfter(account, log, number), limit })) {
        const { t, e } = JSON.parse(value.toString('utf8')) as { t: number; e: unknown };
        entries.push({ number: numberOfLogKey(key), utcMs: t, entry: e });
      }
      return entries;
    },
  };
}

/** Gives a new environment the name by which positions know it. */
export async function nameIncarnation(store: Store): Promise<void> {
  if (store.doesExist(INCARNATION_KEY)) return;
  const name = Buffer.from(randomBytes(6).toString('hex'), 'latin1');
  await written(store.ifNoExists(INCARNATION_KEY, () => void store.put(INCARNATION_KEY, name, 1)));
}
