/**
 * The edge: the load-balancer shim that owns the clients' connections. It spreads new work over zones and switches, keeps what
 * belongs to a call on the call's owner, and follows when another switch adopts it. It parses no more than routing needs and
 * keeps no table of dialogs that could be lost.
 */
export type { ClientCertificate } from './connections.ts';
export { EdgeCore } from './core.ts';
export { DEFAULT_LIMITS, type EdgeLimits } from './limits.ts';
export type * from './options.ts';
export { type Edge, startEdge } from './start.ts';
