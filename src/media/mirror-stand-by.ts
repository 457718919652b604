import type { Clock, Logger, MediaId, StreamId } from '../base/index.ts';
import {
  closeDescriptors,
  endProcess,
  isSameProcess,
  listenUnix,
  processStartTime,
  type UdpLoop,
  type UdpSocket,
  type UnixListener,
  type UnixMessage,
  type UnixSocket,
} from '../native/index.ts';
import { applySpec, releaseKeys } from './apply-spec.ts';
import type { ExactState } from './exact.ts';
import { decode, encode, type OwnerSays, type StandBySays } from './mirror-messages.ts';
import type { BundleEpoch } from './protocol.ts';
import { applyProgress, applyState, type StreamRecord } from './record.ts';
import { Stream } from './stream.ts';

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
}

/** The kernel needs a moment to end a process; its sockets are closed before that (13 ms were seen for 500 MB of memory). */
const END_WAIT_MS = 100;
const END_RETRY_MS = 50;

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
  readonly #owners = new Map<UnixSocket, Owner>();
  readonly #dying = new Set<Owner>();
  #listener: UnixListener | undefined;
  #stopped = false;

  constructor(options: { clock: Clock; log: Logger; loop: UdpLoop; successor: Successor }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#loop = options.loop;
    this.#successor = options.successor;
  }

  /** Throws `TwinlineError` `path_in_use`, `path_too_long`, `socket_failed`. */
  listen(path: string): void {
    this.#listener = listenUnix(path, (socket) => this.#accept(socket));
  }

  get streams(): number {
    let count = 0;
    for (const owner of this.#owners.values()) count += owner.streams.size;
    for (const owner of this.#dying) count += owner.streams.size;
    return count;
  }

  standsBy(stream: StreamId): boolean {
    for (const owner of this.#owners.values()) if (owner.streams.has(stream)) return true;
    for (const owner of this.#dying) if (owner.streams.has(stream)) return true;
    return false;
  }

  /** That process' streams would come to us. */
  hears(pid: number): boolean {
    for (const owner of this.#owners.values()) if (owner.pid === pid && owner.id !== undefined) return true;
    return false;
  }

  stop(): void {
    this.#stopped = true;
    this.#listener?.close();
    for (const [socket, owner] of this.#owners) {
      socket.close();
      this.#drop(owner, [...owner.streams.keys()]);
    }
    this.#owners.clear();
  }

  #accept(socket: UnixSocket): void {
    const { pid, uid } = socket.peer;
    if (uid !== process.getuid?.()) {
      this.#log.warn({ pid, uid }, 'media.mirror-stranger');
      socket.close();
      return;
    }
    const owner: Owner = {
      id: undefined,
      pid,
      startTime: processStartTime(pid),
      streams: new Map(),
      exact: new Map(),
      leaving: 'no',
    };
    this.#owners.set(socket, owner);
    socket.onMessage((message) => this.#hear(socket, owner, message));
    socket.onClose(() => {
      this.#owners.delete(socket);
      this.#ended(owner);
    });
  }

  #hear(socket: UnixSocket, owner: Owner, { bytes, fds }: UnixMessage): void {
    const message = decode<OwnerSays>(bytes);
    if (message?.kind !== 'put') closeDescriptors(fds);
    if (message === undefined) {
      this.#log.error({ pid: owner.pid }, 'media.mirror-unreadable');
      return;
    }
    switch (message.kind) {
      case 'hello':
        owner.id = message.id;
        this.#log.info({ media: message.id, pid: owner.pid }, 'media.standing-by');
        break;
      case 'put':
        if (!this.#keep(owner, message.record, fds)) break;
        this.#successor.standsBy(message.record.spec.id);
        if (message.ack > 0) socket.send(encode({ kind: 'ack', ack: message.ack }));
        break;
      case 'state': {
        const stream = owner.streams.get(message.stream);
        if (stream !== undefined) applyState(stream, message.state);
        break;
      }
      case 'progress':
        for (const progress of message.streams) {
          const stream = owner.streams.get(progress[0] as StreamId);
          if (stream !== undefined) applyProgress(stream, progress);
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
        applyState(stream, message.state);
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

  #keep(owner: Owner, record: StreamRecord, fds: readonly number[]): boolean {
    try {
      const nowMs = this.#clock.nowMs();
      let stream = owner.streams.get(record.spec.id);
      if (fds.length === 2) {
        if (stream !== undefined) this.#drop(owner, [stream.id]);
        const [rtp, rtcp] = fds.map((fd) => this.#loop.adopt(fd)) as [UdpSocket, UdpSocket];
        stream = new Stream(record.spec, record.local, { rtp, rtcp }, record.ssrc, nowMs);
        owner.streams.set(stream.id, stream);
        applySpec(stream, record.spec, nowMs, true);
      } else {
        closeDescriptors(fds);
        if (stream === undefined) return false;
        applySpec(stream, record.spec, nowMs, false);
      }
      stream.owner = record.owner;
      applyState(stream, record.state);
      return true;
    } catch (error) {
      this.#log.error({ stream: record.spec?.id, error: String(error) }, 'media.mirror-failed');
      return false;
    }
  }

  async #receive(socket: UnixSocket, owner: Owner, ack: number, ids: readonly StreamId[]): Promise<void> {
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
  #answer(socket: UnixSocket, message: StandBySays): void {
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
