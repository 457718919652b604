import { dirname, resolve } from 'node:path';
import type { loadYamlReader } from '../directory/index.ts';
import type { RedisPlace } from '../state/index.ts';

/** Where the state is kept. Passwords are named, never held. */
export type StateTopology = ({ readonly engine: 'lmdb' } | RedisTopology) & {
  /** `false`: running calls are not written. They die with their switch; for measuring what writing costs. */
  readonly checkpoints?: false;
};

export interface RedisTopology {
  readonly engine: 'redis';
  readonly place: RedisPlace;
  readonly username?: string;
  readonly password?: SecretSource;
  readonly sentinelPassword?: SecretSource;
}

/** Where a password is read from by each process: a variable of the environment, or a file (absolute). */
export type SecretSource = { readonly env: string } | { readonly file: string };

/** The settings below `state:`; what belongs together is looked at by `readState`. */
export function stateSchema({
  list,
  matching,
  oneOf,
  record,
  text,
  wholeNumber,
  yesNo,
}: Awaited<ReturnType<typeof loadYamlReader>>) {
  const variable = () =>
    matching(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'the name of an environment variable').optional();
  const path = () => text(1000).optional();
  return record({
    engine: oneOf(['lmdb', 'redis']),
    checkpoints: yesNo().optional(),
    url: text().optional(),
    sentinels: list(text(), 20).min(1, 'must name at least one sentinel').optional(),
    name: matching(/^[\w.-]{1,60}$/, 'what the sentinels call the master').optional(),
    database: wholeNumber(0, 9999).optional(),
    tls: yesNo().optional(),
    username: text().optional(),
    'password-env': variable(),
    'password-file': path(),
    'sentinel-password-env': variable(),
    'sentinel-password-file': path(),
  });
}

type Report = (path: readonly (string | number)[], message: string) => void;

/** What a topology file says below `state:`, any part of which may be missing or faulty. */
interface StateSaid {
  readonly engine?: 'lmdb' | 'redis';
  readonly checkpoints?: unknown;
  readonly url?: string | undefined;
  readonly sentinels?: readonly (string | undefined)[] | undefined;
  readonly name?: string | undefined;
  readonly database?: unknown;
  readonly tls?: unknown;
  readonly username?: string | undefined;
  readonly 'password-env'?: string | undefined;
  readonly 'password-file'?: string | undefined;
  readonly 'sentinel-password-env'?: string | undefined;
  readonly 'sentinel-password-file'?: string | undefined;
}

/** Puts the settings together, and reports every mistake that one setting alone does not show. LMDB when nothing is said. */
export async function readState(
  file: string,
  said: StateSaid | undefined,
  report: Report,
): Promise<StateTopology> {
  const engine = said?.engine;
  if (said === undefined || engine === undefined) return { engine: 'lmdb' };
  const unwritten = said.checkpoints === false ? ({ checkpoints: false } as const) : {};
  if (engine === 'lmdb') {
    for (const key of Object.keys(said))
      if (key !== 'engine' && key !== 'checkpoints')
        report(['state', key], `"${key}" is not a setting of engine lmdb, only of redis`);
    return { engine, ...unwritten };
  }
  const { username } = said;
  const password = secretOf(file, said, 'password', report);
  const sentinelPassword = secretOf(file, said, 'sentinel-password', report);
  return {
    engine,
    ...unwritten,
    place: await placeOf(said, report),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
  };
}

async function placeOf(said: StateSaid, report: Report): Promise<RedisPlace> {
  // An installation on LMDB loads nothing of it.
  const { parseRedisUrl, parseSentinel } = await import('../state/index.ts');
  const { url, sentinels, name, database, tls } = said;
  if ((url === undefined) === (sentinels === undefined)) {
    report(
      ['state', url === undefined ? 'engine' : 'sentinels'],
      'engine redis needs either "url" (redis://127.0.0.1:6379) or "sentinels" and "name", not both',
    );
    return {};
  }
  if (url !== undefined) {
    const place = parseRedisUrl(url);
    if (typeof place === 'string') report(['state', 'url'], `"url" ${place}`);
    for (const key of ['name', 'database', 'tls', 'sentinel-password-env', 'sentinel-password-file'] as const)
      if (said[key] !== undefined)
        report(
          ['state', key],
          `"${key}" goes with "sentinels"; a "url" says it itself (rediss:// for TLS, /1 for database 1)`,
        );
    return typeof place === 'string' ? {} : place;
  }
  if (name === undefined)
    report(['state', 'sentinels'], '"name" is missing: what the sentinels call the master');
  const addresses = (sentinels ?? []).flatMap((text, at) => {
    const address = text === undefined ? undefined : parseSentinel(text);
    if (address === undefined && text !== undefined)
      report(['state', 'sentinels', at], `"${text}" is no address of a sentinel such as 10.0.0.1:26379`);
    return address === undefined ? [] : [address];
  });
  return {
    sentinels: addresses,
    ...(name !== undefined && { name }),
    ...(typeof database === 'number' && database > 0 && { database }),
    ...(tls === true && { tls }),
  };
}

function secretOf(
  file: string,
  said: StateSaid,
  key: 'password' | 'sentinel-password',
  report: Report,
): SecretSource | undefined {
  const env = said[`${key}-env`];
  const path = said[`${key}-file`];
  if (env !== undefined && path !== undefined)
    report(['state', `${key}-file`], `give "${key}-env" or "${key}-file", not both`);
  if (env !== undefined) return { env };
  return path === undefined ? undefined : { file: resolve(dirname(file), path) };
}
