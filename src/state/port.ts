import type { AccountId, BundleId, SwitchId, ZoneId } from '../base/index.ts';

/**
 * The state port: what must survive a process. Keys are `schema/account/kind/id`; values are JSON-able, or as a
 * whole a Uint8Array (sealed calls), and carry their schema version as `v`. Reads see the own zone and its twin as one: of two values the one with the higher epoch (calls) or the
 * later `updatedUtcMs` (durable kinds) counts, and a tombstone hides.
 */
export interface StatePort {
  readonly capabilities: StateCapabilities;

  /** The newest value in either zone, or undefined. */
  get<T>(key: StateKey): Promise<Stored<T> | undefined>;
  /** Everything of one kind whose id begins with `idPrefix`, merged from both zones, in order of ids. */
  list<T>(account: AccountId, kind: StateKind, idPrefix?: string): Promise<Stored<T>[]>;

  /**
   * Writes all or nothing, and resolves when another process would find it (group commit). With `fence` it writes only while
   * this owner's lease of the bundle still has that epoch; otherwise it rejects with `TwinlineError` `fenced`.
   */
  commit(writes: readonly Write[], options: { durability: Durability; fence?: Fence }): Promise<void>;

  /** Gives the bundle to `owner` under an epoch above every epoch ever seen: the stored ones and `atLeast`. */
  grant(bundle: BundleId, owner: SwitchId, zone: ZoneId, atLeast?: number): Promise<Lease>;
  /** The lease with the highest epoch, from either zone. */
  lease(bundle: BundleId): Promise<Lease | undefined>;
  leases(): Promise<Lease[]>;
  /** Forgets an empty bundle that its owner gives up. */
  release(fence: Fence): Promise<void>;

  /** Appends to an ordered, durable log of one account (`records`, later `queue`); resolves with its position. */
  append(account: AccountId, log: string, entry: unknown): Promise<string>;
  /** Entries of both zones' logs after the given position (from the beginning without one), at most `limit`. */
  read(
    account: AccountId,
    log: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ position: string; entry: unknown }[]>;

  /**
   * The store came back and may have lost what it had acknowledged last. Leases and durable writes are said again by the engine
   * itself; who holds volatile values writes them again now. Gives how to stop listening. Absent where nothing acknowledged is lost.
   */
  onRestored?(listener: () => void): () => void;

  /**
   * Tells at once when values of the kind may have changed; in vain now and then, and after every reconnection, so that whoever looks
   * whenever told misses nothing. Gives how to stop. Absent where one has to look now and then (`capabilities.changeFeed`).
   */
  onChanged?(account: AccountId, kind: ChangeFeedKind, listener: () => void): () => void;

  /** Which zone of the pair may speak, where its machines are several. Absent where the state is one machine's. */
  readonly zones?: ZoneLeases;

  close(): Promise<void>;
}

/**
 * Who of a pair over two machines may speak, when neither can end the other's processes. A zone's lease is held by one life of its
 * supervisor, which counts up at each renewal; the twin that saw no other count for long enough takes it. No clock of the store is asked.
 */
export interface ZoneLeases {
  /**
   * A supervisor begins. `begun`: the zone is `holder`'s. `held`: by another life of it, at that count; `over` names one that was
   * watched long enough to be over.
   */
  begin(holder: string, over?: ZoneSeen): Promise<'begun' | ZoneSeen>;
  /** Still here. Gives the twin's lease as it is now; `lost`: the zone was taken, or another life of it has begun. */
  renew(holder: string, count: number): Promise<{ twin: ZoneSeen | undefined } | 'lost'>;
  /**
   * Takes the twin's zone if its lease is just as it was seen and ours is still `holder`'s. Resolves when a replica knows it, where there is
   * one. `changed`: it lives. `lost`: so are we.
   */
  claim(holder: string, twin: ZoneSeen): Promise<'claimed' | 'changed' | 'lost'>;
  /** Our zone's lease as it is. */
  own(): Promise<ZoneSeen | undefined>;
  /**
   * That life of our zone has ended for certain: each of its processes is dead, and what led to them is gone. The twin sees it and need not
   * wait for the term. Nothing happens when another life has the lease.
   */
  ended(holder: string): Promise<void>;
}

export interface ZoneSeen {
  /** One life of a zone's supervisor. */
  readonly holder: string;
  readonly count: number;
  /** Taken by this life of its twin. */
  readonly takenBy?: string;
  /** Its machine says that it is dead. */
  readonly ended?: true;
}

/** What changes seldom and is waited for. */
export type ChangeFeedKind = 'directory' | 'certificate';

/** The reading half, for processes that own nothing. */
export type StateReader = Pick<
  StatePort,
  'capabilities' | 'get' | 'list' | 'lease' | 'leases' | 'read' | 'close'
>;

export interface StateCapabilities {
  readonly engine: 'memory' | 'lmdb' | 'redis';
  /** Values written here can be read on another machine. */
  readonly acrossMachines: boolean;
  /** `onChanged` is there. */
  readonly changeFeed?: boolean;
}

/**
 * Calls, leases and what lives with them are volatile: no synchronous write. The rest survives a power cut. A durable kind committed as
 * `volatile` is seen by others just so, waits longer for company, and may be lost by a power cut: for what only repeats what is stored.
 */
export type Durability = 'volatile' | 'durable';

/** `call`, `call-key` and `call-index` are volatile; all others durable. */
export type StateKind =
  | 'call'
  /** Half of what wraps a call's key, where no file of one machine can hold it: gone with the call, and then the call is noise. */
  | 'call-key'
  | 'call-index'
  | 'registration'
  | 'lockout'
  | 'directory'
  | 'certificate'
  /** That a call began, for who finds it after the loss of the whole data centre. */
  | 'trace';

export interface StateKey {
  readonly account: AccountId;
  readonly kind: StateKind;
  readonly id: string;
}

export type Write =
  | {
      readonly op: 'put';
      readonly key: StateKey;
      readonly value: unknown;
      readonly updatedUtcMs?: number;
      readonly expiresUtcMs?: number;
    }
  | { readonly op: 'delete'; readonly key: StateKey; readonly updatedUtcMs?: number };

export interface Stored<T> {
  readonly key: StateKey;
  readonly value: T;
  readonly zone: ZoneId;
  /** The epoch of the fence under which it was written, 0 without one. */
  readonly epoch: number;
  readonly updatedUtcMs: number;
}

export interface Fence {
  readonly bundle: BundleId;
  readonly epoch: number;
}

export interface Lease extends Fence {
  readonly owner: SwitchId;
  readonly zone: ZoneId;
}
