/**
 * A zone's supervisor: starts switches and media, watches them and the twin by heartbeat, fences what is stale and grants its
 * bundles anew. It decides who owns; it never touches a call.
 */
export type { ChildRole, SpawnedProcess, Spawner } from './children.ts';
export type { ProcessEnder } from './fencing.ts';
export { BUNDLES_PER_SWITCH } from './grants.ts';
export { Heartbeat } from './heartbeat.ts';
export { readProcessFacts } from './proc-watch.ts';
export type { ProcessFacts, ProcessWatch } from './process-facts.ts';
export { startZone, type ZoneOptions } from './start.ts';
export { Supervisor, type SupervisorOptions } from './supervisor.ts';
