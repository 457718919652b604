import {
  type BundleId,
  type Clock,
  type Logger,
  type MediaId,
  type Random,
  type StreamId,
  TwinlineError,
} from '../base/index.ts';
import { expireTelephoneEvent } from '../rtp/index.ts';
import { applySpec, releaseKeys } from './apply-spec.ts';
import { StreamGraph } from './graph.ts';
import type { MediaLimits } from './options.ts';
import type { MediaEvent, StreamOpened, StreamReport, StreamSpec } from './protocol.ts';
import { reportOn } from './report.ts';
import { checkSpec } from './spec.ts';
import { type Sockets, Stream } from './stream.ts';

/** Who stands by for this process, as the core sees it. */
export interface Mirror {
  /** A stream was opened or changed: resolves when the twin could take it over, when there is no twin, or after the wait. */
  put(stream: Stream): Promise<void>;
  /** Tells the twin at once, before it returns. False: a twin is there and could not be told. */
  commit(stream: Stream): boolean;
  closed(streams: readonly StreamId[]): void;
  /** Once a second: where the streams are. */
  progress(streams: Iterable<Stream>): void;
  /** The twin's streams are not ours, but may be soon. */
  standsBy(stream: StreamId): boolean;
}

export interface CoreOptions {
  readonly id: MediaId;
  readonly addresses: { readonly 4?: string; readonly 6?: string };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits: MediaLimits;
  readonly mirror: Mirror;
  /** Opens a pair of sockets; throws `no_ports`. */
  readonly openSockets: (address: string) => Sockets;
  /** A stream's sockets may receive from now on. */
  readonly start: (stream: Stream) => void;
  readonly closeSockets: (stream: Stream) => void;
  readonly event: (event: MediaEvent) => void;
}

/** Bundles whose highest epoch is remembered after their last stream: a stale owner is refused as long as it may still speak. */
const EPOCHS_REMEMBERED = 16_384;

/** The streams and what switches say of them. No sockets of its own and no clock but the given one. */
export class MediaCore {
  readonly graph = new StreamGraph();
  readonly #options: CoreOptions;
  readonly #epochs = new Map<BundleId, number>();

  constructor(options: CoreOptions) {
    this.#options = options;
  }

