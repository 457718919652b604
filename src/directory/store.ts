import { isDeepStrictEqual } from 'node:util';
import { type AccountId, type Clock, type Logger, untilBeat } from '../base/index.ts';
import type { StateKey, StatePort } from '../state/index.ts';
import type { AccountDraft } from './compile.ts';
import { type Directories, indexDirectories } from './lookup.ts';
import type { DirectorySnapshot } from './types.ts';

/** Owner of what belongs to no account. Configuration files cannot name an account so. */
const INSTALLATION = '_installation' as AccountId;
/** A call keeps the number that it began with; the longest call is not outlived by this many changes in practice. */
const SNAPSHOTS_KEPT = 64;

/** Which snapshot of an account counts. Small, so that asking for it every second costs nothing. */
interface Current {
  readonly v: 1;
  readonly account: AccountId;
  readonly number: number;
}

const currentKey = (account: AccountId): StateKey => ({
  account: INSTALLATION,
  kind: 'directory',
  id: account,
});
const snapshotKey = (account: AccountId, number: number): StateKey => ({
  account,
  kind: 'directory',
  id: String(number).padStart(10, '0'),
});

/**
 * Makes a draft the account's current snapshot under the next number, and gives it back. A draft equal to the current one changes
 * nothing. One process of the installation publishes (control).
 */
export async function publishSnapshot(state: StatePort, draft: AccountDraft): Promise<DirectorySnapshot> {
  const current = await state.get<Current>(currentKey(draft.account));
  const number = (current?.value.number ?? 0) + 1;
  if (current) {
    const stored = await snapshotNumbered(state, draft.account, current.value.number);
    if (stored && isDeepStrictEqual(JSON.parse(JSON.stringify({ ...draft, number: stored.number })), stored))
      return stored;
  }
  const snapshot: DirectorySnapshot = JSON.parse(JSON.stringify({ ...draft, number }));
  const value: Current = { v: 1, account: draft.account, number };
  await state.commit(
    [
      { op: 'put', key: snapshotKey(draft.account, number), value: snapshot },
      { op: 'put', key: currentKey(draft.account), value },
      ...(number > SNAPSHOTS_KEPT
        ? [{ op: 'delete' as const, key: snapshotKey(draft.account, number - SNAPSHOTS_KEPT) }]
        : []),
    ],
    { durability: 'durable' },
  );
  return snapshot;
}

/**
 * Makes another data centre's snapshot the account's current one under the number that it has there. False, and nothing is changed, when
 * what is here is as new or newer.
 */
export async function takeSnapshot(state: StatePort, snapshot: DirectorySnapshot): Promise<boolean> {
  const { account, number } = snapshot;
  const current = await state.get<Current>(currentKey(account));
  if (current !== undefined && current.value.number >= number) return false;
  const value: Current = { v: 1, account, number };
  await state.commit(
    [
      { op: 'put', key: snapshotKey(account, number), value: snapshot },
      { op: 'put', key: currentKey(account), value },
    ],
    { durability: 'durable' },
  );
  return true;
}

/** A given snapshot of an account, as an adopter of a call that began under it needs. */
export async function snapshotNumbered(
  state: Pick<StatePort, 'get'>,
  account: AccountId,
  number: number,
): Promise<DirectorySnapshot | undefined> {
  return (await state.get<DirectorySnapshot>(snapshotKey(account, number)))?.value;
}

/** The current snapshot of every account. */
export async function currentSnapshots(state: StatePort): Promise<DirectorySnapshot[]> {
  const heads = await state.list<Current>(INSTALLATION, 'directory');
  const snapshots = await Promise.all(
    heads.map(({ value }) => snapshotNumbered(state, value.account, value.number)),
  );
  return snapshots.filter((snapshot) => snapshot !== undefined);
}

export interface DirectoryWatch {
  /** What was read last. It stays when the state cannot be read. */
  readonly directories: Directories;
  /** Looks at once, for example when a reload was announced. */
  refresh(): Promise<void>;
  close(): void;
}

/**
 * Follows the current snapshots: resolves when they were read for the first time, then looks every `pollMs`. Unchanged accounts keep
 * their index.
 */
export async function watchDirectories(
  state: Pick<StatePort, 'get' | 'list' | 'onChanged'>,
  options: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly pollMs?: number;
    readonly onChange?: (directories: Directories) => void;
    /** Resolves without having read: for a process that serves also without a directory. */
    readonly later?: boolean;
  },
): Promise<DirectoryWatch> {
  const { clock, log, pollMs = 1000, onChange, later = false } = options;
  let snapshots = new Map<string, DirectorySnapshot>();
  let directories = indexDirectories([]);
  let closed = false;
  let looking: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    const heads = await state.list<Current>(INSTALLATION, 'directory');
    // Accounts are added and changed, never taken away: one that is not found is state that cannot be read just now, because its
    // store is being opened anew. Without its account every password of it would be wrong, and its users locked out.
    const changed = heads.filter(({ value }) => snapshots.get(value.account)?.number !== value.number);
    if (changed.length === 0) return;
    const next = new Map(snapshots);
    for (const { value } of changed) {
      const snapshot = await snapshotNumbered(state, value.account, value.number);
      if (snapshot) next.set(value.account, snapshot);
    }
    snapshots = next;
    directories = indexDirectories([...next.values()]);
    if (!closed) onChange?.(directories);
  };
  const refresh = (): Promise<void> => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };

  if (!later) await refresh();
  // Where the state tells of changes they are seen at once; looking now and then stays, for what is not told.
  const stopHearing = state.onChanged?.(INSTALLATION, 'directory', () => void refresh().catch(() => {}));
  let timer = clock.after(later ? 0 : untilBeat(clock, pollMs), poll);
  function poll(): void {
    refresh()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'directory not read; the last one stays'))
      .finally(() => {
        if (!closed) timer = clock.after(untilBeat(clock, pollMs), poll);
      });
  }
  return {
    get directories() {
      return directories;
    },
    refresh,
    close() {
      closed = true;
      stopHearing?.();
      timer.cancel();
    },
  };
}
