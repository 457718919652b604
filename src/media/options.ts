import type { PlaybackParts } from '../audio/index.ts';
import type { Clock, Logger, MediaId, Random, StreamId } from '../base/index.ts';
import type { LinkPlace, RemoteDoor } from '../link/index.ts';
import type { DtlsIdentity } from '../native/index.ts';
import type { TapConsumer } from './plane/taps.ts';
import type { HandedOver } from './protocol.ts';

/** What a media process is told by whoever starts it. */
export interface MediaOptions {
  readonly id: MediaId;
  /** Where RTP is received and sent from, by family. A `put` for a family that is absent is refused with `bad_spec`. */
  readonly addresses: { readonly 4?: string; readonly 6?: string };
  /** UDP ports of this zone, both ends included. Pairs (even, odd) are taken from it; a range outside the kernel's ephemeral one. */
  readonly portRange: { readonly first: number; readonly last: number };
  /** More addresses (literals) of media processes of ours: internal links lead there, to our own addresses and to this machine. */
  readonly linkAddresses?: readonly string[];
  /** Unix socket that switches connect to (`link`). Its directory must be 0700. */
  readonly listenPath: string;
  /** Where switches of another machine connect to. */
  readonly remoteDoor?: RemoteDoor | undefined;
  /** Unix socket where this process stands by for its twin. */
  readonly mirrorPath: string;
  /**
   * Our certificates for DTLS, which the twin has too; two, so that a stream's next association can show another one. None: streams with
   * `dtls` fail.
   */
  readonly dtls?: readonly DtlsIdentity[];
  /** The twin's `mirrorPath`, or where it stands by on another machine. Absent: nobody stands by for this process. */
  readonly twinMirror?: LinkPlace;
  /** Where this process stands by for a twin on another machine. */
  readonly mirrorDoor?: RemoteDoor | undefined;
  /**
   * `addresses` come to this machine when they are this process's, and go over to the twin's with its streams: until `addressHere` says so no
   * stream is opened.
   */
  readonly movingAddress?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: Partial<MediaLimits>;
  /** Where prompts and speech for `plays` come from. Absent: only what is computed (tones, digits, silence) can be played. */
  readonly sounds?: PlaybackParts;
  /** Who takes what is tapped. */
  readonly taps?: TapConsumer;
  /** `raised` (the default): this process goes before ordinary ones where this user may have that. */
  readonly priority?: 'raised' | 'ordinary';
}

export interface MediaLimits {
  /** A port pair rests this long before it is given to another stream, so that stragglers do not reach it. */
  readonly portRestMs: number;
  /** A stream ends when its switch has been gone, and nothing was received, for this long. */
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
  /** As `SupervisorToMedia.drain`. Resolves when all that can be handed over now is. */
  drain(on: boolean): Promise<HandedOver>;
  /** As `ZoneToChild.term`: after it nothing is received or sent. Absent: without end. */
  term(untilMs?: number): void;
  /** As `ZoneToMedia.address`. */
  addressHere(here: boolean): void;
  /** As `ZoneToMedia.take-over`. */
  takeOver(media: readonly MediaId[], spokeUntilMs: number): void;
  /** As `SupervisorToMedia.hand-over`. */
  handOver(streams?: readonly StreamId[]): Promise<HandedOver>;
  /**
   * Ends serving. `handOver` (the default) gives the streams to the twin first, as `handOver()` does; what it does not take in time it
   * takes as from a dead process (it is told, so it need not make sure that we are dead). Without it, or without a twin, the streams end.
   */
  stop(options?: { readonly handOver: boolean }): Promise<void>;
}

/** For the supervisor and status pages. */
export interface MediaStatus {
  readonly streams: number;
  /** By which there are streams here. */
  readonly addresses: readonly string[];
  readonly draining: boolean;
  /** Streams of the twin that this process could go on with. */
  readonly standingBy: number;
  readonly twinConnected: boolean;
  /** Over the last second. */
  readonly packetsPerSecond: number;
  readonly cpuPercent: number;
  readonly rssKib: number;
  /** Absent where another program gives out the ports. */
  readonly portsFree?: number;
}
