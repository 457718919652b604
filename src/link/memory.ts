import { type Clock, TwinlineError } from '../base/index.ts';
import type { Channel, Peer } from './channel.ts';

export interface MemoryLink {
  /** `left`'s end: its `peer` is `right`. */
  readonly left: Channel;
  readonly right: Channel;
  /** One-way delay of what is sent from now on. */
  delayMs: number;
  /** What is sent from now on vanishes silently, both ways. */
  cut(): void;
  /** Ends a cut. If something had vanished meanwhile, the next frame shows the gap and closes the channel, as a reset would. */
  heal(): void;
}

/** A pair of channels on a clock, with the semantics of the real ones: for unit tests and the simulator. */
export function memoryLink(_options: {
  readonly clock: Clock;
  readonly left: Peer;
  readonly right: Peer;
  readonly delayMs?: number;
  readonly window?: { readonly frames: number; readonly bytes: number };
}): MemoryLink {
  throw new TwinlineError('not_ready', 'memoryLink is being written');
}
