import type { Clock, Logger, MediaId, StreamId } from '../base/index.ts';
import { type LinkListener, listenRemotely, type RemoteDoor } from '../link/index.ts';
import {
  closeDescriptors,
  endProcess,
  isSameProcess,
  listenUnix,
  processStartTime,
  type UdpLoop,
  type UdpSocket,
  type UnixListener,
  type UnixSocket,
} from '../native/index.ts';
import { applySpec, releaseKeys } from './apply-spec.ts';
import type { ExactState } from './exact.ts';
import { progressHere, stateHere } from './mirror-clock.ts';
import { decode, encode, type OwnerSays, type StandBySays } from './mirror-messages.ts';
import { MIRROR_WINDOW, type MirrorWire, wireOf } from './mirror-wire.ts';
import type { BundleEpoch } from './protocol.ts';
import { applyProgress, applyState, type StreamRecord } from './record.ts';
import { type Local, type Sockets, Stream } from './stream.ts';
import { allowUnsaid } from './take-over.ts';

/** What becomes of streams that were stood by for. */
export interface Successor {
  /** Their owner is dead, or left on purpose: they go on here. Called with none too, as it may have left more than it told us. */
  takeOver(from: MediaId, streams: Stream[], pid: number): void;
  /** Their owner lives and has given them to us. Resolves when its own stand-by is told that they are here. */
  receive(from: MediaId, streams: readonly Handed[]): Promise<void>;
  /** False: we are about to leave ourselves. */
  takesMore(): boolean;
  /** The owner has this stream, it says. */
  standsBy(stream: StreamId): void;
  learn(epochs: readonly BundleEpoch[]): void;
}

export interface Handed {
  readonly stream: Stream;
  readonly exact: ExactState | undefined;
}

/** An owner's process and what it told us. */
interface Owner {
  id: MediaId | undefined;
  readonly pid: number;
  readonly startTime: number;
  readonly streams: Map<StreamId, Stream>;
  /** Said of a stream that is about to be handed over. */
  readonly exact: Map<StreamId, ExactState>;
  leaving: 'no' | 'handing-over' | 'closing';
  /** It runs on another machine: that it says nothing does not mean that it is dead. Since when its connection is gone. */
  readonly distant: boolean;
  /** What our clock is ahead of its machine's, and the little that its greeting was under way. */
  aheadMs: number;
  closedMs?: number;
}

/** The kernel needs a moment to end a process; its sockets are closed before that (13 ms were seen for 500 MB of memory). */
const END_WAIT_MS = 100;
const END_RETRY_MS = 50;
/**
 * A link that is silent is found dead within this; what was said before that may be lost. With what the owner may have gone on to say since
 * then for at most `MOST_UNSAID_MS`, what is reserved suffices: 500 packets, at 10 ms each.
 */
const LINK_SILENT_MS = 2_000;
const MOST_UNSAID_MS = 5_000;

/**
 * Stands by for the twin's media process: holds its sockets (unread), its streams' states and their keys, derived. When its
 * connection ends, makes sure that the process is gone and hands its streams on. Nobody is asked: two processes that read
 * one socket would each get half of the packets, and two that send would use indices twice.
 */
export class MirrorStandBy {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #loop: UdpLoop;
  readonly #successor: Successor;
  readonly #openEarly: (local: Local) => Sockets | undefined;
  readonly #owners = new Map<MirrorWire, Owner>();
  /** On another machine, out of sight: whether they are dead others must say. */
  readonly #lost = new Map<MediaId, Owner>();
  readonly #dying = new Set<Owner>();
  #listener: UnixListener | undefined;
  #stopped = false;

  #distantListener: LinkListener | undefined;

  constructor(options: {
    clock: Clock;
    log: Logger;
    loop: UdpLoop;
    successor: Successor;
    /** Opens a stream's sockets at an address that this machine may get later; undefined when that cannot be. */
    openEarly: (local: Local) => Sockets | undefined;
  }) {
    this.#openEarly = options.openEarly;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#loop = options.loop;
    this.#successor = options.successor;
  }

  /** Throws `TwinlineError` `path_in_use`, `path_too_long`, `socket_failed`. */
  listen(path: string): void {
    this.#listener = listenUnix(path, (socket) => this.#accept(socket));
  }

  /** The same for a twin on another machine. Rejects as `listenTlsLink`. */
  async listenRemotely(self: { readonly id: MediaId }, remote: RemoteDoor): Promise<void> {
    this.#distantListener = await listenRemotely({
      remote,
      self: {
        role: 'media',
        id: self.id,
        pid: process.pid,
        startTime: processStartTime(process.pid),
      },
      clock: this.#clock,
      log: this.#log,
      window: MIRROR_WINDOW,
      refuse: (peer) => (peer.role === 'media' ? undefined : 'media processes alone stand by for each other'),
      onChannel: (channel) => this.serveDistant(wireOf(channel, this.#clock)),
    });
  }

  /** An owner on another machine has connected. */
  serveDistant(wire: MirrorWire): void {
    this.#serve(wire, 0);
  }

