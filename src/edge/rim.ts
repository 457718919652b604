import type { Clock, EdgeId, FlowId, Logger, Random } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import type { Counters } from './counters.ts';
import type { EdgeLimits } from './limits.ts';
import type { ListenerStatus } from './options.ts';

/** What a listener needs of the edge. */
export interface Rim {
  readonly edge: EdgeId;
  readonly limits: EdgeLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly counters: Counters;
  /** One whole message. */
  receive(flow: Flow, bytes: Uint8Array): void;
  /** What cannot be cut into messages: it is answered if it can be; the listener closes the connection. */
  receiveUnreadable(flow: Flow, bytes: Uint8Array): void;
  flowClosed(flow: FlowId): void;
}

export interface Listener {
  readonly bound: ListenerStatus;
  close(): Promise<void>;
}

/** Node writes IPv4 addresses that reach an IPv6 socket as `::ffff:192.0.2.1`. */
export const plainAddress = (address: string): string =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
