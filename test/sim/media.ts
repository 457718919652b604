import type { BundleId, MediaId, StreamId } from '../../src/base/index.ts';
import { TwinlineError } from '../../src/base/index.ts';
import type { Channel, Frame } from '../../src/link/index.ts';
import type {
  MediaEvent,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
  StreamsFound,
  SwitchToMedia,
} from '../../src/media/index.ts';
import type { SimProcess } from './process.ts';

export interface SimStream {
  readonly spec: StreamSpec;
  readonly opened: StreamOpened;
  takenOver: number;
  /** The process that asked for it last. */
  readonly asker: number;
}

/**
 * A stream whose switch is gone and that no adopter has asked for by then is ended: it was opened for what was never written. The real
 * ones do so 5 minutes after the last packet.
 */
const ORPHAN_MS = 20_000;

/** Of both media processes: they share one machine. */
export interface Ports {
  next: number;
  /** Somebody else has those. */
  readonly taken: Set<number>;
}

/** How long a media process takes to see that its twin is gone and to go on in its place. */
const TAKE_OVER_MS = 3;

/**
 * What a switch can tell of a media process: it opens, changes and closes streams, refuses stale owners, and takes its twin's streams
 * over at the same address. Packets are not pretended; who would hear whom follows from the specs.
 */
export class SimMedia {
  readonly id: MediaId;
  readonly process: SimProcess;
  readonly streams = new Map<StreamId, SimStream>();
  /** The twin's streams, as mirrored to us. */
  readonly standby = new Map<StreamId, SimStream>();
  twin: SimMedia | undefined;
  readonly #epochs = new Map<BundleId, number>();
  readonly #channels = new Set<Channel>();
  readonly #ports: Ports;
  /** How long opening a stream takes. */
  opensAfterMs = 0;

  constructor(process: SimProcess, ports: Ports) {
    this.id = process.id as MediaId;
    this.process = process;
    this.#ports = ports;
  }

  /** Both know each other from now on, and hold what the other carries. */
  static pair(a: SimMedia, b: SimMedia): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      one.twin = other;
      for (const [id, stream] of other.streams) one.standby.set(id, stream);
      other.process.onExit(() => {
        if (one.twin !== other) return;
        one.twin = undefined;
        one.process.clock.after(TAKE_OVER_MS, () => one.#takeOver(other.id));
      });
    }
  }

  accept(channel: Channel): void {
    this.#channels.add(channel);
    channel.onClose(() => {
      this.#channels.delete(channel);
      this.#endLater(channel.peer.pid);
    });
    channel.onFrame((frame) => {
      const isOpening =
        frame.kind === 'put' && !this.streams.has((frame.data as SwitchToMedia['put']).stream.id);
      if (!isOpening || this.opensAfterMs === 0) return this.#onFrame(frame, channel);
      return new Promise((resolve, reject) => {
        this.process.clock.after(this.opensAfterMs, () => {
          try {
            resolve(this.#onFrame(frame, channel));
          } catch (error) {
            reject(error);
          }
        });
      });
    });
  }

  acceptZone(channel: Channel): void {
    channel.onFrame((frame) => (frame.kind === 'ping' ? { kind: 'ping', data: {} } : undefined));
  }

  /** What that process asked for, unless somebody else has by then. */
  #endLater(asker: number): void {
    this.process.clock.after(ORPHAN_MS, () => {
      if ([...this.#channels].some(({ peer }) => peer.pid === asker)) return;
      for (const [id, stream] of this.streams) if (stream.asker === asker) this.#end(id);
    });
  }

  #end(id: StreamId): void {
    this.streams.delete(id);
    this.twin?.standby.delete(id);
  }

  #onFrame(frame: Frame, channel: Channel): Frame | undefined {
    switch (frame.kind) {
      case 'put': {
        const { stream, opened } = frame.data as SwitchToMedia['put'];
        this.#admit(stream.bundle, stream.epoch);
        if (this.standby.has(stream.id)) throw new TwinlineError('standby', 'the twin carries that stream');
        const known = this.streams.get(stream.id);
        const next: SimStream = {
          spec: stream,
          opened: known?.opened ?? this.#open(stream, opened),
          takenOver: known?.takenOver ?? 0,
          asker: channel.peer.pid,
        };
        this.streams.set(stream.id, next);
        this.twin?.standby.set(stream.id, next);
        return { kind: 'put', data: { ...next.opened, media: this.id } satisfies StreamOpened };
      }
      case 'close': {
        const { bundle, epoch, streams } = frame.data as SwitchToMedia['close'];
        this.#admit(bundle, epoch);
        const standsBy = streams.some((id) => this.standby.has(id));
        const reports = streams.flatMap((id) => {
          const stream = this.streams.get(id);
          this.#end(id);
          return stream === undefined ? [] : [reportOf(stream)];
        });
        if (reports.length === 0 && standsBy)
          throw new TwinlineError('standby', 'the twin carries those streams');
        return { kind: 'close', data: { reports } };
      }
      case 'find': {
        const { streams } = frame.data as SwitchToMedia['find'];
        const here = streams.filter((id) => this.streams.has(id));
        const standby = streams.filter((id) => !this.streams.has(id) && this.standby.has(id));
        const unknown = streams.filter((id) => !this.streams.has(id) && !this.standby.has(id));
        return { kind: 'find', data: { here, standby, unknown } satisfies StreamsFound };
      }
      default:
        return undefined;
    }
  }

  #admit(bundle: BundleId, epoch: number): void {
    const known = this.#epochs.get(bundle) ?? 0;
    if (epoch < known)
      throw new TwinlineError('stale_epoch', `bundle ${bundle} is at epoch ${known}, not ${epoch}`);
    this.#epochs.set(bundle, epoch);
  }

  #open(stream: StreamSpec, before: StreamPlace | undefined): StreamOpened {
    if (before !== undefined && !this.#isFree(before.port))
      throw new TwinlineError('unknown_stream', 'its port is taken: it needs a new offer');
    const port = before?.port ?? this.#ports.next;
    if (before === undefined) this.#ports.next += 2;
    return {
      stream: stream.id,
      media: this.id,
      address: '127.0.0.1',
      port,
      rtcpPort: stream.rtcpMux ? port : port + 1,
    };
  }

  #isFree(port: number): boolean {
    const held = [...(this.twin?.streams.values() ?? [])].some(({ opened }) => opened.port === port);
    return !held && !this.#ports.taken.has(port);
  }

  #takeOver(from: MediaId): void {
    const streams = [...this.standby];
    this.standby.clear();
    for (const [id, stream] of streams) {
      stream.takenOver++;
      this.streams.set(id, stream);
      this.twin?.standby.set(id, stream);
    }
    // Who asked for them may have been gone before.
    for (const asker of new Set(streams.map(([, stream]) => stream.asker))) this.#endLater(asker);
    const event: MediaEvent = { type: 'adopted', from, streams: streams.map(([id]) => id) };
    for (const channel of this.#channels) channel.send({ kind: 'event', data: event, lane: 'priority' });
  }
}

function reportOf(stream: SimStream): StreamReport {
  return {
    stream: stream.spec.id,
    packetsReceived: 0,
    packetsSent: 0,
    octetsReceived: 0,
    octetsSent: 0,
    packetsLost: 0,
    jitterMs: 0,
    packetsRefused: { auth: 0, replay: 0, stranger: 0, malformed: 0, unmapped: 0 },
    takenOver: stream.takenOver,
  };
}
