import {
  type BundleId,
  type Clock,
  type Logger,
  type MediaId,
  type Random,
  randomText,
  type StreamId,
  TwinlineError,
} from '../../base/index.ts';
import { capabilitiesFor, type MediaCapability } from '../capabilities.ts';
import type { Engine } from '../door.ts';
import { checkMove, Epochs } from '../epochs.ts';
import type { MediaLimits } from '../options.ts';
import type {
  BundleEpoch,
  HandedOver,
  MediaEvent,
  StreamOpened,
  StreamReport,
  StreamSpec,
  StreamsFound,
} from '../protocol.ts';
import { checkSpec } from '../spec.ts';
import { type Figures, NO_FIGURES, reportOf } from './figures.ts';
import type { NgClient } from './ng-client.ts';
import { NgStream, type Partner } from './ng-stream.ts';

/**
 * What of rtpengine is used. It has more (ICE, DTLS, transcoding, playing), but by its own terms of offer and answer; here the call's logic
 * negotiates.
 */
export const RTPENGINE_CAPABILITIES: readonly MediaCapability[] = ['relay', 'srtp', 'report'];

/** Each stream is asked after once in so many watches: one that rtpengine has dropped is known of within that time. */
const WATCHES_PER_ROUND = 10;

export interface RtpengineEngineOptions {
  readonly id: MediaId;
  readonly client: Pick<NgClient, 'ask'>;
  readonly innerFamily: 4 | 6;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits: Pick<MediaLimits, 'silentAfterMs' | 'orphanMs' | 'dscp'>;
  readonly event: (event: MediaEvent) => void;
  /** `takesNone` has changed. */
  readonly turned: () => void;
}

/** Streams in an rtpengine: it relays, we say what. One that does not answer gets no new streams, and what it forgets is told. */
export class RtpengineEngine implements Engine {
  readonly capabilities = RTPENGINE_CAPABILITIES;
  readonly #options: RtpengineEngineOptions;
  readonly #streams = new Map<StreamId, NgStream>();
  /** Nothing is to be told to a twin. */
  readonly #epochs = new Epochs(() => {});
  /** Of one process's life: what a former one left in rtpengine is another's. */
  readonly #life: string;
  #draining = false;
  #away = false;
  #watching = false;
  /** The streams that are still to be asked after in this round. */
  #round: NgStream[] = [];
  #packetsPerSecond = 0;
  #counted = { packets: 0, atMs: 0 };

  constructor(options: RtpengineEngineOptions) {
    this.#options = options;
    this.#life = randomText(options.random, 8);
    this.#counted.atMs = options.clock.nowMs();
  }

  get takesNone(): boolean {
    return this.#draining || this.#away;
  }

