import {
  type BundleId,
  type Clock,
  type Logger,
  type MediaId,
  type StreamId,
  TwinlineError,
} from '../base/index.ts';
import {
  type Channel,
  type Frame,
  listenAt,
  type Peer,
  PROTOCOL_VERSION,
  type RemoteDoor,
} from '../link/index.ts';
import { processStartTime } from '../native/index.ts';
import type { MediaCapability } from './capabilities.ts';
import { checkEpochs, checkIds } from './command-data.ts';
import type {
  BundleEpoch,
  HandedOver,
  MediaEvent,
  StreamOpened,
  StreamReport,
  StreamsFound,
} from './protocol.ts';

/** Who may empty a media process. */
const COMMANDERS = new Set(['zone', 'control', 'launcher']);

/** What carries the streams, as those who come in see it. Data comes unchecked but where its type says otherwise. */
export interface Engine {
  readonly capabilities: readonly MediaCapability[];
  /** No new streams for now. */
  readonly takesNone: boolean;
  put(stream: unknown, owner: string, opened: unknown): Promise<StreamOpened>;
  own(bundles: readonly BundleEpoch[]): void;
  find(streams: readonly StreamId[]): StreamsFound;
  close(
    bundle: BundleId,
    epoch: number,
    streams: readonly StreamId[],
  ): Promise<StreamReport[]> | StreamReport[];
  drain(on: boolean): Promise<HandedOver>;
  handOver(streams?: readonly StreamId[]): Promise<HandedOver>;
  /** What a switch that has just come in may have missed. */
  missed(): Iterable<MediaEvent>;
}

export interface DoorOptions {
  readonly id: MediaId;
  readonly listenPath: string;
  readonly remoteDoor?: RemoteDoor | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly engine: Engine;
}

/** Where switches and supervisors come in: the control protocol, whatever engine is behind it. */
export class MediaDoor {
  readonly #options: DoorOptions;
  readonly #channels = new Set<Channel>();
  #listener: { close(): Promise<void> } | undefined;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Rejects with `TwinlineError` when there is no listening there. */
  async listen(): Promise<void> {
    const { id, clock, log, listenPath, remoteDoor } = this.#options;
    this.#listener = await listenAt({
      path: listenPath,
      remote: remoteDoor,
      self: { role: 'media', id, pid: process.pid, startTime: processStartTime(process.pid) },
      clock,
      log,
      onChannel: (channel) => this.#serve(channel),
      refuse: (peer) => (peer.role === 'media' ? 'media processes use the mirror socket' : undefined),
    });
  }

  /** Every switch hears every event: the one that has the call is not known here after a switch died. */
  tell(event: MediaEvent): void {
    for (const channel of this.#switches()) {
      if (!sendEvent(channel, event))
        this.#options.log.warn({ to: channel.peer.id, event: event.type }, 'media.event-lost');
    }
  }

  tellDraining(): void {
    for (const channel of this.#switches()) sendDraining(channel, this.#options.engine.takesNone);
  }

  /** The owners who are connected, as `put` names them. */
  get owners(): Set<string> {
    // By its name alone an owner is known that an older release has mirrored.
    return new Set([...this.#channels].flatMap(({ peer }) => [processOf(peer), peer.id]));
  }

  async close(): Promise<void> {
    for (const channel of this.#channels) channel.close('the media process stops');
    await this.#listener?.close();
  }

  #serve(channel: Channel): void {
    this.#channels.add(channel);
    channel.onClose(() => this.#channels.delete(channel));
    channel.onFrame((frame) => this.#answer(channel, frame));
  }

  async #answer(channel: Channel, frame: Frame): Promise<Frame | undefined> {
    const { engine } = this.#options;
    const data = (frame.data ?? {}) as Record<string, unknown>;
    switch (frame.kind) {
      case 'greet':
        if (data.version !== PROTOCOL_VERSION)
          throw new TwinlineError(
            'version',
            `${channel.peer.id} speaks version ${data.version} of the protocol, media speaks ${PROTOCOL_VERSION}`,
          );
        channel.send({ kind: 'capabilities', data: { has: engine.capabilities }, lane: 'priority' });
        for (const event of engine.missed()) sendEvent(channel, event);
        if (engine.takesNone) sendDraining(channel, true);
        return undefined;
      case 'put':
        return { kind: 'put', data: await engine.put(data.stream, processOf(channel.peer), data.opened) };
      case 'own':
        engine.own(checkEpochs(data.bundles));
        return { kind: 'own', data: {} };
      case 'find':
        return { kind: 'find', data: engine.find(checkIds(data.streams)) };
      case 'drain':
      case 'hand-over':
        if (!COMMANDERS.has(channel.peer.role))
          throw new TwinlineError('not_allowed', `a ${channel.peer.role} may not say ${frame.kind} to media`);
        return {
          kind: frame.kind,
          data: await (frame.kind === 'drain'
            ? engine.drain(data.on === true)
            : engine.handOver(data.streams === undefined ? undefined : checkIds(data.streams))),
        };
      case 'close': {
        const { bundle, epoch, streams } = data;
        if (typeof bundle !== 'string' || !Number.isSafeInteger(epoch))
          throw new TwinlineError('bad_spec', 'a close names bundle, epoch and streams');
        const reports = await engine.close(bundle as BundleId, epoch as number, checkIds(streams));
        return { kind: 'close', data: { reports } };
      }
      default:
        throw new TwinlineError('unknown_kind', `media knows no command ${JSON.stringify(frame.kind)}`);
    }
  }

  *#switches(): Iterable<Channel> {
    for (const channel of this.#channels) if (channel.peer.role === 'switch') yield channel;
  }
}

const sendEvent = (channel: Channel, event: MediaEvent): boolean =>
  channel.send({ kind: 'event', data: event, lane: event.type === 'adopted' ? 'priority' : 'normal' });

const sendDraining = (channel: Channel, on: boolean): boolean =>
  channel.send({ kind: 'draining', data: { on }, lane: 'priority' });

/** A switch that is started anew has its predecessor's name, and has not asked for what nobody adopted of it. */
const processOf = ({ id, pid, startTime }: Peer): string => `${id} ${pid} ${startTime}`;
