import { availableCodecs } from '../audio/index.ts';
import {
  type BundleId,
  type Clock,
  type Logger,
  type MediaId,
  type Random,
  type StreamId,
  TwinlineError,
} from '../base/index.ts';
import { parseAddress, type UdpAddress } from '../native/index.ts';
import { expireTelephoneEvent, keySaltLength } from '../rtp/index.ts';
import { applySpec, releaseKeys } from './apply-spec.ts';
import { randomSsrc } from './collision.ts';
import { checkMove, Epochs } from './epochs.ts';
import { StreamGraph } from './graph.ts';
import { oneWayOf } from './one-way.ts';
import type { MediaLimits } from './options.ts';
import type {
  BundleEpoch,
  MediaEvent,
  SrtpKey,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
  StreamsFound,
} from './protocol.ts';
import { measureInterval } from './quality.ts';
import { countsAsKey } from './relay.ts';
import { reportOn } from './report.ts';
import { checkSpec, LINK_SUITE } from './spec.ts';
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
  /** Somebody is there who could go on with our streams. */
  readonly connected: boolean;
  epochs(epochs: readonly BundleEpoch[]): void;
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
  /** Opens just this pair; undefined when somebody holds it. */
  readonly openSocketsAt: (place: StreamPlace) => Sockets | undefined;
  /** Whether an internal link may lead there. */
  readonly isOurs: (address: UdpAddress) => boolean;
  /** A stream's sockets may receive from now on. */
  readonly start: (stream: Stream) => void;
  /** Of our certificate, for what is said of the stream. */
  readonly fingerprint: (spec: StreamSpec) => Pick<StreamOpened, 'fingerprint'>;
  /** The stream's ICE and DTLS may have something to do: it was put, or a quarter of a second went by. */
  readonly negotiate: (stream: Stream) => void;
  readonly closeSockets: (stream: Stream) => void;
  readonly event: (event: MediaEvent) => void;
}

/** The streams and what switches say of them. No sockets of its own and no clock but the given one. */
export class MediaCore {
  readonly graph = new StreamGraph();
  /** New streams go to the twin, if there is one. */
  draining = false;
  /** The address by which streams are opened is not at this machine now. */
  addressAway = false;
  readonly epochs: Epochs;
  readonly #options: CoreOptions;

  constructor(options: CoreOptions) {
    this.#options = options;
    this.epochs = new Epochs((epoch) => options.mirror.epochs([epoch]));
  }

