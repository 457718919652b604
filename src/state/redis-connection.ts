import type { Command, Redis, RedisOptions } from 'ioredis';
import { type Logger, TwinlineError } from '../base/index.ts';
import { messageOf, redisError } from './redis-errors.ts';
import { ChangeFeed, feedOptions } from './redis-feed.ts';
import { describePlace, type RedisCredentials, type RedisPlace } from './redis-place.ts';
import { REDIS_SCRIPTS, type ScriptName } from './redis-scripts.ts';

/** A server that is silent for so long is given up, and connected to anew. */
const SILENT_MS = 1500;
const LOOK_MS = 250;
/** What may wait for a server that is away, and for how long: longer than a restart or a fail-over's last step takes. */
const WAIT_MS = 2000;
const MAX_WAITING = 1000;
/** Asked and not answered. */
const MAX_UNANSWERED = 20_000;
const MAX_UNANSWERED_BYTES = 64 * 1024 * 1024;
const RECONNECT_MAX_MS = 300;
/** Connecting takes no longer; a frozen server takes connections and never says a word. */
const CONNECTING_MS = 2000;
const CONNECT_MS = 1500;
const LOADING_MS = 500;

export type Argument = string | Buffer;

/**
 * What a command does while the server is away: it is refused at once, waits until it can be sent, or is sent once more when the
 * connection ended before its answer, which only what may be done twice can bear.
 */
export type Patience = 'none' | 'waits' | 'again';

interface Unanswered {
  readonly sentMs: number;
  readonly bytes: number;
  readonly reject: (error: unknown) => void;
}

interface Waiting {
  readonly goOn: () => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

export interface RedisConnectionOptions {
  readonly place: RedisPlace;
  readonly credentials?: RedisCredentials;
  readonly log: Logger;
  /** Seen in CLIENT LIST. */
  readonly name: string;
}

/** What is used of ioredis. */
export interface RedisClient {
  readonly Redis: typeof Redis;
  readonly Command: typeof Command;
}

/**
 * One connection to the server that is master now. What is asked in one turn of the loop leaves in one write. It is never kept
 * for later without bound: what cannot be sent is refused at once, or with patience after two seconds; what is not answered is
 * refused after one and a half. A refused command may have been carried out all the same.
 */
export class RedisConnection {
  readonly where: string;
  readonly feed: ChangeFeed;
  readonly #redis: Redis;
  readonly #command: typeof Command;
  readonly #log: Logger;
  readonly #unanswered = new Set<Unanswered>();
  #unansweredBytes = 0;
  readonly #waiting = new Set<Waiting>();
  readonly #listeners = new Set<() => void>();
  #isUp = false;
  #isClosed = false;
  #corked = false;
  #watch: NodeJS.Timeout | undefined;
  #downWatch: NodeJS.Timeout | undefined;
  #connectingSinceMs = 0;
  #lastError: unknown;
  /** How often it came up. */
  ups = 0;
  upSinceMs = 0;
  /** When an answer was last missing: what was acknowledged long before is on the server's disk. */
  downSinceMs = 0;

