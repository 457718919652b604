import { type FlowId, TwinlineError } from '../base/index.ts';
import type { Channel, Flow } from '../link/index.ts';
import type { EdgeCoreOptions, EdgeStatus } from './options.ts';

export class EdgeCore {
  constructor(_options: EdgeCoreOptions) {
    throw new TwinlineError('not_ready', 'EdgeCore is being written');
  }

  /** One whole SIP message, or a UDP datagram, from a client. Never throws. */
  receive(_flow: Flow, _bytes: Uint8Array): void {}
  /** A client's connection ended: the switches hear of it. */
  flowClosed(_flow: FlowId): void {}
  /** A switch (or control) connected. It counts as live once it greeted. */
  connected(_channel: Channel): void {}
  status(): Omit<EdgeStatus, 'listeners' | 'flows'> {
    throw new TwinlineError('not_ready', 'EdgeCore is being written');
  }
  /** Stops its timers. */
  close(): void {}
}
