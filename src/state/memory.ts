import { type Clock, TwinlineError, type ZoneId } from '../base/index.ts';
import type { StatePort } from './port.ts';

/** What zones share in unit tests and the simulator: each `open` gives one process's port into it. */
export class MemoryCluster {
  constructor(_options: { readonly clock: Clock; readonly delayMs?: number }) {}

  /** A port as a process of `zone` sees it; `twin` is whose environment it reads besides its own. */
  open(_zone: ZoneId, _twin: ZoneId): MemoryState {
    throw new TwinlineError('not_ready', 'MemoryCluster is being written');
  }
}

export interface MemoryState extends StatePort {
  /** The engine cannot be reached: what is asked from now on `rejects` with `state_away` or `hangs` until `back`. */
  away(how: 'rejects' | 'hangs'): void;
  back(): void;
}
