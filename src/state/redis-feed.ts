import type { Redis, RedisOptions } from 'ioredis';
import type { Logger } from '../base/index.ts';

const RENEW_MS = 250;

/**
 * Hears at once when something of a kind was written, over a connection of its own that is made for the first listener. The server
 * keeps no message for who is away: after each connection everybody is told, so that whoever looks then has missed nothing.
 */
export class ChangeFeed {
  readonly #make: () => Redis;
  readonly #log: Logger;
  readonly #listeners = new Map<string, Set<() => void>>();
  #redis: Redis | undefined;
  #closed = false;

  constructor(make: () => Redis, log: Logger) {
    this.#make = make;
    this.#log = log;
  }

  listen(channel: string, listener: () => void): () => void {
    const known = this.#listeners.get(channel);
    if (known !== undefined) known.add(listener);
    else {
      this.#listeners.set(channel, new Set([listener]));
      if (this.#redis?.status === 'ready') this.#subscribe(this.#redis, [channel]);
    }
    this.#redis ??= this.#connected();
    return () => this.#listeners.get(channel)?.delete(listener);
  }

  /** The other connection was made anew, perhaps to another server: this one hears nothing of a fail-over by itself. */
  renew(): void {
    this.#redis?.disconnect(true);
  }

  close(): void {
    this.#closed = true;
    this.#redis?.disconnect();
  }

  #connected(): Redis {
    const redis = this.#make();
    redis.on('ready', () => this.#subscribe(redis, [...this.#listeners.keys()]));
    redis.on('message', (channel: string) => this.#tell(channel));
    redis.on('error', (error: unknown) => this.#log.debug({ error: String(error) }, 'state.feed_away'));
    const connect = (): void => {
      if (!this.#closed) redis.connect().catch(() => {});
    };
    redis.on('end', () => setTimeout(connect, RENEW_MS).unref());
    connect();
    return redis;
  }

  #subscribe(redis: Redis, channels: readonly string[]): void {
    redis.subscribe(...channels).then(
      () => {
        for (const channel of channels) this.#tell(channel);
      },
      (error: unknown) => this.#log.debug({ error: String(error) }, 'state.feed_away'),
    );
  }

  #tell(channel: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener();
      } catch (error) {
        this.#log.error({ error: String(error) }, 'state.listener_failed');
      }
    }
  }
}

/** What a connection that only listens does otherwise than the one that asks. */
export const feedOptions = (options: RedisOptions): RedisOptions => ({
  ...options,
  connectionName: `${options.connectionName ?? 'twinline'}-feed`,
  autoResubscribe: false,
  failoverDetector: false,
});
