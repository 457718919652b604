import type { Clock, Logger, MediaId, Random } from '../base/index.ts';

/** What a media process is told by whoever starts it. */
export interface MediaOptions {
  readonly id: MediaId;
  /** Where RTP is received and sent from, by family. A `put` for a family that is absent is refused with `bad_spec`. */
  readonly addresses: { readonly 4?: string; readonly 6?: string };
  /** UDP ports of this zone, both ends included. Pairs (even, odd) are taken from it; a range outside the kernel's ephemeral one. */
  readonly portRange: { readonly first: number; readonly last: number };
  /** Unix socket that switches connect to (`link`). Its directory must be 0700. */
  readonly listenPath: string;
  /** Unix socket where this process stands by for its twin. */
  readonly mirrorPath: string;
  /** The twin's `mirrorPath`. Absent: nobody stands by for this process. */
  readonly twinMirrorPath?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: Partial<MediaLimits>;
  /** `raised` (the default): this process goes before ordinary ones where this user may have that. */
  readonly priority?: 'raised' | 'ordinary';
}

export interface MediaLimits {
  /** A port pair rests this long before it is given to another stream, so that stragglers do not reach it. */
  readonly portRestMs: number;
  /** A stream ends when its switch is gone and nothing was received for this long. */
  readonly orphanMs: number;
  /** A `silent` event after this long without a packet, then after twice as long, and so on. */
  readonly silentAfterMs: number;
  /** A `put` waits at most this long for the twin. */
  readonly twinWaitMs: number;
  /** DSCP of what is sent (RFC 8837 for voice: 46, EF). */
  readonly dscp: number;
}

export const DEFAULT_LIMITS: MediaLimits = {
  portRestMs: 5_000,
  orphanMs: 300_000,
  silentAfterMs: 10_000,
  twinWaitMs: 200,
  dscp: 46,
};

export interface MediaProcess {
  status(): MediaStatus;
  /**
   * Ends serving. `handOver` (the default) lets the twin go on with the streams (it is told, so it need not make sure that we
   * are dead); without it, or without a twin, the streams end.
   */
  stop(options?: { readonly handOver: boolean }): Promise<void>;
}

/** For the supervisor and status pages. */
export interface MediaStatus {
  readonly streams: number;
  /** Streams of the twin that this process could go on with. */
  readonly standingBy: number;
  readonly twinConnected: boolean;
  /** Over the last second. */
  readonly packetsPerSecond: number;
  readonly cpuPercent: number;
  readonly rssKib: number;
  readonly portsFree: number;
}
