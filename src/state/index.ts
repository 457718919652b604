/**
 * What must survive a process: calls, registrations, leases and ordered logs, behind one port. The embedded engine is LMDB,
 * one environment per zone that only that zone writes; the distributed one is Redis. Nothing here knows what a call is.
 */

export { loadOrCreateKeyFile, type PairKeys } from './key-file.ts';
export { type LmdbOptions, type LmdbState, openLmdbReader, openLmdbState } from './lmdb.ts';
export { MemoryCluster, type MemoryState } from './memory.ts';
export { patientInAdoption } from './patient.ts';
export type * from './port.ts';
export {
  claimRedis,
  openRedisReader,
  openRedisState,
  type RedisState,
  type RedisStateOptions,
} from './redis.ts';
export {
  describePlace,
  parseRedisUrl,
  parseSentinel,
  type RedisAddress,
  type RedisCredentials,
  type RedisPlace,
} from './redis-place.ts';
export { type CallKey, type Sealer, sealer } from './seal.ts';
export { openVault, type Vault } from './vault.ts';
export { MemoryZones } from './zones.ts';