  /** Opens the stream or changes it. Throws `TwinlineError` `bad_spec`, `stale_epoch`, `no_ports`, `standby`. */
  async put(value: unknown, owner: string): Promise<StreamOpened> {
    const spec = checkSpec(value);
    this.#checkEpoch(spec.bundle, spec.epoch);
    const known = this.graph.get(spec.id);
    if (known === undefined && this.#options.mirror.standsBy(spec.id))
      throw new TwinlineError(
        'standby',
        `stream ${spec.id} is the twin's: ask again when that has answered or died`,
      );
    const stream = known === undefined ? this.#open(spec) : this.#change(known, spec);
    stream.owner = owner;
    await this.#options.mirror.put(stream);
    return {
      stream: stream.id,
      media: this.#options.id,
      address: stream.local.address,
      port: stream.local.port,
      rtcpPort: stream.spec.rtcpMux ? stream.local.port : stream.local.port + 1,
    };
  }

  /** Ends the bundle's streams that are known here. Throws `stale_epoch`. */
  close(bundle: BundleId, epoch: number, ids: readonly StreamId[]): StreamReport[] {
    this.#checkEpoch(bundle, epoch);
    const reports: StreamReport[] = [];
    const ended: StreamId[] = [];
    let standsBy = false;
    for (const id of ids) {
      const stream = this.graph.get(id);
      if (stream === undefined) standsBy ||= this.#options.mirror.standsBy(id);
      if (stream === undefined || stream.spec.bundle !== bundle) continue;
      reports.push(reportOn(stream));
      this.#end(stream);
      ended.push(id);
    }
    if (ended.length > 0) this.#options.mirror.closed(ended);
    if (reports.length === 0 && standsBy)
      throw new TwinlineError(
        'standby',
        'the streams are the twin’s: ask again when that has answered or died',
      );
    return reports;
  }

  /** Takes streams of a dead twin as they are. */
  adopt(streams: readonly Stream[]): void {
    for (const stream of streams) {
      this.#checkEpochOf(stream.spec);
      this.graph.connect(stream);
      stream.nextSilentEventMs = this.#options.clock.nowMs() + this.#options.limits.silentAfterMs;
    }
  }

  /** To be called a few times a second. */
  tick(isOwnerHere: (owner: string) => boolean): void {
    const nowMs = this.#options.clock.nowMs();
    const { limits, event, log, mirror } = this.#options;
    for (const stream of this.graph) {
      if (stream.events.code >= 0) {
        const dtmf = expireTelephoneEvent(stream.events, telephoneEventRate(stream), nowMs);
        if (dtmf !== undefined) event({ type: 'dtmf', stream: stream.id, ...dtmf });
      }
      const quietMs = nowMs - stream.lastHeardMs;
      if (nowMs >= stream.nextSilentEventMs) {
        if (quietMs >= limits.silentAfterMs) {
          if (stream.receives) event({ type: 'silent', stream: stream.id, forMs: Math.round(quietMs) });
          stream.nextSilentEventMs = nowMs + quietMs;
        } else stream.nextSilentEventMs = stream.lastHeardMs + limits.silentAfterMs;
      }
      if (quietMs >= limits.orphanMs && !isOwnerHere(stream.owner)) {
        log.warn(
          { stream: stream.id, call: stream.spec.call, owner: stream.owner, quietMs: Math.round(quietMs) },
          'media.orphan-ended',
        );
        this.#end(stream);
        mirror.closed([stream.id]);
      }
    }
  }

  /** Ends everything: this process stops serving. */
  closeAll(): void {
    for (const stream of [...this.graph]) this.#end(stream);
  }

  #open(spec: StreamSpec): Stream {
    const { addresses, random, clock, limits, openSockets, closeSockets, start } = this.#options;
    const address = addresses[spec.family];
    if (address === undefined)
      throw new TwinlineError(
        'bad_spec',
        `a stream's family: this media process has no IPv${spec.family} address`,
      );
    const sockets = openSockets(address);
    const local = { address, port: sockets.rtp.local.port };
    const nowMs = clock.nowMs();
    const stream = new Stream(spec, local, sockets, randomSsrc(random), nowMs);
    try {
      applySpec(stream, spec, nowMs, true);
    } catch (error) {
      closeSockets(stream);
      throw error;
    }
    stream.nextSilentEventMs = nowMs + limits.silentAfterMs;
    this.graph.connect(stream);
    start(stream);
    return stream;
  }

  #change(stream: Stream, spec: StreamSpec): Stream {
    if (spec.bundle !== stream.spec.bundle)
      throw new TwinlineError('bad_spec', "a stream's bundle: the stream belongs to another bundle");
    if (spec.family !== stream.spec.family)
      throw new TwinlineError('bad_spec', "a stream's family: it cannot change, open another stream");
    applySpec(stream, spec, this.#options.clock.nowMs(), false);
    this.graph.connect(stream);
    return stream;
  }

  #end(stream: Stream): void {
    this.graph.remove(stream);
    this.#options.closeSockets(stream);
    releaseKeys(stream);
  }

  #checkEpochOf(spec: StreamSpec): void {
    const highest = this.#epochs.get(spec.bundle) ?? 0;
    this.#remember(spec.bundle, Math.max(highest, spec.epoch));
  }

  #checkEpoch(bundle: BundleId, epoch: number): void {
    const highest = this.#epochs.get(bundle) ?? 0;
    if (epoch < highest)
      throw new TwinlineError(
        'stale_epoch',
        `bundle ${bundle} is held under epoch ${highest}; ${epoch} commands nothing any more`,
      );
    this.#remember(bundle, epoch);
  }

  #remember(bundle: BundleId, epoch: number): void {
    this.#epochs.delete(bundle);
    this.#epochs.set(bundle, epoch);
    if (this.#epochs.size <= EPOCHS_REMEMBERED) return;
    for (const oldest of this.#epochs.keys()) {
      this.#epochs.delete(oldest);
      return;
    }
  }
}

function telephoneEventRate(stream: Stream): number {
  for (let type = 0; type < 128; type++)
    if (stream.isTelephoneEvent[type] === 1) return stream.clockRates[type]!;
  return 8000;
}

function randomSsrc(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