  /**
   * Opens the stream or changes it. `opened`: where it was before, if it was. Throws `TwinlineError` `bad_spec`, `stale_epoch`, `no_ports`,
   * `standby`, `draining`, `unknown_stream`.
   */
  async put(value: unknown, owner: string, opened?: unknown): Promise<StreamOpened> {
    const spec = checkSpec(value, this.#options.isOurs);
    const place = checkPlace(opened);
    this.epochs.check(spec.bundle, spec.epoch);
    const known = this.graph.get(spec.id);
    if (known === undefined) this.#checkTwin(spec.id);
    const stream = known === undefined ? this.#open(this.#withKeys(spec), place) : this.#change(known, spec);
    stream.owner = owner;
    stream.ownerSeenMs = this.#options.clock.nowMs();
    await this.#options.mirror.put(stream);
    if (stream.negotiates) this.#options.negotiate(stream);
    return {
      stream: stream.id,
      media: this.#options.id,
      address: stream.local.address,
      port: stream.local.port,
      rtcpPort: stream.spec.rtcpMux ? stream.local.port : stream.local.port + 1,
      transcodes: availableCodecs(),
      ...this.#options.fingerprint(stream.spec),
      ...linkKeys(stream.spec),
    };
  }

  find(ids: readonly StreamId[]): StreamsFound {
    const here = ids.filter((id) => this.graph.get(id) !== undefined);
    const elsewhere = ids.filter((id) => this.graph.get(id) === undefined);
    const standby = elsewhere.filter((id) => this.#options.mirror.standsBy(id));
    const unknown = elsewhere.filter((id) => !this.#options.mirror.standsBy(id));
    return { here, standby, unknown };
  }

  /** Ends the bundle's streams that are known here. Throws `stale_epoch`. */
  close(bundle: BundleId, epoch: number, ids: readonly StreamId[]): StreamReport[] {
    this.epochs.check(bundle, epoch);
    const ended: Stream[] = [];
    let standsBy = false;
    for (const id of new Set(ids)) {
      const stream = this.graph.get(id);
      if (stream === undefined) standsBy ||= this.#options.mirror.standsBy(id);
      else if (stream.spec.bundle === bundle) ended.push(stream);
    }
    const reports = ended.map(reportOn);
    for (const stream of ended) this.#end(stream);
    if (ended.length > 0) this.#options.mirror.closed(ended.map(({ id }) => id));
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
      this.epochs.learn(stream.spec);
      this.graph.connect(stream);
      const nowMs = this.#options.clock.nowMs();
      stream.ownerSeenMs = nowMs;
      stream.nextSilentEventMs = nowMs + this.#options.limits.silentAfterMs;
    }
  }

  /** To be called a few times a second. */
  tick(isOwnerHere: (owner: string) => boolean): void {
    const nowMs = this.#options.clock.nowMs();
    const { limits, event, log, mirror } = this.#options;
    for (const stream of this.graph) {
      if (stream.negotiates) this.#options.negotiate(stream);
      if (stream.events.code >= 0) {
        const dtmf = expireTelephoneEvent(stream.events, telephoneEventRate(stream), nowMs);
        if (dtmf !== undefined && countsAsKey(stream, dtmf, nowMs))
          event({ type: 'dtmf', stream: stream.id, ...dtmf });
      }
      measureInterval(stream, nowMs);
      const oneWay = oneWayOf(stream, nowMs);
      if (oneWay !== undefined)
        event({
          type: 'one-way',
          stream: stream.id,
          forMs: oneWay.forMs,
          ...(oneWay.inCall ? { inCall: true } : {}),
        });
      const quietMs = nowMs - stream.lastHeardMs;
      if (nowMs >= stream.nextSilentEventMs) {
        if (quietMs >= limits.silentAfterMs) {
          // Who receives a page of a fax says nothing as long as that lasts (T.30).
          if (stream.receives && !stream.udptl && stream.spec.link === undefined)
            event({ type: 'silent', stream: stream.id, forMs: Math.round(quietMs) });
          stream.nextSilentEventMs = nowMs + quietMs;
        } else stream.nextSilentEventMs = stream.lastHeardMs + limits.silentAfterMs;
      }
      // A held call may have been quiet for long when its switch dies: its adopter has time to ask.
      if (isOwnerHere(stream.owner)) stream.ownerSeenMs = nowMs;
      if (quietMs >= limits.orphanMs && nowMs - stream.ownerSeenMs >= limits.orphanMs) {
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

  #checkTwin(id: StreamId): void {
    const { mirror } = this.#options;
    if (mirror.standsBy(id))
      throw new TwinlineError(
        'standby',
        `stream ${id} is the twin's: ask again when that has answered or died`,
      );
    if (this.addressAway)
      throw new TwinlineError('draining', 'the address of this media process is at its twin’s: ask that');
    if (this.draining && mirror.connected)
      throw new TwinlineError('draining', 'this media process takes no new streams: ask its twin');
  }

  #open(spec: StreamSpec, place: StreamPlace | undefined): Stream {
    const { addresses, random, clock, limits, openSockets, closeSockets, start } = this.#options;
    const address = addresses[spec.family];
    if (address === undefined)
      throw new TwinlineError(
        'bad_spec',
        `a stream's family: this media process has no IPv${spec.family} address`,
      );
    const sockets = place === undefined ? openSockets(address) : this.#openAgain(spec, place);
    const local = { address: place?.address ?? address, port: sockets.rtp.local.port };
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

  /**
   * What both media processes of a pair knew died with them. A plain stream goes on at its old place; under an old key nobody knows which
   * indices were used, so nothing may be sent under it any more (TR-MEDIA-09).
   */
  #openAgain(spec: StreamSpec, place: StreamPlace): Sockets {
    if (spec.sendKey !== undefined || spec.receiveKey !== undefined || spec.link || spec.dtls)
      throw new TwinlineError(
        'unknown_stream',
        `stream ${spec.id} is not known any more: it needs an offer with new keys`,
      );
    const sockets = this.#options.openSocketsAt(place);
    if (sockets === undefined)
      throw new TwinlineError(
        'unknown_stream',
        `stream ${spec.id} is not known any more and port ${place.port} is another's: it needs a new offer`,
      );
    return sockets;
  }

  /** A link's first end makes the keys. */
  #withKeys(spec: StreamSpec): StreamSpec {
    if (spec.link === undefined || spec.sendKey !== undefined) return spec;
    const newKey = (): SrtpKey => ({
      suite: LINK_SUITE,
      keySalt: Buffer.from(this.#options.random.bytes(keySaltLength(LINK_SUITE))).toString('base64'),
    });
    return { ...spec, sendKey: newKey(), receiveKey: newKey() };
  }

  #change(stream: Stream, wanted: StreamSpec): Stream {
    let spec = wanted;
    const before = stream.spec;
    checkMove(before, spec, this.epochs);
    if ((spec.link === undefined) !== (before.link === undefined))
      throw new TwinlineError('bad_spec', "a stream's link: it cannot change, open another stream");
    // Said again without keys by an adopter: the ones that were made stay.
    if (spec.link !== undefined && spec.sendKey === undefined)
      spec = { ...spec, sendKey: before.sendKey!, receiveKey: before.receiveKey! };
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
}

function checkPlace(place: unknown): StreamPlace | undefined {
  if (place === undefined) return undefined;
  const { address, port } = (place ?? {}) as Partial<Record<keyof StreamPlace, unknown>>;
  if (
    typeof address !== 'string' ||
    !Number.isInteger(port) ||
    parseAddress(address, port as number) === undefined
  )
    throw new TwinlineError('bad_spec', 'where a stream was opened before must be an address and a port');
  return { address, port: port as number };
}

function linkKeys({ link, sendKey, receiveKey }: StreamSpec): Pick<StreamOpened, 'keys'> {
  if (link === undefined || sendKey === undefined || receiveKey === undefined) return {};
  return { keys: { sendKey, receiveKey } };
}

function telephoneEventRate(stream: Stream): number {
  for (let type = 0; type < 128; type++)
    if (stream.isTelephoneEvent[type] === 1) return stream.clockRates[type]!;
  return 8000;
}
