import { type Clock, type Logger, TwinlineError, type ZoneId } from '../base/index.ts';
import type { StatePort } from './port.ts';

export interface LmdbOptions {
  /** The installation's data directory: environments are `<directory>/state/<zone>/{volatile,durable}`. */
  readonly directory: string;
  readonly zone: ZoneId;
  readonly twin: ZoneId;
  readonly clock: Clock;
  readonly log: Logger;
  /** Identifies this boot of the machine (/proc/sys/kernel/random/boot_id): volatile state of an earlier boot is cleared. */
  readonly bootId: string;
}

/** The embedded engine. Rejects with `state_open_failed` naming the directory. */
export async function openLmdbState(_options: LmdbOptions): Promise<StatePort> {
  throw new TwinlineError('not_ready', 'openLmdbState is being written');
}