  /** @param ioredis loaded by the caller: an installation on LMDB never loads it. */
  constructor(options: RedisConnectionOptions, ioredis: RedisClient) {
    this.where = describePlace(options.place);
    this.#log = options.log;
    this.#command = ioredis.Command;
    this.#redis = new ioredis.Redis(clientOptions(options));
    const { Redis } = ioredis;
    this.feed = new ChangeFeed(() => new Redis(feedOptions(clientOptions(options))), options.log);
    this.#redis.on('ready', () => this.#up());
    this.#redis.on('close', () => this.#down());
    this.#redis.on('connecting', () => {
      this.#connectingSinceMs = performance.now();
    });
    this.#redis.on('error', (error: unknown) => {
      // What follows from a failure says nothing of its cause.
      if (this.#lastError === undefined || !/isn't writeable|is closed/.test(messageOf(error)))
        this.#lastError = error;
    });
  }

  /** Why it is not up: the last thing that went wrong. */
  get lastError(): unknown {
    return this.#lastError;
  }

  get isUp(): boolean {
    // The other end may have closed already, and we not yet been told.
    return this.#isUp && this.#redis.stream?.writable === true;
  }

  /** Resolves when it is up for the first time; rejects with what was wrong when `withinMs` have passed, or at once if refused. */
  connect(withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: unknown): void => {
        clearTimeout(timer);
        clearInterval(look);
        this.#listeners.delete(succeeded);
        if (error === undefined) resolve();
        else reject(error);
      };
      const succeeded = (): void => done();
      const timer = setTimeout(
        () => done(redisError(this.#lastError ?? new Error('timed out'), this.where)),
        withinMs,
      );
      // A wrong password and a foreign protocol do not become right by waiting.
      const look = setInterval(() => {
        if (this.#lastError === undefined) return;
        const error = redisError(this.#lastError, this.where);
        if (error.code === 'state_refused' || error.code === 'state_garbage') done(error);
      }, 50);
      this.#listeners.add(succeeded);
      this.#downWatch ??= setInterval(() => this.#lookWhileDown(), LOOK_MS).unref();
      this.#redis.connect().catch((error: unknown) => {
        this.#lastError ??= error;
      });
    });
  }

  /** Called whenever the connection is up, before anything else is sent over it. */
  onUp(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async script(
    name: ScriptName,
    keys: readonly string[],
    args: readonly Argument[],
    patience: Patience = 'none',
  ): Promise<unknown> {
    const { sha } = REDIS_SCRIPTS[name];
    const command = [sha, String(keys.length), ...keys, ...args];
    try {
      return await this.call('evalsha', command, patience);
    } catch (error) {
      if (!/NOSCRIPT/.test(messageOf((error as Error).cause ?? error))) throw error;
      // Somebody has flushed the scripts.
      this.#loadScripts();
      return await this.call('evalsha', command, patience);
    }
  }

  /** Gives the reply with bytes as Buffers. Rejects with a TwinlineError. */
  async call(name: string, args: readonly Argument[], patience: Patience = 'none'): Promise<unknown> {
    if (!this.isUp) {
      if (patience === 'none' || this.#isClosed) throw this.#away();
      await this.#whenUp();
    }
    try {
      return await this.#send(name, args);
    } catch (error) {
      if (patience !== 'again' || (error as TwinlineError).code !== 'state_away' || this.#isClosed)
        throw error;
    }
    if (!this.isUp) await this.#whenUp();
    return this.#send(name, args);
  }

  close(): void {
    this.#isClosed = true;
    this.#isUp = false;
    clearInterval(this.#watch);
    clearInterval(this.#downWatch);
    this.#refuseAll(new TwinlineError('state_closed', 'this port of the state was closed'));
    this.feed.close();
    this.#redis.disconnect();
  }

  #send(name: string, args: readonly Argument[]): Promise<unknown> {
    let bytes = 0;
    for (const arg of args) bytes += arg.length;
    if (this.#unanswered.size >= MAX_UNANSWERED || this.#unansweredBytes + bytes > MAX_UNANSWERED_BYTES) {
      return Promise.reject(
        new TwinlineError('state_overloaded', `${this.where} does not keep up: too much is unanswered`),
      );
    }
    return new Promise((resolve, reject) => {
      const asked: Unanswered = { sentMs: performance.now(), bytes, reject };
      this.#unanswered.add(asked);
      this.#unansweredBytes += bytes;
      this.#watch ??= setInterval(() => this.#look(), LOOK_MS).unref();
      const answered = (): void => {
        if (this.#unanswered.delete(asked)) this.#unansweredBytes -= bytes;
      };
      this.#cork();
      const command = new this.#command(name, args as Argument[], { replyEncoding: null });
      command.promise.then(
        (reply: unknown) => {
          answered();
          resolve(reply);
        },
        (error: unknown) => {
          answered();
          reject(redisError(error, this.where));
        },
      );
      this.#redis.sendCommand(command);
    });
  }

  /** What is written until the loop turns leaves in one system call. */
  #cork(): void {
    const { stream } = this.#redis;
    if (this.#corked || stream === undefined) return;
    this.#corked = true;
    stream.cork();
    setImmediate(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  #up(): void {
    if (this.#isClosed) return;
    this.#isUp = true;
    clearInterval(this.#downWatch);
    this.#downWatch = undefined;
    this.ups++;
    this.upSinceMs = performance.now();
    this.#lastError = undefined;
    if (this.ups > 1) {
      this.#log.warn({ state: this.where }, 'state.back');
      this.feed.renew();
    }
    this.#loadScripts();
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#log.error({ error: String(error) }, 'state.listener_failed');
      }
    }
    for (const { goOn } of [...this.#waiting]) goOn();
  }

  #down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.downSinceMs = performance.now();
    this.#downWatch ??= setInterval(() => this.#lookWhileDown(), LOOK_MS).unref();
    this.#log.error({ state: this.where, why: messageOf(this.#lastError ?? 'closed') }, 'state.away');
    this.#refuseUnanswered(this.#away());
  }

  #loadScripts(): void {
    for (const { source } of Object.values(REDIS_SCRIPTS)) {
      this.#send('script', ['LOAD', source]).catch((error: unknown) =>
        this.#log.warn({ error: String(error) }, 'state.script_not_loaded'),
      );
    }
  }

  #look(): void {
    const [oldest] = this.#unanswered;
    if (oldest === undefined) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    if (performance.now() - oldest.sentMs < SILENT_MS) return;
    this.#lastError = new TwinlineError('state_timeout', `${this.where} does not answer in time`);
    this.#refuseUnanswered(this.#lastError);
    // Not ended politely: a frozen server would never answer that either.
    this.#redis.stream?.destroy();
  }

  /** ioredis gives up when it learns of a fail-over while it asks the sentinels, and waits for ever for a server's first answer. */
  #lookWhileDown(): void {
    if (this.#isClosed) return;
    const { status } = this.#redis;
    if (status === 'end') {
      this.#redis.connect().catch((error: unknown) => {
        this.#lastError ??= error;
      });
      return;
    }
    const isStuck = performance.now() - this.#connectingSinceMs > CONNECTING_MS;
    if ((status !== 'connecting' && status !== 'connect') || !isStuck) return;
    this.#connectingSinceMs = performance.now();
    this.#lastError ??= new TwinlineError('state_timeout', `${this.where} does not answer in time`);
    this.#redis.stream?.destroy();
    if (status === 'connecting') this.#redis.disconnect(true);
  }

  #whenUp(): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING) throw this.#away();
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        goOn: () => {
          clearTimeout(waiting.timer);
          this.#waiting.delete(waiting);
          resolve();
        },
        reject,
        timer: setTimeout(() => {
          this.#waiting.delete(waiting);
          reject(this.#away());
        }, WAIT_MS),
      };
      this.#waiting.add(waiting);
    });
  }

  #away(): TwinlineError {
    if (this.#isClosed) return new TwinlineError('state_closed', 'this port of the state was closed');
    if (this.#lastError !== undefined) return redisError(this.#lastError, this.where);
    return new TwinlineError('state_away', `${this.where} cannot be reached`);
  }

  #refuseUnanswered(error: unknown): void {
    for (const { reject } of [...this.#unanswered]) reject(error);
    this.#unanswered.clear();
    this.#unansweredBytes = 0;
  }

  #refuseAll(error: unknown): void {
    this.#refuseUnanswered(error);
    for (const { reject, timer } of this.#waiting) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}

function clientOptions({ place, credentials, name }: RedisConnectionOptions): RedisOptions {
  const { sentinels, server } = place;
  const pause = (times: number): number => Math.min(20 * times, RECONNECT_MAX_MS);
  return {
    ...(server !== undefined && { host: server.host, port: server.port }),
    ...(sentinels !== undefined && {
      sentinels: sentinels.map(({ host, port }) => ({ host, port })),
      name: place.name ?? 'mymaster',
      role: 'master' as const,
      sentinelRetryStrategy: pause,
      sentinelReconnectStrategy: pause,
      sentinelCommandTimeout: CONNECT_MS,
      // A sentinel says at once that another is master: a frozen one would be waited for.
      failoverDetector: true,
      ...(credentials?.sentinelPassword !== undefined && { sentinelPassword: credentials.sentinelPassword }),
    }),
    ...(place.tls === true && {
      tls: {},
      ...(sentinels !== undefined && { enableTLSForSentinelMode: true }),
    }),
    ...(credentials?.username !== undefined && { username: credentials.username }),
    ...(credentials?.password !== undefined && { password: credentials.password }),
    db: place.database ?? 0,
    connectionName: name,
    protocol: 2,
    disableClientInfo: true,
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    maxLoadingRetryTime: LOADING_MS,
    retryStrategy: pause,
    // What was sent and not answered is refused when the connection ends: whoever asked knows best what to do then.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    // After a fail-over the server that we are connected to may have become a replica.
    reconnectOnError: (error) => /^(READONLY|MASTERDOWN|LOADING)/.test(error.message),
  };
}
