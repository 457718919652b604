import type { BundleId, MediaId, StreamId } from '../../src/base/index.ts';
import { TwinlineError } from '../../src/base/index.ts';
import type { Channel, Frame, MediaToZone, ZoneToChild, ZoneToMedia } from '../../src/link/index.ts';
import type {
  MediaEvent,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
  StreamsFound,
  SwitchToMedia,
} from '../../src/media/index.ts';
import { type Machines, MEDIA_ADDRESS } from './machines.ts';
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

/** How often it tells its supervisor what it has. */
const STATS_MS = 1_000;
/** Of a life of the twin that nobody went on with. */
const FORGET_MS = 10_000;

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
  /** Where the twin is on another machine: what it may do there. */
  readonly #machines: Machines | undefined;
  /** It may speak until then. */
  #untilMs: number;
  #addressHere: boolean;
  #zone: Channel | undefined;
  twin: SimMedia | undefined;
  readonly #epochs = new Map<BundleId, number>();
  readonly #channels = new Set<Channel>();
  readonly #ports: Ports;
  /** How long opening a stream takes. */
  opensAfterMs = 0;

  constructor(process: SimProcess, ports: Ports, machines?: Machines) {
    this.id = process.id as MediaId;
    this.process = process;
    this.#ports = ports;
    this.#machines = machines;
    this.#untilMs = machines === undefined ? Number.POSITIVE_INFINITY : 0;
    this.#addressHere = machines === undefined;
    if (machines !== undefined) this.#tellStats();
  }

  /** Passes packets now, wherever they would have to arrive. */
  get speaks(): boolean {
    return this.process.alive && !this.process.frozen && this.process.clock.nowMs() < this.#untilMs;
  }

  /** Packets to that stream's port arrive here. */
  isAt(stream: SimStream): boolean {
    return this.#machines === undefined || this.#machines.at(stream.opened.address) === this.id;
  }

  /** Both know each other from now on, and hold what the other carries. */
  static pair(a: SimMedia, b: SimMedia): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      one.twin = other;
      other.#sync();
      other.process.onExit(() => {
        if (one.twin !== other) return;
        one.twin = undefined;
        // Of another machine the supervisor says when.
        if (one.#machines === undefined) one.process.clock.after(TAKE_OVER_MS, () => one.#takeOver(other.id));
        else one.#forgetLater([...one.standby]);
      });
    }
  }

  /** The twin's machine is reached again: it is told of every stream. */
  heard(): void {
    for (const id of this.twin?.standby.keys() ?? [])
      if (!this.streams.has(id)) this.twin?.standby.delete(id);
    this.#sync();
  }

  #sync(): void {
    for (const [id, stream] of this.streams) this.#mirror(id, stream);
  }

  #mirror(id: StreamId, stream: SimStream): void {
    const { twin } = this;
    if (twin === undefined || this.#machines?.linked === false) return;
    if (!twin.streams.has(id)) twin.standby.set(id, stream);
  }

  /** What the next life of the twin does not have, and nobody asked for, is dropped. */
  #forgetLater(left: readonly (readonly [StreamId, SimStream])[]): void {
    this.process.clock.after(FORGET_MS, () => {
      for (const [id, stream] of left)
        if (this.standby.get(id) === stream && !this.twin?.streams.has(id)) this.standby.delete(id);
    });
  }

  #tellStats(): void {
    const addresses = [...new Set([...this.streams.values()].map(({ opened }) => opened.address))];
    const data: MediaToZone['stats'] = { streams: this.streams.size, addresses, cpuPercent: 0, rssKib: 0 };
    this.#zone?.send({ kind: 'stats', data });
    this.process.clock.after(STATS_MS, () => this.#tellStats());
  }

  #tellDraining(channel: Channel): void {
    channel.send({ kind: 'draining', data: { on: !this.#addressHere } });
  }

  accept(channel: Channel): void {
    this.#channels.add(channel);
    if (!this.#addressHere) this.#tellDraining(channel);
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
    this.#zone = channel;
    channel.onFrame((frame) => {
      switch (frame.kind) {
        case 'ping':
          return { kind: 'ping', data: {} };
        case 'term':
          this.#untilMs = (frame.data as ZoneToChild['term']).untilMs ?? Number.POSITIVE_INFINITY;
          return undefined;
        case 'address': {
          const { media, here } = frame.data as ZoneToMedia['address'];
          if (media !== this.id || here === this.#addressHere) return undefined;
          this.#addressHere = here;
          for (const each of this.#channels) this.#tellDraining(each);
          return undefined;
        }
        case 'take-over':
          for (const id of (frame.data as ZoneToMedia['take-over']).media) this.#takeOver(id as MediaId);
          return undefined;
        default:
          return undefined;
      }
    });
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
    if (this.#machines?.linked !== false) this.twin?.standby.delete(id);
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
        this.#mirror(stream.id, next);
        return { kind: 'put', data: { ...next.opened, media: this.id } satisfies StreamOpened };
      }
      case 'own':
        // The simulated pair on one machine fences its processes by killing them.
        if (this.#machines !== undefined)
          for (const { bundle, epoch } of (frame.data as SwitchToMedia['own']).bundles)
            this.#admit(bundle, epoch);
        return { kind: 'own', data: {} };
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
    if (!this.#addressHere)
      throw new TwinlineError('draining', 'the address of this media process is at its twin’s: ask that');
    if (before !== undefined && !this.#isFree(before.port))
      throw new TwinlineError('unknown_stream', 'its port is taken: it needs a new offer');
    const port = before?.port ?? this.#ports.next;
    if (before === undefined) this.#ports.next += 2;
    return {
      stream: stream.id,
      media: this.id,
      address:
        before?.address ?? (this.#machines === undefined ? '127.0.0.1' : MEDIA_ADDRESS[this.id as 'a' | 'b']),
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
      this.#mirror(id, stream);
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
