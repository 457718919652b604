import {
  type Clock,
  type Logger,
  type MediaId,
  type Random,
  type StreamId,
  type Timer,
  TwinlineError,
} from '../base/index.ts';
import { connectTo, type LinkClient, type RemotePlace } from '../link/index.ts';
import { connectUnix, processStartTime } from '../native/index.ts';
import type { Mirror } from './core.ts';
import { exactOf } from './exact.ts';
import type { Giver } from './hand-over.ts';
import { decode, encode, type OwnerSays, type StandBySays } from './mirror-messages.ts';
import { MIRROR_WINDOW, type MirrorWire, wireOf } from './mirror-wire.ts';
import type { BundleEpoch } from './protocol.ts';
import { type Progress, progressOf, recordOf, stateOf } from './record.ts';
import type { Stream } from './stream.ts';

const RECONNECT_MS = 100;
/** Some ten KiB: below the longest message. */
const PROGRESS_PER_MESSAGE = 64;
const EPOCHS_PER_MESSAGE = 500;
/**
 * A stand-by that has not read for this long (its socket is full, thousands of messages) is frozen or worse and will be killed by its
 * supervisor; until then it may no longer stop the media here.
 */
const STUCK_AFTER_MS = 5000;

/** Tells the twin what it needs to go on with our streams: one system call each, and what the kernel took outlives us. */
export class MirrorOwner implements Mirror, Giver {
  readonly #id: MediaId;
  readonly #twin: string | RemotePlace | undefined;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #twinWaitMs: number;
  readonly #streams: () => Iterable<Stream>;
  readonly #standsBy: (stream: StreamId) => boolean;
  readonly #knownEpochs: () => Iterable<BundleEpoch>;
  readonly #hears: (pid: number) => boolean;
  #socket: MirrorWire | undefined;
  #link: LinkClient | undefined;
  #retry: Timer | undefined;
  #stopped = false;
  /** Streams whose descriptors the twin has. */
  readonly #handed = new Set<StreamId>();
  /** What the full socket did not take: to be said anew, whole, when there is room. */
  readonly #unsaid = new Map<StreamId, Stream>();
  readonly #unsaidClosed = new Set<StreamId>();
  #epochsUnsaid = false;
  #fullSinceMs = -1;
  readonly #waiting = new Map<number, () => void>();
  readonly #giving = new Map<number, (taken: readonly StreamId[] | 'lost') => void>();
  #lastAck = 0;

