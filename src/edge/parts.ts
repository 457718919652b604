import type { Clock, FlowId, Logger, Tokens } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import type { Counters } from './counters.ts';
import type { EdgeLimits } from './limits.ts';
import type { Lookups } from './lookups.ts';
import type { Transports } from './options.ts';
import type { Owners } from './owners.ts';
import type { OwnPace } from './pace.ts';
import type { Sources } from './sources.ts';
import type { Spread } from './spread.ts';
import type { TransactionMap } from './transaction-map.ts';

/** What the edge's parts share: made once by `EdgeCore`. */
export interface Parts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: EdgeLimits;
  readonly tokens: Tokens;
  readonly transports: Transports;
  readonly counters: Counters;
  readonly owners: Owners;
  readonly spread: Spread;
  readonly transactions: TransactionMap;
  readonly lookups: Lookups;
  readonly sources: Sources;
  readonly pace: OwnPace;
  /** Connections whose messages a switch has seen: their end is told. */
  readonly knownFlows: Set<FlowId>;
  readonly startedMs: number;
  /** Since when messages may come whose transaction another edge knew: the start, or the death of another edge. */
  readonly recovery: { sinceMs: number };
}

/** One of our own stands there, for many phones: no limit of a source is put on it. */
export const isTrusted = ({ door, dataCentre }: Flow): boolean => door === true || dataCentre !== undefined;

/** Shortly after the start the edge may not know yet what an earlier one, or its switches, knew; nor what an edge knew that died. */
export const isRecovering = ({ clock, recovery, limits }: Parts): boolean =>
  clock.nowMs() - recovery.sinceMs < limits.recoverMs;
