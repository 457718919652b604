import { type Clock, type Logger, type MediaId, type StreamId, TwinlineError } from '../base/index.ts';
import { type Channel, type Frame, PROTOCOL_VERSION } from '../link/index.ts';
import type {
  BundleEpoch,
  MediaCapability,
  MediaEvent,
  MediaToSwitch,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
  StreamsFound,
  SwitchToMedia,
} from '../media/index.ts';

const REQUEST_TIMEOUT_MS = 2_000;
/** While a media process dies and its twin takes over, a command is said again this often, this many times. */
const RETRY_MS = 20;
const RETRIES = 100;
/** A process that is away may carry the stream that no other knows: it is waited for so long. */
const AWAY_MS = 1_500;
/** Ids in one question. */
const FIND_AT_ONCE = 500;

/** Which media process holds a stream now: it moves when its twin takes over. */
export type Where = () => MediaId | undefined;

/** The channels to the media processes of both zones. A stream stays where it was opened; its taker-over tells us. */
export class MediaLinks {
  readonly #channels = new Map<MediaId, Channel>();
  /** Those that take no new streams for now. */
  readonly #draining = new Set<MediaId>();
  /** What each can do; one of an older release does not say it, and has all. */
  readonly #capabilities = new Map<MediaId, readonly MediaCapability[]>();
  /** Those that were ever here, or are said to carry a stream. */
  readonly #known = new Set<MediaId>();
  /** Those of them that may be here again in a moment. */
  readonly #expected = new Set<MediaId>();
  readonly #preferred: MediaId;
  readonly #switch: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onEvent: (event: MediaEvent, media: MediaId) => void;
  readonly #onCameOrWent: () => void;
  /** Of each stream with puts under way: how many there were and are, and what comes of the newest. */
  readonly #puts = new Map<StreamId, { asked: number; open: number; newest: Promise<unknown> }>();

  constructor(options: {
    /** The own zone's media: new streams are opened there while it lives. */
    preferred: MediaId;
    switch: string;
    clock: Clock;
    log: Logger;
    onEvent: (event: MediaEvent, media: MediaId) => void;
    /** A process is here, or again: what it carried before may be gone. Or it went, and nobody takes its streams over. */
    onCameOrWent?: () => void;
  }) {
    this.#preferred = options.preferred;
    this.#switch = options.switch;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onEvent = options.onEvent;
    this.#onCameOrWent = options.onCameOrWent ?? (() => {});
  }

  accept(channel: Channel): void {
    const id = channel.peer.id as MediaId;
    this.#channels.set(id, channel);
    this.#capabilities.delete(id);
    this.#known.add(id);
    this.#expected.delete(id);
    channel.onFrame((frame: Frame) => {
      if (frame.kind === 'event') this.#onEvent(frame.data as MediaEvent, id);
      if (frame.kind === 'capabilities')
        this.#capabilities.set(id, (frame.data as MediaToSwitch['capabilities']).has);
      if (frame.kind === 'draining') {
        if ((frame.data as MediaToSwitch['draining']).on) this.#draining.add(id);
        else this.#draining.delete(id);
      }
      return undefined;
    });
    channel.onClose((reason) => {
      if (this.#channels.get(id) === channel) {
        this.#channels.delete(id);
        // Started anew, it drains no more unless it says so.
        this.#draining.delete(id);
        this.#expect(id);
      }
      this.#log.warn({ media: id, reason }, 'media.disconnected');
      if (this.#channels.size > 0) this.#onCameOrWent();
    });
    channel.send({
      kind: 'greet',
      data: { version: PROTOCOL_VERSION, switch: this.#switch },
      lane: 'priority',
    });
    this.#log.info({ media: id }, 'media.connected');
    this.#onCameOrWent();
  }

  /**
   * Opens or changes a stream, `where` it is at the moment of each attempt. `opened`: where the peer was told to send, if it was told.
   * Rejects with the media process's code (`no_ports`, `bad_spec`, `unknown_stream`: needs an offer with new keys …) or `media_away`.
   */
  async put(stream: StreamSpec, where: Where, opened?: StreamPlace): Promise<StreamOpened> {
    const data = { stream, ...(opened && { opened }) };
    const puts = this.#puts.get(stream.id) ?? { asked: 0, open: 0, newest: Promise.resolve() };
    this.#puts.set(stream.id, puts);
    const number = ++puts.asked;
    puts.open++;
    const result = this.#ask({ kind: 'put', data, epoch: stream.epoch }, where, () =>
      puts.asked === number ? undefined : puts.newest,
    );
    puts.newest = result;
    try {
      return (await result) as StreamOpened;
    } finally {
      // Only when none is under way is there nothing that an old one could undo.
      if (--puts.open === 0) this.#puts.delete(stream.id);
    }
  }

  /**
   * Lets every media process know who holds these bundles from now on: what a former owner says is refused then. Resolves when all that
   * are there have answered or are slow; rejects with `stale_epoch` when one of them knows of a higher epoch than ours.
   */
  async own(bundles: readonly BundleEpoch[]): Promise<void> {
    await Promise.all(
      [...this.#channels.values()].map(async (channel) => {
        try {
          const frame: Frame = { kind: 'own', data: { bundles }, lane: 'priority' };
          await channel.request(frame, REQUEST_TIMEOUT_MS);
        } catch (error) {
          if (error instanceof TwinlineError && error.code === 'stale_epoch') throw error;
          this.#log.warn({ media: channel.peer.id, error: String(error) }, 'media.own_unanswered');
        }
      }),
    );
  }

