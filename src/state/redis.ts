import {
  type AccountId,
  type BundleId,
  type Clock,
  type Logger,
  type Random,
  randomBelow,
  type SwitchId,
  type Timer,
  TwinlineError,
  type ZoneId,
} from '../base/index.ts';
import type {
  ChangeFeedKind,
  Durability,
  Fence,
  Lease,
  StateKind,
  StatePort,
  StateReader,
  Write,
  ZoneLeases,
} from './port.ts';
import { ReadingPort } from './reading.ts';
import { isVolatile, recordOf, TOMBSTONE_LIFE_MS } from './record.ts';
import { type Argument, RedisConnection } from './redis-connection.ts';
import { Journal } from './redis-journal.ts';
import {
  changeChannel,
  indexOf,
  LEASE_INDEX,
  memberOf,
  redisKey,
  redisLeaseKey,
  redisLogKey,
} from './redis-keys.ts';
import { claim, examineServer } from './redis-open.ts';
import type { RedisCredentials, RedisPlace } from './redis-place.ts';
import { encodeRedisRecord, type Writer } from './redis-record.ts';
import { RedisView } from './redis-view.ts';
import { redisZones } from './redis-zones.ts';
import { checkGrantZone, fenced, isVolatileCommit, releasedLease } from './rules.ts';

export interface RedisStateOptions {
  readonly place: RedisPlace;
  readonly credentials?: RedisCredentials;
  readonly zone: ZoneId;
  readonly twin: ZoneId;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** How long opening waits for a server that does not answer yet. Default 5 s. */
  readonly openWithinMs?: number;
}

export interface RedisState extends StatePort {
  readonly capabilities: typeof CAPABILITIES;
  onRestored(listener: () => void): () => void;
  onChanged(account: AccountId, kind: ChangeFeedKind, listener: () => void): () => void;
}

const OPEN_WITHIN_MS = 5000;
/** Behind the time at which a record expires by the writers' clocks, which differ from the server's. */
const EXPIRY_MARGIN_MS = 60_000;
/** Nobody deletes the calls of an installation that ended as a whole. A call that is spoken about is written far more often. */
const CALL_LIFE_MS = 7 * 24 * 3600_000;
const LEASE_LIFE_MS = 2 * 24 * 3600_000;
const LEASE_REFRESH_MS = 3600_000;
const MAX_LEASES_KNOWN = 20_000;
/** Of one log. Control has carried them to the database long before. */
const LOG_ENTRIES_KEPT = '200000';
/** How long after a reconnection a lease that is missing may yet be put back by who granted it. */
const RESTORING_MS = 3000;
const RESTORING_LOOK_MS = 200;
const MAX_ASSERTS = 3;
/** Where the writes begin among a commit's arguments, and where a record has its time. */
const FIRST_WRITE_AT = 3;
const ARGUMENTS_PER_WRITE = 4;
const UPDATED_AT = 16;
/** Shorter than what the connection takes for a dead server. */
const REPLICATED_WITHIN_MS = '800';

/** The distributed engine, for a process of `zone`. Rejects with a sentence that names the server and what to do. */
export async function openRedisState(options: RedisStateOptions): Promise<RedisState> {
  return new RedisPort(options, await connectRedis(options));
}

/** For a process that only reads, such as an edge. */
export async function openRedisReader(options: RedisStateOptions): Promise<StateReader> {
  const connection = await connectRedis(options);
  const view = new RedisView(connection, options.clock, options.log);
  return Object.assign(view, { capabilities: CAPABILITIES, close: async () => connection.close() });
}

/**
 * Makes the database this installation's, or finds that it is. Rejects with a sentence when it cannot be used or is another's: two
 * installations would take each other's calls for their own.
 */
export async function claimRedis(
  options: Omit<RedisStateOptions, 'zone' | 'twin'>,
  installation: string,
  pairKey?: string,
): Promise<void> {
  const nobody = '' as ZoneId;
  const connection = await connectRedis({ ...options, zone: nobody, twin: nobody });
  try {
    await claim(connection, installation, pairKey);
  } finally {
    connection.close();
  }
}

