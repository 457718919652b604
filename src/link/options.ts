import type { Clock, Logger, Random } from '../base/index.ts';
import type { Channel, Peer } from './channel.ts';

/**
 * `acknowledgeMs` between edge and switch: what a switch has handled and not acknowledged when it dies is said again to its successor,
 * so it shall be little, and under load an answer takes the acknowledgement along within this time.
 */
export const SIP_ACKNOWLEDGE_MS = 5;

/** What every link needs to know. */
export interface LinkOptions {
  /** Who we are, told in the greeting. */
  readonly self: Peer;
  readonly clock: Clock;
  readonly log: Logger;
  /** A greeted peer. Set `onFrame` and `onClose` before returning; frames that came early are held until `onFrame` is set. */
  readonly onChannel: (channel: Channel) => void;
  /** Refuses a peer with a sentence; undefined lets it in. */
  readonly refuse?: (peer: Peer) => string | undefined;
  /** Detects a half-open connection: nothing heard for `timeoutMs` closes it. Off without this: zones have heartbeats of their own. */
  readonly ping?: { readonly everyMs: number; readonly timeoutMs: number };
  /** Bounds of what is queued and not yet acknowledged, per lane. Default 1024 frames, 4 MiB (`priority` 1 MiB). */
  readonly window?: { readonly frames: number; readonly bytes: number };
  /**
   * How long an acknowledgement waits for data that leaves anyway; at most twice as long. Default 5000: it is owed to the
   * peer's window only, and a quarter of that leaves at once. Short where the peer passes unacknowledged frames on to another.
   */
  readonly acknowledgeMs?: number;
}

export interface ConnectOptions extends LinkOptions {
  readonly random: Random;
  /** The connection's state for status pages and logs: `down` carries why. */
  readonly onState?: (state: LinkState, reason: string) => void;
  /** Waits between attempts, doubling from `firstMs` to `maxMs`. Default 5 and 250. */
  readonly retry?: { readonly firstMs: number; readonly maxMs: number };
}

export type LinkState = 'connecting' | 'up' | 'down';

export interface LinkListener {
  /** Stops listening and closes every channel that came in by it. */
  close(): Promise<void>;
}

export interface LinkClient {
  /** The present channel; undefined while there is none. */
  readonly channel: Channel | undefined;
  /** Ends the channel and the attempts. */
  close(reason?: string): void;
}
