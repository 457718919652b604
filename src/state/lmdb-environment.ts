import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Logger, TwinlineError } from '../base/index.ts';
import { type Opened, openBesideWriters, type Store } from './lmdb-open.ts';

export type { Store };

/**
 * An environment that this zone owns. Reading from an lmdb store whose closing has begun, or writing to it, ends in an
 * exception of a timer that nobody can catch (3.5.6), so nobody gets hold of one.
 */
export class Environment {
  readonly #opened: Opened;
  #closing = false;

  constructor(opened: Opened) {
    this.#opened = opened;
  }

  /** Good until the next await. Throws `state_closed`. */
  get store(): Store {
    if (this.#closing) throw new TwinlineError('state_closed', 'the state was closed meanwhile');
    return this.#opened.store;
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#opened.close();
  }
}

/**
 * Versions let LMDB itself check a lease or a log's head inside the write transaction: no JavaScript runs while this
 * process holds the lock. Other processes see a commit before its flush, but lmdb's promise resolves
 * only after it (measured with a flush of 300 ms; so does `flushed`). Pages are never written through the map, so a stray pointer cannot reach the file. With lmdb's batching by event turn a failed
 * commit rejects a promise that nobody can reach, which would end the process (3.5.6).
 */
const OPTIONS = {
  encoding: 'binary',
  useVersions: true,
  noSubdir: false,
  separateFlushed: true,
  eventTurnBatching: false,
  // What is written in one turn of the loop becomes one transaction, however much it is.
  txnStartThreshold: 1_000_000,
} as const;

/** Opens what this zone owns, making it if need be. Rejects with `state_open_failed`. */
export async function openOwn(path: string, volatile: boolean): Promise<Environment> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return new Environment(
      openBesideWriters({ ...OPTIONS, path, ...(volatile && { noSync: true }) }, undefined),
    );
  } catch (cause) {
    throw new TwinlineError(
      'state_open_failed',
      `the state in ${path} cannot be opened (${messageOf(cause)}): is the directory writable, is there room on the disk?`,
      { cause },
    );
  }
}

/**
 * Makes the next read see every commit of every process. lmdb keeps one snapshot until a timer of the event loop has
 * run, while a peer may tell us over a socket of what it has just committed. Costs less than a microsecond.
 */
export function refresh(store: Store): Store {
  store.resetReadTxn();
  return store;
}

/** How often a reader looks whether the twin's environment has appeared or was made anew. */
const LOOK_EVERY_MS = 200;
const CLOSE_AFTER_MS = 10_000;
/**
 * How long a reader that opens waits for the end of a write transaction, which takes a millisecond, with a flush inside a few
 * hundred at the worst. Who holds the lock for longer is frozen, and readers shall not be held up by it.
 */
const WAIT_FOR_WRITERS_MS = 250;

/** The twin's environment as we see it: read-only, there or not, and perhaps another one tomorrow. */
export class TwinEnvironment {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #opened: Opened | undefined;
  #inode = 0;
  #closed = false;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** The environment to read from now, until the next await. */
  get store(): Store | undefined {
    if (this.#closed) return undefined;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lookedMs >= LOOK_EVERY_MS || nowMs < this.#lookedMs) {
      this.#lookedMs = nowMs;
      this.#look();
    }
    return this.#opened && refresh(this.#opened.store);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.close();
  }

  #look(): void {
    const inode = inodeOf(join(this.#path, 'data.mdb'));
    if (inode === this.#inode) return;
    const gone = this.#opened;
    this.#opened = undefined;
    this.#inode = 0;
    // Closed later: a reader may be in the middle of a list.
    if (gone !== undefined) this.#clock.after(CLOSE_AFTER_MS, () => void gone.close().catch(() => {}));
    if (inode === 0) return;
    try {
      this.#opened = openBesideWriters({ ...OPTIONS, path: this.#path, readOnly: true }, WAIT_FOR_WRITERS_MS);
      this.#inode = inode;
      if (!this.#opened.alone) this.#log.warn({ path: this.#path }, 'state.opened_beside_a_held_lock');
    } catch (error) {
      // Its owner may be making it at this very moment: the next look tries again.
      this.#log.debug({ path: this.#path, error: messageOf(error) }, 'state.twin_not_readable');
    }
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

export interface Written {
  /** False: the condition did not hold, nothing was written. */
  readonly applied: boolean;
  readonly flushed: Promise<unknown> | undefined;
}

/** Awaits a write of lmdb and turns its failure into an error with a code. */
export async function written(write: Promise<boolean>): Promise<Written> {
  const { flushed } = write as Promise<boolean> & { flushed?: Promise<unknown> };
  try {
    return { applied: await write, flushed };
  } catch (error) {
    throw writeError(await causeOf(error));
  }
}

/** lmdb rejects with a general error that carries the promise of the true one. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> };
  if (commitError === undefined) return error;
  return commitError.then(
    () => error,
    (cause) => cause,
  );
}

export function writeError(cause: unknown): TwinlineError {
  const message = messageOf(cause);
  if (/MAP_FULL|mapsize|No space|ENOSPC|File too large/i.test(message)) {
    return new TwinlineError(
      'state_full',
      `the state could not be written (${message}): is there room on the disk?`,
      {
        cause,
      },
    );
  }
  return new TwinlineError(
    'state_write_failed',
    `the state could not be written (${message}): is there room on the disk?`,
    {
      cause,
    },
  );
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
