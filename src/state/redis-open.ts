import { type Logger, TwinlineError } from '../base/index.ts';
import type { RedisConnection } from './redis-connection.ts';
import { redisError } from './redis-errors.ts';
import type { RedisPlace } from './redis-place.ts';

/** XRANGE with an open beginning. */
const OLDEST = [6, 2] as const;

/** Connects, and looks whether the server can keep the state. Rejects with one sentence for people. */
export async function examineServer(
  connection: RedisConnection,
  place: RedisPlace,
  withinMs: number,
  log: Logger,
): Promise<void> {
  try {
    await connection.connect(withinMs);
  } catch (error) {
    throw unusable(error, connection.where, place);
  }
  const info = String(await connection.call('info', []));
  const said = (field: string): string => new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const { where } = connection;
  const version = said('redis_version');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw new TwinlineError(
      'state_unusable',
      `${where} is version ${version || 'unknown'}: 6.2 or newer is needed`,
    );
  if (said('redis_mode') === 'cluster')
    throw new TwinlineError(
      'state_unusable',
      `${where} is part of a Redis Cluster, which is not supported: use one master with replicas and sentinels`,
    );
  if (said('role') !== 'master')
    throw new TwinlineError(
      'state_unusable',
      `${where} is a replica of ${said('master_host')}:${said('master_port')}: name the master, or the sentinels`,
    );
  if (said('maxmemory') !== '0' && said('maxmemory_policy') !== 'noeviction')
    log.warn({ state: where, policy: said('maxmemory_policy') }, 'state.may_be_evicted');
  if (said('aof_enabled') === '0') log.warn({ state: where }, 'state.not_kept_on_disk');
}

export const INSTALLATION_KEY = '1//installation';

const PAIR_KEY = '1//pair-key';

/** `pairKey`: what tells the file with the pair's keys from another, where several machines must have the same. */
export async function claim(
  connection: RedisConnection,
  installation: string,
  pairKey?: string,
): Promise<void> {
  const isOurs = async (key: string, value: string): Promise<boolean> => {
    await connection.call('set', [key, value, 'NX'], 'again');
    return String(await connection.call('get', [key], 'again')) === value;
  };
  if (await isOurs(INSTALLATION_KEY, installation)) {
    if (pairKey === undefined || (await isOurs(PAIR_KEY, pairKey))) return;
    throw new TwinlineError(
      'state_of_another',
      `${connection.where} holds calls that were sealed under another "pair.key": every machine needs the same file`,
    );
  }
  throw new TwinlineError(
    'state_of_another',
    `${connection.where} holds the state of another installation: give this one a database of its own (redis://…/1), or empty it with FLUSHDB if that one is gone`,
  );
}

function unusable(error: unknown, where: string, { sentinels }: RedisPlace): TwinlineError {
  const known = redisError(error, where);
  const say = (sentence: string): TwinlineError =>
    new TwinlineError('state_unusable', `${where} ${sentence}`, { cause: error });
  switch (known.code) {
    case 'state_refused':
      return say(
        'refuses our user or password: correct "username", "password-file" or "password-env" of "state"',
      );
    case 'state_garbage':
      return say('is no Redis: something else listens there; correct "state" in the topology');
    case 'state_loading':
      return say('is still loading its data: wait until it answers, then start again');
    case 'state_timeout':
      return say(
        'does not answer: is it frozen, or no Redis? Correct "state" in the topology, or restart it',
      );
    default:
      return say(
        sentinels === undefined
          ? 'cannot be reached: start it, or correct "state" in the topology'
          : 'cannot be reached: start the sentinels and the master, or correct "sentinels" and "name" of "state" in the topology',
      );
  }
}
