/**
 * A call as plain data and what one does with it: legs, ringing, answer, hold, end. `step` says what follows from an event;
 * committing and carrying out is the switch's business. Nothing here knows of sockets, processes or engines.
 */
export { type Adoption, adoptions, situationsOf } from './adoption-table.ts';
export { type Feature, isEndToEnd, mayUse } from './end-to-end-rules.ts';
export {
  belongsTo,
  type CallSummaryCore,
  isHeardByAll,
  leavesZone,
  sipCallIdsOf,
  summaryOf,
} from './lookup.ts';
export { CALL_SCHEMA_VERSION, type Call, type CallState, callStates } from './model.ts';
export { recordOf } from './record.ts';
export { beginCall, step } from './step.ts';
export { readTrunkCall, type TrunkCall, trunkDevice } from './trunk.ts';
export type * from './types.ts';
