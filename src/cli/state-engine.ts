import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Clock, type Random, silentLogger, TwinlineError } from '../base/index.ts';
import { bootId } from '../native/index.ts';
import type { RedisCredentials, StatePort, StateReader } from '../state/index.ts';
import type { PlannedZone } from './plan.ts';
import type { ProcessContext } from './process-context.ts';
import type { RedisTopology, SecretSource, StateTopology } from './topology-state.ts';

/** As `openState`, for those who adopt: while the state is away an adoption waits for it. */
export async function openAdoptersState(context: ProcessContext, zone: PlannedZone): Promise<StatePort> {
  const { patientInAdoption } = await import('../state/index.ts');
  return patientInAdoption(await openState(context, zone), context);
}

/** The state as a process of that zone has it. */
export async function openState(context: ProcessContext, zone: PlannedZone): Promise<StatePort> {
  const { openLmdbState, openRedisState } = await import('../state/index.ts');
  const { state } = context.plan;
  if (state.engine === 'lmdb') return openLmdbState(lmdbOptions(context, zone));
  return openRedisState(redisOptions(context, zone, state));
}

/** For a process that owns nothing: with LMDB it takes no lock once it has opened, so that no zone waits for it. */
export async function openReader(context: ProcessContext, zone: PlannedZone): Promise<StateReader> {
  const { openLmdbReader, openRedisReader } = await import('../state/index.ts');
  const { state } = context.plan;
  if (state.engine === 'lmdb') return openLmdbReader(lmdbOptions(context, zone));
  return openRedisReader(redisOptions(context, zone, state));
}

/**
 * Before anything is started: whether the state can be kept where the topology says, and whether no other installation keeps its own
 * there. Rejects with a sentence for people.
 */
export async function checkStateEngine(
  state: StateTopology,
  pairSecret: Uint8Array,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  /** The file that every machine must have alike; absent where there is but one. */
  pairKeyFile?: string,
): Promise<void> {
  if (state.engine === 'lmdb') return;
  const { claimRedis, loadOrCreateKeyFile } = await import('../state/index.ts');
  const digest = (what: string, secret: Uint8Array): string =>
    createHash('sha256').update(what).update(secret).digest('hex').slice(0, 32);
  const installation = digest('twinline installation', pairSecret);
  const { place } = state;
  const credentials = credentialsOf(state);
  const keys = pairKeyFile === undefined ? undefined : loadOrCreateKeyFile(pairKeyFile, random).keys;
  // The oldest: newer ones come by and by to each machine.
  const oldest = keys?.get(Math.min(...keys.keys()));
  const pairKey = oldest && digest('twinline pair key', oldest);
  await claimRedis({ place, credentials, clock, random, log: silentLogger }, installation, pairKey);
}

const lmdbOptions = ({ plan, clock, log }: ProcessContext, zone: PlannedZone) => ({
  directory: plan.data,
  zone: zone.id,
  twin: zone.twin,
  clock,
  log,
  bootId: bootId(),
});

const redisOptions = ({ clock, random, log }: ProcessContext, zone: PlannedZone, state: RedisTopology) => ({
  place: state.place,
  credentials: credentialsOf(state),
  zone: zone.id,
  twin: zone.twin,
  clock,
  random,
  log,
});

function credentialsOf({ username, password, sentinelPassword }: RedisTopology): RedisCredentials {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: secretFrom(password) }),
    ...(sentinelPassword !== undefined && { sentinelPassword: secretFrom(sentinelPassword) }),
  };
}

function secretFrom(source: SecretSource): string {
  if ('env' in source) {
    const value = process.env[source.env];
    if (value !== undefined && value !== '') return value;
    throw new TwinlineError(
      'state_password_missing',
      `the environment variable ${source.env}, which "state" names for a password of Redis, is not set`,
    );
  }
  try {
    return readFileSync(source.file, 'utf8').trim();
  } catch (error) {
    throw new TwinlineError(
      'state_password_missing',
      `the file ${source.file}, which "state" names for a password of Redis, cannot be read: ${(error as Error).message}`,
    );
  }
}