  *#all(): Iterable<Owner> {
    yield* this.#owners.values();
    yield* this.#dying;
    yield* this.#lost.values();
  }

  get streams(): number {
    let count = 0;
    for (const owner of this.#all()) count += owner.streams.size;
    return count;
  }

  standsBy(stream: StreamId): boolean {
    for (const owner of this.#all()) if (owner.streams.has(stream)) return true;
    return false;
  }

  /**
   * These media processes of another machine speak no more since `spokeUntilMs`, and their addresses are here: their streams go on here. Of
   * one that went on speaking for long without our hearing it nobody knows which indices it used: its keyed streams need new keys (TR-MEDIA-09).
   */
  takeDistant(media: readonly MediaId[], spokeUntilMs: number): void {
    for (const [socket, owner] of [...this.#owners]) {
      if (!owner.distant || owner.id === undefined || !media.includes(owner.id)) continue;
      this.#owners.delete(socket);
      socket.close();
      this.#lose(owner);
    }
    for (const id of media) {
      const owner = this.#lost.get(id);
      if (owner === undefined) continue;
      this.#lost.delete(id);
      const unsaidMs = spokeUntilMs - (owner.closedMs ?? 0) + LINK_SILENT_MS;
      const isUnknown = (stream: Stream): boolean => stream.secured && unsaidMs > MOST_UNSAID_MS;
      const unknown = [...owner.streams.values()].filter(isUnknown);
      if (unknown.length > 0)
        this.#log.error({ media: id, streams: unknown.length, unsaidMs }, 'media.keys-not-known-any-more');
      this.#drop(
        owner,
        unknown.map((stream) => stream.id),
      );
      for (const stream of owner.streams.values()) allowUnsaid(stream);
      this.#successor.takeOver(id, [...owner.streams.values()], owner.pid);
    }
  }

  #lose(owner: Owner): void {
    owner.closedMs = this.#clock.nowMs();
    if (owner.id !== undefined) this.#lost.set(owner.id, owner);
    this.#log.warn({ media: owner.id, streams: owner.streams.size }, 'media.twin-out-of-sight');
  }

  /** That process' streams would come to us. */
  hears(pid: number): boolean {
    for (const owner of this.#owners.values()) if (owner.pid === pid && owner.id !== undefined) return true;
    return false;
  }

  stop(): void {
    this.#stopped = true;
    this.#listener?.close();
    void this.#distantListener?.close();
    for (const socket of this.#owners.keys()) socket.close();
    for (const owner of [...this.#owners.values(), ...this.#lost.values()])
      this.#drop(owner, [...owner.streams.keys()]);
    this.#owners.clear();
    this.#lost.clear();
  }

  #accept(socket: UnixSocket): void {
    const { pid, uid } = socket.peer;
    if (uid !== process.getuid?.()) {
      this.#log.warn({ pid, uid }, 'media.mirror-stranger');
      socket.close();
      return;
    }
    this.#serve(socket, processStartTime(pid));
  }

  #serve(socket: MirrorWire, startTime: number): void {
    const owner: Owner = {
      id: undefined,
      pid: socket.peer.pid,
      startTime,
      streams: new Map(),
      exact: new Map(),
      leaving: 'no',
      distant: socket.distant === true,
      aheadMs: 0,
    };
    this.#owners.set(socket, owner);
    socket.onMessage((message) => this.#hear(socket, owner, message));
    socket.onClose(() => {
      this.#owners.delete(socket);
      if (owner.distant && owner.leaving !== 'closing') this.#lose(owner);
      else this.#ended(owner);
    });
  }

  #hear(
    socket: MirrorWire,
    owner: Owner,
    { bytes, fds }: { readonly bytes: Buffer; readonly fds: readonly number[] },
  ): void {
    const message = decode<OwnerSays>(bytes);
    if (message?.kind !== 'put') closeDescriptors(fds);
    if (message === undefined) {
      this.#log.error({ pid: owner.pid }, 'media.mirror-unreadable');
      return;
    }
    switch (message.kind) {
      case 'hello':
        owner.id = message.id;
        if (owner.distant && message.nowMs !== undefined) owner.aheadMs = this.#clock.nowMs() - message.nowMs;
        if (owner.distant) this.#isBack(owner, message.id);
        this.#log.info({ media: message.id, pid: owner.pid }, 'media.standing-by');
        break;
      case 'put':
        if (!this.#keep(owner, message.record, fds)) break;
        this.#successor.standsBy(message.record.spec.id);
        if (message.ack > 0) socket.send(encode({ kind: 'ack', ack: message.ack }));
        break;
      case 'state': {
        const stream = owner.streams.get(message.stream);
        if (stream !== undefined) applyState(stream, stateHere(message.state, owner.aheadMs));
        break;
      }
      case 'progress':
        for (const progress of message.streams) {
          const stream = owner.streams.get(progress[0] as StreamId);
          if (stream !== undefined) applyProgress(stream, progressHere(progress, owner.aheadMs));
        }
        break;
      case 'epochs':
        this.#successor.learn(message.epochs);
        break;
      case 'ready':
        if (this.#successor.takesMore()) socket.send(encode({ kind: 'ack', ack: message.ack }));
        break;
      case 'exact': {
        const stream = owner.streams.get(message.stream);
        if (stream === undefined) break;
        applyState(stream, stateHere(message.state, owner.aheadMs));
        owner.exact.set(message.stream, message.exact);
        break;
      }
      case 'hand-over':
        void this.#receive(socket, owner, message.ack, message.streams);
        break;
      case 'closed':
        this.#drop(owner, message.streams);
        break;
      case 'leaving':
        owner.leaving = message.handOver ? 'handing-over' : 'closing';
        break;
    }
  }

  /** It says all that it has anew; what it had before, be it by a connection whose end is not noticed yet, would only be in the way. */
  #isBack(owner: Owner, media: MediaId): void {
    for (const [socket, before] of [...this.#owners]) {
      if (before === owner || before.id !== media) continue;
      this.#owners.delete(socket);
      socket.close();
      this.#drop(before, [...before.streams.keys()]);
    }
    const before = this.#lost.get(media);
    if (before === undefined) return;
    this.#lost.delete(media);
    this.#drop(before, [...before.streams.keys()]);
  }

  #keep(owner: Owner, record: StreamRecord, fds: readonly number[]): boolean {
    try {
      const nowMs = this.#clock.nowMs();
      let stream = owner.streams.get(record.spec.id);
      if (fds.length === 2 || (owner.distant && stream === undefined)) {
        if (stream !== undefined) this.#drop(owner, [stream.id]);
        const sockets = owner.distant ? this.#openEarly(record.local) : this.#adopt(fds);
        if (sockets === undefined)
          throw new Error(`${record.local.address} port ${record.local.port} is in use here`);
        stream = new Stream(record.spec, record.local, sockets, record.ssrc, nowMs);
        owner.streams.set(stream.id, stream);
        applySpec(stream, record.spec, nowMs, true);
      } else {
        closeDescriptors(fds);
        if (stream === undefined) return false;
        applySpec(stream, record.spec, nowMs, false);
      }
      stream.owner = record.owner;
      applyState(stream, stateHere(record.state, owner.aheadMs));
      return true;
    } catch (error) {
      this.#log.error({ stream: record.spec?.id, error: String(error) }, 'media.mirror-failed');
      return false;
    }
  }

  #adopt(fds: readonly number[]): Sockets {
    const [rtp, rtcp] = fds.map((fd) => this.#loop.adopt(fd)) as [UdpSocket, UdpSocket];
    return { rtp, rtcp };
  }

  async #receive(socket: MirrorWire, owner: Owner, ack: number, ids: readonly StreamId[]): Promise<void> {
    const taken: Handed[] = [];
    for (const id of this.#successor.takesMore() && owner.id !== undefined ? ids : []) {
      const stream = owner.streams.get(id);
      if (stream === undefined) continue;
      taken.push({ stream, exact: owner.exact.get(id) });
      owner.streams.delete(id);
    }
    for (const id of ids) owner.exact.delete(id);
    if (taken.length > 0) await this.#successor.receive(owner.id!, taken);
    this.#answer(socket, { kind: 'taken', ack, streams: taken.map(({ stream }) => stream.id) });
  }

  /** The owner waits for this word. */
  #answer(socket: MirrorWire, message: StandBySays): void {
    if (this.#stopped || socket.send(encode(message)) !== 'full') return;
    this.#clock.after(END_RETRY_MS, () => this.#answer(socket, message));
  }

  #drop(owner: Owner, ids: readonly StreamId[]): void {
    for (const id of ids) {
      owner.exact.delete(id);
      const stream = owner.streams.get(id);
      if (stream === undefined) continue;
      owner.streams.delete(id);
      stream.sockets?.rtp.close();
      stream.sockets?.rtcp.close();
      releaseKeys(stream);
    }
  }

  #ended(owner: Owner): void {
    // Without a greeting it is no owner of streams: whoever it was, its life is none of our business.
    if (owner.leaving === 'closing' || owner.id === undefined) {
      this.#drop(owner, [...owner.streams.keys()]);
      if (owner.id !== undefined) this.#successor.takeOver(owner.id, [], owner.pid);
      return;
    }
    if (owner.leaving === 'no' && !this.#isGone(owner)) {
      this.#log.error({ media: owner.id, pid: owner.pid }, 'media.twin-does-not-die');
      this.#dying.add(owner);
      this.#clock.after(END_RETRY_MS, () => {
        this.#dying.delete(owner);
        this.#ended(owner);
      });
      return;
    }
    this.#successor.takeOver(owner.id, [...owner.streams.values()], owner.pid);
  }

  #isGone(owner: Owner): boolean {
    // Only in tests do both ends live in one process.
    if (owner.pid === process.pid) return true;
    // No start time: it was gone before we could look, and nothing of its is ours to kill.
    if (owner.startTime === 0) return true;
    return endProcess(owner.pid, owner.startTime, END_WAIT_MS) || !isSameProcess(owner.pid, owner.startTime);
  }
}