  /** It does not answer. */
  get away(): boolean {
    return this.#away;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get addresses(): string[] {
    return [...new Set([...this.#streams.values()].flatMap(({ outer }) => outer?.place.address ?? []))];
  }

  /** Over the last round. */
  get packetsPerSecond(): number {
    return this.#packetsPerSecond;
  }

  async put(value: unknown, owner: string, opened: unknown): Promise<StreamOpened> {
    const { clock } = this.#options;
    const spec = checkSpec(value, () => false);
    const lacking = capabilitiesFor(spec).find((one) => !this.capabilities.includes(one));
    if (lacking !== undefined)
      throw new TwinlineError(
        'unsupported',
        `stream ${spec.id} needs ${lacking}, which rtpengine has not here`,
      );
    this.#epochs.check(spec.bundle, spec.epoch);
    const known = this.#streams.get(spec.id);
    const stream = known ?? this.#newStream(spec, opened);
    const before = stream.spec;
    checkMove(before, spec, this.#epochs);
    if (spec.family !== before.family)
      throw new TwinlineError('bad_spec', "a stream's family: it cannot change, open another stream");
    stream.spec = spec;
    stream.owner = owner;
    stream.ownerSeenMs = clock.nowMs();
    try {
      await stream.apply(() => this.#partnerOf(stream));
    } catch (error) {
      throw this.#failed(stream, error, known === undefined);
    }
    // Where its audio goes, and where it came from before: their own puts, if they come at all, come at other times.
    const concerned = new Set([before.source, spec.source, this.#listenerOf(stream)?.spec.id]);
    await this.#applyTo(
      [...this.#streams.values()].filter((other) => other !== stream && concerned.has(other.spec.id)),
    );
    // Its own inner end may have been opened after the other had asked for it.
    await stream
      .apply(() => this.#partnerOf(stream))
      .catch((error: unknown) => {
        throw this.#failed(stream, error, false);
      });
    return this.#opened(stream);
  }

  own(bundles: readonly BundleEpoch[]): void {
    for (const { bundle, epoch } of bundles) this.#epochs.check(bundle, epoch);
  }

  find(ids: readonly StreamId[]): StreamsFound {
    return {
      here: ids.filter((id) => this.#streams.has(id)),
      standby: [],
      unknown: ids.filter((id) => !this.#streams.has(id)),
    };
  }

  async close(bundle: BundleId, epoch: number, ids: readonly StreamId[]): Promise<StreamReport[]> {
    this.#epochs.check(bundle, epoch);
    const ending = ids.flatMap((id) => {
      const stream = this.#streams.get(id);
      return stream?.spec.bundle === bundle ? [stream] : [];
    });
    for (const { spec } of ending) this.#streams.delete(spec.id);
    // Before their ports can be anybody else's.
    await this.#disconnected(ending);
    return Promise.all(
      ending.map(async (stream) => reportOf(stream.spec.id, (await stream.end()) ?? NO_FIGURES)),
    );
  }

  async drain(on: boolean): Promise<HandedOver> {
    this.#draining = on;
    this.#options.turned();
    return this.handOver();
  }

  /** Nobody could go on with them at the same place under the same keys. */
  async handOver(): Promise<HandedOver> {
    const remaining = this.#streams.size;
    return { handed: 0, remaining, ...(remaining > 0 && { reason: 'no_adopt_in_place' }) };
  }

  missed(): MediaEvent[] {
    return [];
  }

  /** To be called once a second: asks after some streams, or whether rtpengine is there at all. */
  async watch(owners: ReadonlySet<string>): Promise<void> {
    // It is slow: the next time.
    if (this.#watching) return;
    this.#watching = true;
    try {
      if (this.#streams.size === 0) await this.#options.client.ask({ command: 'ping' });
      else await this.#watchSome(owners);
      this.#turn(false);
    } catch (error) {
      if (!isAway(error)) this.#options.log.warn({ error: String(error) }, 'rtpengine.watch_failed');
      this.#turn(isAway(error));
    } finally {
      this.#watching = false;
    }
  }

  /** It is known to have ended: nothing that it had is left. */
  ended(): void {
    this.#turn(true);
  }

  /** Leaves in rtpengine what phones still hear each other by; it ends by itself when they stop. */
  stop(): void {
    for (const stream of this.#streams.values()) stream.ended = true;
    this.#streams.clear();
  }

  #newStream(spec: StreamSpec, opened: unknown): NgStream {
    const { client, innerFamily, limits, clock } = this.#options;
    if (opened !== undefined)
      throw new TwinlineError(
        'unknown_stream',
        `stream ${spec.id} is not known any more: it needs a new offer`,
      );
    if (spec.sendKey !== undefined)
      throw new TwinlineError('unsupported', `stream ${spec.id} needs given-keys: rtpengine makes its own`);
    if (this.#away)
      throw new TwinlineError('draining', 'rtpengine does not answer: ask the twin of this media process');
    const callId = `twinline-${this.#options.id}-${this.#life}-${spec.call}-${spec.id}`;
    const stream = new NgStream({ client, callId, innerFamily, dscp: limits.dscp }, spec, clock.nowMs());
    stream.nextSilentEventMs = clock.nowMs() + limits.silentAfterMs;
    this.#streams.set(spec.id, stream);
    return stream;
  }

  /** What the switch is told of it. What rtpengine has forgotten is forgotten here too. */
  #failed(stream: NgStream, error: unknown, isNew: boolean): TwinlineError {
    const problem = error instanceof TwinlineError ? error : new TwinlineError('unknown', String(error));
    const { code, message } = problem;
    if (isNew || code === 'unknown_stream') this.#forget(stream);
    if (code === 'ng_away') this.#turn(true);
    if (code === 'ng_away' || code === 'ng_busy')
      return new TwinlineError(isNew ? 'draining' : 'engine_away', message);
    return code === 'ng_refused' && /ports/i.test(message) ? new TwinlineError('no_ports', message) : problem;
  }

  #forget(stream: NgStream): void {
    if (this.#streams.get(stream.spec.id) === stream) this.#streams.delete(stream.spec.id);
    void this.#disconnected([stream]).then(() => stream.end());
  }

  /** Those that heard or were heard by streams that are gone. */
  async #disconnected(gone: readonly NgStream[]): Promise<void> {
    const sources = new Set(gone.map(({ spec }) => spec.source));
    const ids = new Set<StreamId | undefined>(gone.map(({ spec }) => spec.id));
    await this.#applyTo(
      [...this.#streams.values()].filter(({ spec }) => sources.has(spec.id) || ids.has(spec.source)),
    );
  }

  /** Streams that nobody has put now, but whose other end has changed. */
  async #applyTo(streams: readonly NgStream[]): Promise<void> {
    await Promise.all(
      streams.map((stream) =>
        stream
          .apply(() => this.#partnerOf(stream))
          .catch((error: unknown) => {
            const { id } = stream.spec;
            this.#options.log.warn({ stream: id, error: String(error) }, 'rtpengine.not_connected');
            const { code } = this.#failed(stream, error, false);
            if (code === 'unknown_stream') this.#options.event({ type: 'lost', streams: [id] });
          }),
      ),
    );
  }

  /** One stream's audio goes out by one other: by that which has it for its source, the one that talks back before all. */
  #listenerOf({ spec }: NgStream): NgStream | undefined {
    const talksBack = spec.source === undefined ? undefined : this.#streams.get(spec.source);
    if (talksBack?.spec.source === spec.id) return talksBack;
    for (const other of this.#streams.values()) if (other.spec.source === spec.id) return other;
    return undefined;
  }

  #partnerOf(stream: NgStream): Partner {
    const source = stream.spec.source === undefined ? undefined : this.#streams.get(stream.spec.source);
    const listener = this.#listenerOf(stream);
    return {
      receives: listener?.inner,
      isMuted: listener !== undefined && !passes(stream, listener),
      isAlone: source !== undefined && source === listener,
    };
  }

  #opened(stream: NgStream): StreamOpened {
    const { spec, outer } = stream;
    if (outer === undefined) throw new TwinlineError('unknown_stream', `stream ${spec.id} ended meanwhile`);
    return {
      stream: spec.id,
      media: this.#options.id,
      ...outer.place,
      rtcpPort: spec.rtcpMux ? outer.place.port : outer.rtcpPort,
      sendKeys: stream.sendKeys,
    };
  }

  async #watchSome(owners: ReadonlySet<string>): Promise<void> {
    if (this.#round.length === 0) this.#newRound();
    const lost: StreamId[] = [];
    for (let left = Math.ceil(this.#streams.size / WATCHES_PER_ROUND); left > 0; left--) {
      const stream = this.#round.pop();
      if (stream === undefined) break;
      if (stream.ended || !this.#streams.has(stream.spec.id)) continue;
      try {
        this.#heard(stream, await stream.query(), owners);
      } catch (error) {
        if (!(error instanceof TwinlineError) || error.code !== 'unknown_stream') throw error;
        if (stream.ended) continue;
        this.#forget(stream);
        lost.push(stream.spec.id);
        // Where one is gone all may be.
        left = this.#round.length + 1;
      }
    }
    if (lost.length === 0) return;
    this.#options.log.warn({ streams: lost.length }, 'rtpengine.streams_lost');
    this.#options.event({ type: 'lost', streams: lost });
  }

  #newRound(): void {
    this.#round = [...this.#streams.values()];
    const nowMs = this.#options.clock.nowMs();
    const seconds = (nowMs - this.#counted.atMs) / 1000;
    if (seconds > 0) this.#packetsPerSecond = Math.round(this.#counted.packets / seconds);
    this.#counted = { packets: 0, atMs: nowMs };
  }

  #heard(stream: NgStream, figures: Figures, owners: ReadonlySet<string>): void {
    const { clock, limits, event, log } = this.#options;
    const nowMs = clock.nowMs();
    const packets = figures.packetsReceived - (stream.figures?.packetsReceived ?? 0);
    stream.figures = figures;
    if (packets > 0) {
      stream.heardMs = nowMs;
      stream.nextSilentEventMs = nowMs + limits.silentAfterMs;
      this.#counted.packets += packets;
    }
    const quietMs = nowMs - stream.heardMs;
    if (nowMs >= stream.nextSilentEventMs) {
      const { direction, id } = stream.spec;
      if (direction === 'sendrecv' || direction === 'recvonly')
        event({ type: 'silent', stream: id, forMs: Math.round(quietMs) });
      stream.nextSilentEventMs = nowMs + quietMs;
    }
    if (owners.has(stream.owner)) stream.ownerSeenMs = nowMs;
    if (quietMs < limits.orphanMs || nowMs - stream.ownerSeenMs < limits.orphanMs) return;
    log.warn({ stream: stream.spec.id, call: stream.spec.call, owner: stream.owner }, 'media.orphan-ended');
    this.#forget(stream);
  }

  #turn(away: boolean): void {
    if (away === this.#away) return;
    this.#away = away;
    this.#options.log.warn({ media: this.#options.id, away }, away ? 'rtpengine.away' : 'rtpengine.back');
    this.#options.turned();
    if (!away || this.#streams.size === 0) return;
    // Nobody hears anybody there, or nobody can say so any more.
    const streams = [...this.#streams.keys()];
    for (const stream of this.#streams.values()) stream.ended = true;
    this.#streams.clear();
    this.#round = [];
    this.#options.event({ type: 'lost', streams });
  }
}

/** Whether what the one's peer says goes to the other's: rtpengine passes on what a description says is not to be sent. */
const passes = ({ spec: from }: NgStream, { spec: to }: NgStream): boolean =>
  (from.direction === 'sendrecv' || from.direction === 'recvonly') &&
  (to.direction === 'sendrecv' || to.direction === 'sendonly');

const isAway = (error: unknown): boolean => error instanceof TwinlineError && error.code === 'ng_away';
