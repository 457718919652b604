import type { Clock, Logger, MediaId, StreamId, Timer } from '../base/index.ts';

/** Two processes that come back at once are asked once; and who died with a stream in hand has been heard of by then. */
const LOOK_AFTER_MS = 50;
/** While one does not answer, or is away and may come back with them. */
const LOOK_AGAIN_MS = 300;

export interface LostStreamsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly media: {
    readonly complete: boolean;
    locate(streams: readonly StreamId[]): Promise<Map<StreamId, MediaId | 'standby'> | undefined>;
  };
  readonly calls: {
    readonly openStreams: readonly StreamId[];
    streamMoved(stream: StreamId, media: MediaId): void;
    streamsLost(streams: readonly StreamId[]): void;
  };
}

/**
 * Finds streams that no media process has any more: both of a pair died, one forgot, or its engine is one from which nobody takes
 * over. A stream of a single dead process of ours is not among them, its twin has it by the time that anybody asks.
 */
export class LostStreams {
  readonly #options: LostStreamsOptions;
  #timer: Timer | undefined;
  #looking = false;
  #again = false;

  constructor(options: LostStreamsOptions) {
    this.#options = options;
  }

  /** A media process came, took over from another, or went. */
  look(): void {
    this.#soon(LOOK_AFTER_MS);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#again = false;
  }

  #soon(afterMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(afterMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    const { log, media, calls } = this.#options;
    const streams = calls.openStreams;
    const places =
      streams.length === 0 ? new Map<StreamId, MediaId | 'standby'>() : await media.locate(streams);
    this.#looking = false;
    if (this.#again) {
      this.#again = false;
      this.#soon(LOOK_AFTER_MS);
      return;
    }
    if (places === undefined) {
      this.#soon(LOOK_AGAIN_MS);
      return;
    }
    for (const [stream, place] of places) if (place !== 'standby') calls.streamMoved(stream, place);
    const lost = streams.filter((stream) => !places.has(stream));
    if (lost.length === 0) return;
    if (!media.complete) {
      this.#soon(LOOK_AGAIN_MS);
      return;
    }
    log.warn({ streams: lost.length }, 'media.streams_lost');
    calls.streamsLost(lost);
  }
}
