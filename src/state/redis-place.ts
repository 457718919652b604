/** Where a Redis is: one server, or the sentinels that know which of several is master. Holds no secret. */
export interface RedisPlace {
  readonly server?: RedisAddress;
  readonly sentinels?: readonly RedisAddress[];
  /** What the sentinels call the master. */
  readonly name?: string;
  /** Default 0. */
  readonly database?: number;
  readonly tls?: boolean;
}

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly sentinelPassword?: string;
}

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;

/** `Redis at 127.0.0.1:6379`, `Redis "twinline" of the sentinels 10.0.0.1:26379, 10.0.0.2:26379`. */
export function describePlace({ server, sentinels, name }: RedisPlace): string {
  if (sentinels !== undefined)
    return `Redis "${name ?? ''}" of the sentinels ${sentinels.map(describeAddress).join(', ')}`;
  return `Redis at ${server === undefined ? 'no address' : describeAddress(server)}`;
}

export const describeAddress = ({ host, port }: RedisAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** `redis://host:port/database` or `rediss:` with TLS. A string says what is wrong with it. */
export function parseRedisUrl(text: string): RedisPlace | string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'must be an address such as redis://127.0.0.1:6379';
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
    return 'must begin with redis:// or, with TLS, rediss://';
  if (url.password !== '' || url.username !== '')
    return 'must hold no user or password: give "username", and "password-file" or "password-env"';
  if (url.hostname === '' || url.search !== '' || url.hash !== '')
    return 'must be an address such as redis://127.0.0.1:6379';
  const database = url.pathname.replace(/^\//, '') || '0';
  if (!/^\d{1,4}$/.test(database)) return 'must end with the number of a database, if anything';
  return {
    server: { host: unbracketed(url.hostname), port: url.port === '' ? DEFAULT_PORT : Number(url.port) },
    ...(database !== '0' && { database: Number(database) }),
    ...(url.protocol === 'rediss:' && { tls: true }),
  };
}

/** `host`, `host:port` or `[::1]:port`; undefined for anything else. */
export function parseSentinel(text: string): RedisAddress | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? DEFAULT_SENTINEL_PORT : Number(match[2]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: unbracketed(match[1]!), port };
}

const unbracketed = (host: string): string => host.replace(/^\[|\]$/g, '');