  constructor(options: {
    id: MediaId;
    /** Where the twin stands by: its socket, or on another machine its port. */
    twin: string | RemotePlace | undefined;
    random: Random;
    clock: Clock;
    log: Logger;
    twinWaitMs: number;
    streams: () => Iterable<Stream>;
    standsBy: (stream: StreamId) => boolean;
    epochs: () => Iterable<BundleEpoch>;
    /** Whether we stand by for that process. */
    hears: (pid: number) => boolean;
  }) {
    this.#id = options.id;
    this.#twin = options.twin;
    this.#random = options.random;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#twinWaitMs = options.twinWaitMs;
    this.#streams = options.streams;
    this.#standsBy = options.standsBy;
    this.#knownEpochs = options.epochs;
    this.#hears = options.hears;
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  get twinPid(): number {
    return this.#socket?.peer.pid ?? 0;
  }

  get distant(): boolean {
    return this.#socket?.distant === true;
  }

  start(): void {
    const twin = this.#twin;
    if (typeof twin === 'string') this.#connect(twin);
    else if (twin !== undefined) this.#link = this.#connectDistant(twin);
  }

  standsBy(stream: StreamId): boolean {
    return this.#standsBy(stream);
  }

  put(stream: Stream): Promise<void> {
    if (this.#socket === undefined) return Promise.resolve();
    const ack = ++this.#lastAck;
    if (!this.#sayStream(stream, ack)) this.#unsaid.set(stream.id, stream);
    return this.#acknowledgement(ack, () =>
      this.#log.warn({ stream: stream.id, waitedMs: this.#twinWaitMs }, 'media.twin-slow'),
    );
  }

  async ready(): Promise<boolean> {
    const socket = this.#socket;
    // Sockets do not pass between machines: there all streams of a process go over at once, with its address.
    if (socket === undefined || socket.distant || !this.#hears(socket.peer.pid)) return false;
    const ack = ++this.#lastAck;
    let late = false;
    if (!this.#say({ kind: 'ready', ack })) return false;
    await this.#acknowledgement(ack, () => {
      late = true;
    });
    return !late && this.#socket === socket && this.#hears(socket.peer.pid);
  }

  give(streams: readonly Stream[]): Promise<readonly StreamId[] | 'lost'> | undefined {
    if (this.#socket === undefined || !this.#hears(this.#socket.peer.pid)) return undefined;
    // What the twin was not told whole, it cannot take.
    if (streams.some(({ id }) => !this.#handed.has(id) || this.#unsaid.has(id))) return undefined;
    for (const stream of streams) {
      const state = stateOf(stream);
      if (!this.#say({ kind: 'exact', stream: stream.id, state, exact: exactOf(stream) })) return undefined;
    }
    const ack = ++this.#lastAck;
    const ids = streams.map(({ id }) => id);
    // A dead twin takes nothing, and is found dead at our other socket to it.
    if (this.#socket.send(encode({ kind: 'hand-over', ack, streams: ids })) !== 'sent') return undefined;
    for (const id of ids) this.#handed.delete(id);
    return new Promise((resolve) => this.#giving.set(ack, resolve));
  }

  epochs(epochs: readonly BundleEpoch[]): void {
    if (this.#socket === undefined || epochs.length === 0) return;
    if (!this.#say({ kind: 'epochs', epochs })) this.#epochsUnsaid = true;
  }

  commit(stream: Stream): boolean {
    if (this.#socket === undefined) return true;
    if (this.#unsaid.has(stream.id)) return this.#isStuck();
    if (this.#say({ kind: 'state', stream: stream.id, state: stateOf(stream) })) return true;
    this.#unsaid.set(stream.id, stream);
    return this.#isStuck();
  }

  closed(streams: readonly StreamId[]): void {
    for (const id of streams) {
      this.#handed.delete(id);
      this.#unsaid.delete(id);
    }
    if (this.#socket === undefined) return;
    if (!this.#say({ kind: 'closed', streams })) for (const id of streams) this.#unsaidClosed.add(id);
  }

  progress(streams: Iterable<Stream>): void {
    if (this.#socket === undefined) return;
    let batch: Progress[] = [];
    const flush = () => {
      if (batch.length > 0) this.#say({ kind: 'progress', streams: batch });
      batch = [];
    };
    for (const stream of streams) {
      if (!stream.changedSinceProgress) continue;
      stream.changedSinceProgress = false;
      batch.push(progressOf(stream));
      if (batch.length === PROGRESS_PER_MESSAGE) flush();
    }
    flush();
  }

  /** Says goodbye; the twin takes the streams over if `handOver`. */
  stop(handOver: boolean): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#say({ kind: 'leaving', handOver });
    this.#socket?.close();
    this.#link?.close('the media process ends');
    this.#lose();
  }

  #connect(path: string): void {
    if (this.#stopped) return;
    let socket: MirrorWire;
    try {
      socket = connectUnix(path);
    } catch (error) {
      if (error instanceof TwinlineError && error.code !== 'not_listening')
        this.#log.warn({ path, error: error.message }, 'media.twin-unreachable');
      this.#retry = this.#clock.after(RECONNECT_MS, () => this.#connect(path));
      return;
    }
    this.#attach(socket, path, () => this.#connect(path));
  }

  #connectDistant(place: RemotePlace): LinkClient {
    const pid = process.pid;
    return connectTo({
      place,
      self: { role: 'media', id: this.#id, pid, startTime: processStartTime(pid) },
      clock: this.#clock,
      random: this.#random,
      log: this.#log,
      window: MIRROR_WINDOW,
      onChannel: (channel) => this.#attach(wireOf(channel, this.#clock), place.host, () => {}),
    });
  }

  #attach(socket: MirrorWire, path: string, again: () => void): void {
    this.#socket = socket;
    socket.onMessage(({ bytes }) => {
      const message = decode<StandBySays>(bytes);
      if (message?.kind === 'ack') this.#acknowledged(message.ack);
      if (message?.kind === 'taken') {
        this.#giving.get(message.ack)?.(message.streams);
        this.#giving.delete(message.ack);
      }
    });
    socket.onWritable(() => this.#sayUnsaid());
    socket.onClose(() => {
      this.#log.warn({ path }, 'media.twin-lost');
      this.#lose();
      again();
    });
    const { pid } = process;
    const [startTime, nowMs] = [processStartTime(pid), this.#clock.nowMs()];
    this.#say({ kind: 'hello', version: 1, id: this.#id, pid, startTime, nowMs });
    for (const stream of this.#streams()) this.#unsaid.set(stream.id, stream);
    this.#epochsUnsaid = true;
    this.#sayUnsaid();
    this.#log.info({ path, pid: socket.peer.pid }, 'media.twin-connected');
  }

  #lose(): void {
    this.#socket = undefined;
    this.#handed.clear();
    this.#unsaid.clear();
    this.#unsaidClosed.clear();
    this.#epochsUnsaid = false;
    this.#fullSinceMs = -1;
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
    for (const resolve of this.#giving.values()) resolve('lost');
    this.#giving.clear();
  }

  /** Resolves when the twin has answered, is gone, or `late` was called after the wait. */
  #acknowledgement(ack: number, late: () => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(this.#twinWaitMs, () => {
        this.#waiting.delete(ack);
        late();
        resolve();
      });
      this.#waiting.set(ack, () => {
        timer.cancel();
        resolve();
      });
    });
  }

  #acknowledged(ack: number): void {
    this.#waiting.get(ack)?.();
    this.#waiting.delete(ack);
  }

  #sayUnsaid(): void {
    if (this.#epochsUnsaid) {
      const epochs = [...this.#knownEpochs()];
      for (let at = 0; at < epochs.length; at += EPOCHS_PER_MESSAGE)
        if (!this.#say({ kind: 'epochs', epochs: epochs.slice(at, at + EPOCHS_PER_MESSAGE) })) return;
      this.#epochsUnsaid = false;
    }
    for (const [id, stream] of this.#unsaid) {
      if (!this.#sayStream(stream, 0)) return;
      this.#unsaid.delete(id);
    }
    if (this.#unsaidClosed.size > 0 && this.#say({ kind: 'closed', streams: [...this.#unsaidClosed] }))
      this.#unsaidClosed.clear();
    this.#fullSinceMs = -1;
  }

  #sayStream(stream: Stream, ack: number): boolean {
    const { sockets } = stream;
    const isNew = !this.#handed.has(stream.id);
    const passes = isNew && sockets !== undefined && !this.distant;
    const fds = passes ? [sockets.rtp.fd, sockets.rtcp.fd] : [];
    // Without descriptors (node:dgram) there is nothing that the twin could go on with.
    if (fds.some((fd) => fd < 0)) return true;
    if (!this.#say({ kind: 'put', record: recordOf(stream), ack }, fds)) return false;
    this.#handed.add(stream.id);
    return true;
  }

  /** True: said, or nobody is there to hear it. */
  #say(message: OwnerSays, fds: readonly number[] = []): boolean {
    if (this.#socket === undefined) return true;
    const result = this.#socket.send(encode(message), fds);
    if (result !== 'full') return true;
    if (this.#fullSinceMs < 0) this.#fullSinceMs = this.#clock.nowMs();
    return false;
  }

  #isStuck(): boolean {
    return this.#fullSinceMs >= 0 && this.#clock.nowMs() - this.#fullSinceMs > STUCK_AFTER_MS;
  }
}
