import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { open, openAsClass, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb';
import { TwinlineError } from '../base/index.ts';
import { canLockFiles, isByteLocked, lockByte, lockMutexIn } from '../native/index.ts';

export type Store = RootDatabase<Buffer, string>;

export interface Opened {
  readonly store: Store;
  /** False: another held the write lock for so long that we did not wait for its end. */
  readonly alone: boolean;
  close(): Promise<void>;
}

/** Every user of an environment has a lock on this byte of its lock file: liblmdb its own, and we one more. */
const USERS = 0;
/** Who has it may look whether there are users and become the first. Beyond the bytes that liblmdb uses, one per pid. */
const GATE = 2 ** 40;

const MAGIC = 0xbeefc0de;
/** Where the mutex of writers lies, by the format of the lock file (MDB_LOCK_FORMAT, mdb.c): it tells the size of a mutex. */
const WRITERS = new Map([
  [0x2c2f6002, 64], // Mutexes of 40 bytes: x86_64, and musl on arm64.
  [0x2cd82002, 128], // Of 48: glibc on arm64.
]);

/**
 * Opens an environment so that nobody else's commit is lost by it. liblmdb as in lmdb 3.5.6 has the fault ITS#9496: who opens reads the number of
 * the last transaction from the file, maps it, and then puts that number into the lock file for all. What was committed in between is
 * undone, since the next writer begins from there. So we open while we hold the writers' own mutex: it costs commits nothing, and
 * whoever dies with it loses it. `waitMs`: go on without it after so long; undefined: wait.
 */
export function openBesideWriters(
  options: RootDatabaseOptionsWithPath & { readonly path: string },
  waitMs: number | undefined,
): Opened {
  if (!canLockFiles) return plain(options);
  const create = options.readOnly === true ? 0 : constants.O_CREAT;
  const fd = openSync(join(options.path, 'lock.mdb'), constants.O_RDWR | create, 0o664);
  let opened: { readonly StoreClass: StoreClass; readonly alone: boolean };
  try {
    opened = openEnvironment(fd, options, waitMs);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  // Only now: its constructor writes a transaction, for which it takes the mutex itself.
  const store = new opened.StoreClass(null, { ...options, isRoot: true });
  return {
    store,
    alone: opened.alone,
    async close() {
      await store.close();
      // Not before: liblmdb destroys the mutexes when it finds itself the last user, while the next may be waiting to be one.
      closeSync(fd);
    },
  };
}

type StoreClass = new (name: null, options: object) => Store;

function openEnvironment(
  fd: number,
  options: RootDatabaseOptionsWithPath,
  waitMs: number | undefined,
): { StoreClass: StoreClass; alone: boolean } {
  lockByte(fd, GATE, 'exclusive');
  try {
    if (!isByteLocked(fd, USERS)) {
      // The first one: liblmdb makes the lock file anew, which it does only when nobody else has a lock on it, we included.
      const StoreClass = openClass(options);
      lockByte(fd, USERS, 'shared');
      return { StoreClass, alone: true };
    }
    // From here on nobody makes the lock file anew, though all the others die.
    lockByte(fd, USERS, 'shared');
  } finally {
    lockByte(fd, GATE, 'none');
  }
  const release = lockMutexIn(fd, writersMutex(fd), waitMs);
  try {
    return { StoreClass: openClass(options), alone: release !== undefined };
  } finally {
    release?.();
  }
}

const openClass = (options: RootDatabaseOptionsWithPath): StoreClass =>
  openAsClass<Buffer, string>({ ...options }) as unknown as StoreClass;

function writersMutex(fd: number): number {
  const head = Buffer.alloc(8);
  readSync(fd, head, 0, head.length, 0);
  const offset = head.readUInt32LE(0) === MAGIC ? WRITERS.get(head.readUInt32LE(4)) : undefined;
  if (offset === undefined)
    throw new TwinlineError(
      'state_open_failed',
      `the lock file has a form (${head.toString('hex')}) that this release does not know: does another release of lmdb use it?`,
    );
  return offset;
}

function plain(options: RootDatabaseOptionsWithPath): Opened {
  const store = open<Buffer, string>(options);
  return { store, alone: true, close: () => store.close() };
}