  /** Nobody is away who may come back in a moment, with streams that nobody else knows. */
  get complete(): boolean {
    return this.#expected.size === 0;
  }

  /** Of the process by which a new stream would be opened now; undefined: all, or nobody is here. */
  get capabilities(): readonly MediaCapability[] | undefined {
    const channel = this.#channelFor(undefined, undefined, new Set());
    return channel && this.#capabilities.get(channel.peer.id as MediaId);
  }

  #expect(media: MediaId): void {
    this.#known.add(media);
    this.#expected.add(media);
    this.#clock.after(AWAY_MS, () => this.#expected.delete(media));
  }

  /**
   * Who carries these streams; `standby` for one that a process holds for a twin which did not say so itself. One that is absent is known to
   * nobody who is here. Undefined when a process did not answer.
   */
  async locate(streams: readonly StreamId[]): Promise<Map<StreamId, MediaId | 'standby'> | undefined> {
    const places = new Map<StreamId, MediaId | 'standby'>();
    for (const media of [...this.#channels.keys()]) {
      for (let at = 0; at < streams.length; at += FIND_AT_ONCE) {
        const found = await this.find(media, streams.slice(at, at + FIND_AT_ONCE));
        if (found === undefined) return undefined;
        for (const id of found.here) places.set(id, media);
        for (const id of found.standby) if (!places.has(id)) places.set(id, 'standby');
      }
    }
    return places;
  }

  /** Which of these streams that process knows; undefined when it is away. */
  async find(media: MediaId, streams: readonly StreamId[]): Promise<StreamsFound | undefined> {
    const channel = this.#channels.get(media);
    if (channel === undefined) return undefined;
    try {
      const reply = await channel.request({ kind: 'find', data: { streams } }, REQUEST_TIMEOUT_MS);
      return reply.data as StreamsFound;
    } catch {
      return undefined;
    }
  }

  async close(data: Omit<SwitchToMedia['close'], 'reply'>, where: Where): Promise<readonly StreamReport[]> {
    const reply = await this.#ask({ kind: 'close', data, epoch: data.epoch }, where);
    return (reply as { reports: StreamReport[] }).reports;
  }

  /** `newer`: what was asked of the same stream meanwhile. To ask for the former state again would undo it. */
  async #ask(frame: Frame, where: Where, newer?: () => Promise<unknown> | undefined): Promise<unknown> {
    let standsBy: Standby | undefined;
    /** Who does not know the stream. */
    const unaware = new Set<MediaId>();
    const carrier = where();
    if (carrier !== undefined && !this.#known.has(carrier)) this.#expect(carrier);
    for (let attempt = 0; ; attempt++) {
      const superseded = attempt === 0 ? undefined : newer?.();
      if (superseded !== undefined) return superseded;
      const channel = this.#channelFor(where(), standsBy, unaware);
      if (channel !== undefined) {
        try {
          return (await channel.request(frame, REQUEST_TIMEOUT_MS)).data;
        } catch (error) {
          const code = error instanceof TwinlineError ? error.code : 'unknown';
          const media = channel.peer.id as MediaId;
          if (code === 'unknown_stream') {
            unaware.add(media);
            const asked = [...this.#channels.keys()].every((id) => unaware.has(id));
            if (asked && this.complete) throw error;
            if (!asked) continue;
          } else if (!TRANSIENT.has(code)) throw error;
          if (code === 'standby') {
            standsBy = { media, times: (standsBy?.times ?? 0) + 1 };
            // It stands by for one who does not know the stream either.
            if (unaware.size > 0 && standsBy.times >= TURN_TO_TWIN_AFTER) unaware.add(media);
          } else if (code === 'draining') standsBy = { media, times: TURN_TO_TWIN_AFTER };
          else standsBy = undefined;
        }
      } else if (unaware.size > 0 && this.complete)
        throw new TwinlineError('unknown_stream', 'no media process knows the stream any more');
      if (attempt >= RETRIES) throw new TwinlineError('media_away', 'no media process answers');
      await new Promise<void>((resolve) => this.#clock.after(RETRY_MS, resolve));
    }
  }

  #channelFor(
    where: MediaId | undefined,
    standsBy: Standby | undefined,
    unaware: ReadonlySet<MediaId>,
  ): Channel | undefined {
    if (unaware.size > 0) return [...this.#channels].find(([id]) => !unaware.has(id))?.[1];
    if (standsBy !== undefined && standsBy.times >= TURN_TO_TWIN_AFTER) {
      for (const [id, channel] of this.#channels) if (id !== standsBy.media) return channel;
    }
    if (where !== undefined && this.#channels.has(where)) return this.#channels.get(where);
    const preferred = this.#channels.get(this.#preferred);
    if (preferred !== undefined && !this.#draining.has(this.#preferred)) return preferred;
    for (const [id, channel] of this.#channels) if (!this.#draining.has(id)) return channel;
    return preferred ?? this.#channels.values().next().value;
  }
}

/** Who said last that the twin carries the stream, and how often in a row. */
interface Standby {
  readonly media: MediaId;
  readonly times: number;
}

/**
 * After so many the twin is not about to die: it carries the stream, and we have not heard that it took over, because our call's former
 * owner died with the news.
 */
const TURN_TO_TWIN_AFTER = 5;

/** `standby`: the stream lives at the twin's (which is dying, or we are wrong): ask again shortly. `draining`: ask another. */
const TRANSIENT = new Set(['link_closed', 'link_full', 'link_timeout', 'standby', 'draining']);