const CAPABILITIES = { engine: 'redis', acrossMachines: true, changeFeed: true } as const;

async function connectRedis(options: RedisStateOptions): Promise<RedisConnection> {
  const { place, credentials, log, zone, openWithinMs = OPEN_WITHIN_MS } = options;
  const ioredis = await import('ioredis');
  const connection = new RedisConnection(
    { place, log, name: `twinline-${zone}`, ...(credentials !== undefined && { credentials }) },
    ioredis,
  );
  try {
    await examineServer(connection, place, openWithinMs, log);
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

class RedisPort extends ReadingPort implements RedisState {
  readonly capabilities = CAPABILITIES;
  readonly zones: ZoneLeases;
  readonly #options: RedisStateOptions;
  readonly #connection: RedisConnection;
  readonly #writer: Writer;
  readonly #journal = new Journal();
  /** Leases that this process granted or has written under: put back when the server has lost them. */
  readonly #known = new Map<BundleId, Lease>();
  readonly #restored = new Set<() => void>();
  #replicated: Promise<void> | undefined;
  #refresh: Timer;

  constructor(options: RedisStateOptions, connection: RedisConnection) {
    super(new RedisView(connection, options.clock, options.log));
    this.#options = options;
    this.#connection = connection;
    this.#writer = { id: randomBelow(options.random, 2 ** 32), count: 0 };
    this.zones = redisZones(connection, options, () => this.#reachedReplica());
    connection.onUp(() => this.#restore());
    this.#refresh = options.clock.after(LEASE_REFRESH_MS, () => this.#refreshLeases());
  }

  async commit(
    writes: readonly Write[],
    { durability, fence }: { durability: Durability; fence?: Fence },
  ): Promise<void> {
    const volatile = isVolatileCommit(writes, durability);
    const { keys, args } = this.#encode(writes, volatile, fence);
    // Calls go on while the state is away; their owner writes again later. What a phone waits for may wait a little.
    const patience = volatile ? 'none' : 'again';
    if (fence === undefined) {
      const done = (await this.#connection.script('commit', keys, args, patience)) as unknown[];
      if (!volatile) {
        const again = { script: 'commit', keys, args: saidAgain(args, done) } as const;
        this.#journal.add(again, performance.now());
      }
      return;
    }
    const owner = await this.#underLease(fence, () =>
      this.#connection.script('commit', keys, args, patience),
    );
    if (this.#known.get(fence.bundle)?.epoch !== fence.epoch) {
      this.#remember({ ...fence, owner: owner as SwitchId, zone: this.#options.zone });
    }
  }

  async grant(bundle: BundleId, owner: SwitchId, zone: ZoneId, atLeast = 0): Promise<Lease> {
    checkGrantZone(zone, this.#options.zone);
    const { random, twin } = this.#options;
    const granted = this.#connection.script(
      'grant',
      [redisLeaseKey(bundle), LEASE_INDEX],
      [
        bundle,
        owner,
        zone,
        String(atLeast),
        String(randomBelow(random, 2 ** 19)),
        zone < twin ? '1' : '0',
        String(LEASE_LIFE_MS),
      ],
      'again',
    );
    const epoch = Number(String(await granted));
    const { ups, where } = this.#connection;
    await this.#reachedReplica();
    // Another connection, perhaps to another server, knows nothing of what this one wrote.
    if (this.#connection.ups !== ups)
      throw new TwinlineError('state_away', `${where} was lost while bundle ${bundle} was being granted`);
    const lease: Lease = { bundle, owner, zone, epoch };
    this.#remember(lease);
    return lease;
  }

  async release(fence: Fence): Promise<void> {
    const { zone, twin, clock } = this.#options;
    const lease = { ...fence, owner: '' as SwitchId, zone };
    const { epoch } = releasedLease(fence, lease, zone, twin, clock.utcMs());
    const keys = [redisLeaseKey(fence.bundle), LEASE_INDEX];
    const args = [fence.bundle, String(fence.epoch), String(epoch), String(LEASE_LIFE_MS)];
    await this.#underLease(fence, () => this.#connection.script('release', keys, args, 'waits'));
    this.#known.delete(fence.bundle);
  }

  async append(account: AccountId, log: string, entry: unknown): Promise<string> {
    const chance = String(randomBelow(this.#options.random, 2 ** 32));
    const keys = [redisLogKey(account, log)];
    const args = [chance, JSON.stringify(entry), LOG_ENTRIES_KEPT];
    const id = String(await this.#connection.script('append', keys, [...args, ''], 'waits'));
    this.#journal.add({ script: 'append', keys, args: [...args, id] }, performance.now());
    return id;
  }

  onRestored(listener: () => void): () => void {
    this.#restored.add(listener);
    return () => this.#restored.delete(listener);
  }

  onChanged(account: AccountId, kind: ChangeFeedKind, listener: () => void): () => void {
    return this.#connection.feed.listen(this.#channel(account, kind), listener);
  }

  #channel(account: AccountId, kind: StateKind): string {
    return changeChannel(this.#options.place.database ?? 0, account, kind);
  }

  #channels(writes: readonly Write[]): string {
    const told = writes.filter(({ key }) => key.kind === 'directory' || key.kind === 'certificate');
    if (told.length === 0) return '';
    return [...new Set(told.map(({ key }) => this.#channel(key.account, key.kind)))].join(',');
  }

  async close(): Promise<void> {
    this.#refresh.cancel();
    this.#connection.close();
  }

  #encode(
    writes: readonly Write[],
    volatile: boolean,
    fence: Fence | undefined,
  ): { keys: string[]; args: Argument[] } {
    const { clock, zone } = this.#options;
    const utcMs = clock.utcMs();
    const keys: string[] = fence === undefined ? [] : [redisLeaseKey(fence.bundle)];
    const args: Argument[] = [
      fence === undefined ? '' : String(fence.epoch),
      volatile ? 'v' : 'd',
      this.#channels(writes),
    ];
    for (const write of writes) {
      const { key } = write;
      const record = recordOf(write, fence?.epoch ?? 0, utcMs, undefined);
      const index = indexOf(key);
      const name = redisKey(key);
      keys.push(name, index?.key ?? name);
      args.push(
        encodeRedisRecord(record, zone, this.#writer),
        write.updatedUtcMs === undefined ? 'n' : 'g',
        lifeMs(write, utcMs),
        index === undefined ? '' : memberOf(key),
      );
    }
    return { keys, args };
  }

  /**
   * Runs what needs the lease. A higher epoch, or the tombstone of a release, fences. A lower epoch or none, though we hold the lease,
   * means that the server has lost it: it is put back, and the work is done then. Gives the lease's owner.
   */
  async #underLease(fence: Fence, run: () => Promise<unknown>): Promise<string> {
    for (let asserts = 0; ; ) {
      const [done, said, released] = (await run()) as [number, Buffer, number?];
      if (done === 1) return said.toString();
      const stored = Number(said.toString() || 0);
      if (stored > fence.epoch || (stored === fence.epoch && released === 1)) break;
      const known = this.#known.get(fence.bundle);
      if (known?.epoch === fence.epoch && asserts++ < MAX_ASSERTS) {
        this.#options.log.warn({ bundle: fence.bundle, epoch: fence.epoch, stored }, 'state.lease_lost');
        if ((await this.#assert(known)) > fence.epoch) break;
      } else if (this.#isRestoring()) {
        // On the machine's time, as the connection is: nobody says when another process has put its leases back.
        await new Promise<void>((resolve) => setTimeout(resolve, RESTORING_LOOK_MS));
      } else break;
    }
    this.#known.delete(fence.bundle);
    throw fenced(fence);
  }

  #isRestoring(): boolean {
    const { ups, upSinceMs } = this.#connection;
    return ups > 1 && performance.now() - upSinceMs < RESTORING_MS;
  }

  #remember(lease: Lease): void {
    this.#known.delete(lease.bundle);
    this.#known.set(lease.bundle, lease);
    if (this.#known.size > MAX_LEASES_KNOWN) this.#known.delete(this.#known.keys().next().value!);
  }

  async #assert({ bundle, owner, zone, epoch }: Lease): Promise<number> {
    const stored = await this.#connection.script(
      'assert',
      [redisLeaseKey(bundle), LEASE_INDEX],
      [bundle, owner, zone, String(epoch), String(LEASE_LIFE_MS)],
    );
    return Number(String(stored));
  }

  #assertKnown(): void {
    for (const lease of [...this.#known.values()]) {
      this.#assert(lease).then(
        (stored) => {
          if (stored > lease.epoch && this.#known.get(lease.bundle) === lease)
            this.#known.delete(lease.bundle);
        },
        (error: unknown) =>
          this.#options.log.warn({ bundle: lease.bundle, error: String(error) }, 'state.lease_not_put_back'),
      );
    }
  }

  /** The server came back, perhaps without its last second: it is told again what it may have lost, leases first. */
  #restore(): void {
    if (this.#connection.ups <= 1) return;
    const { log } = this.#options;
    this.#assertKnown();
    const journal = this.#journal.since(this.#connection.downSinceMs);
    for (const { script, keys, args } of journal) {
      this.#connection
        .script(script, keys, args)
        .catch((error: unknown) => log.error({ error: String(error) }, 'state.not_said_again'));
    }
    log.info({ leases: this.#known.size, writes: journal.length }, 'state.said_again');
    for (const listener of [...this.#restored]) {
      try {
        listener();
      } catch (error) {
        log.error({ error: String(error) }, 'state.listener_failed');
      }
    }
  }

  #refreshLeases(): void {
    if (this.#connection.isUp) this.#assertKnown();
    this.#refresh = this.#options.clock.after(LEASE_REFRESH_MS, () => this.#refreshLeases());
  }

  /** Resolves when a replica has what was written so far, or at once where none is connected. One question serves a whole turn. */
  #reachedReplica(): Promise<void> {
    this.#replicated ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
      this.#replicated = undefined;
      return this.#waitForReplica();
    });
    return this.#replicated;
  }

  async #waitForReplica(): Promise<void> {
    const { where } = this.#connection;
    const info = String(await this.#connection.call('info', ['replication'], 'again'));
    const replicas = Number(/connected_slaves:(\d+)/.exec(info)?.[1] ?? 0);
    if (replicas === 0) {
      if (this.#options.place.sentinels !== undefined)
        this.#options.log.warn({ state: where }, 'state.granted_without_replica');
      return;
    }
    if (Number(await this.#connection.call('wait', ['1', REPLICATED_WITHIN_MS], 'waits')) > 0) return;
    throw new TwinlineError(
      'state_not_replicated',
      `${where} has ${replicas} replicas, none of which took a grant within ${REPLICATED_WITHIN_MS} ms`,
    );
  }
}

/** When the server itself may forget a record; '' for never. */
function lifeMs(write: Write, utcMs: number): string {
  if (write.op === 'delete') return String(TOMBSTONE_LIFE_MS);
  const { expiresUtcMs = 0, key } = write;
  if (expiresUtcMs !== 0) return String(Math.max(0, Math.floor(expiresUtcMs - utcMs)) + EXPIRY_MARGIN_MS);
  return isVolatile(key.kind) ? String(CALL_LIFE_MS) : '';
}

/** The same commit, over nothing but what is older. */
function saidAgain(args: readonly Argument[], done: readonly unknown[]): Argument[] {
  const again = [...args];
  for (let at = FIRST_WRITE_AT; at < again.length; at += ARGUMENTS_PER_WRITE) again[at + 1] = 'r';
  for (let at = 2; at < done.length; at += 2)
    (done[at + 1] as Buffer).copy(again[(done[at] as number) - 1] as Buffer, UPDATED_AT);
  return again;
}
