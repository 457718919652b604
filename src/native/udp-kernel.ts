import { TwinlineError } from '../base/index.ts';
import {
  AF_INET,
  AF_INET6,
  addressOf,
  EAGAIN,
  EINTR,
  errnoName,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  lastErrno,
  libc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  type Watch,
  watch,
} from './libc.ts';
import { markTraffic } from './mark.ts';
import {
  LONGEST_PACKET_BYTES,
  type PacketBatch,
  type PacketHandler,
  ROOM_BEHIND_BYTES,
  type UdpCounters,
  type UdpLoop,
  type UdpLoopOptions,
  type UdpOpenOptions,
  type UdpSocket,
} from './udp.ts';
import { parseAddress, UdpAddress } from './udp-address.ts';
import { MessageHeaders, readSockaddr, SlotMemory, SOCKADDR_IN6_BYTES, writeSockaddr } from './udp-layout.ts';

/** Packets of one socket per system call. A voice stream brings one in 20 ms; more wait only after a take-over or in a flood. */
const MOST_SLOTS = 64;
/** Ready sockets per epoll_wait. */
const EVENTS = 256;
/** A flooded socket is left after this many full batches, so that the others get their turn (epoll tells of it again). */
const MAX_BATCHES_PER_WAKE = 4;
/** The largest UDP payload is a little smaller. */
const MOST_PACKET_BYTES = 65_535;
/** Up to here a loop copies faster than a call does. */
const SHORT_BYTES = 256;

const IP_FREEBIND = 15;
const IPV6_FREEBIND = 78;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
/** `struct epoll_event` is packed on x86_64 alone. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const EVENT_WORDS = EVENT_BYTES / 4;
const EVENT_DATA_WORD = process.arch === 'x64' ? 1 : 2;
const EPOLL_CLOEXEC = 0o2000000;
const SO_MEMINFO = 55;
const SK_MEMINFO_DROPS = 8;

/*
 * Moderation, as network drivers do it: a wake of Node's loop costs more than the packets it brings, so above some thousand
 * packets a second the loop stops being woken and looks once a millisecond instead. Measured with 40,000 packets/s evenly
 * spread: 1.2 packets a wake and 14 µs CPU per relayed packet without, about 45 a wake and 8.5 µs with; a thread of its own that blocks in
 * epoll_wait would save no more, and would need every command and event carried to it.
 */
const MODERATE_ABOVE_WAKES = 50;
const MODERATION_WINDOW_MS = 10;
const MODERATION_PERIOD_MS = 1;
/** Looks in a row that bring fewer than this many packets end the moderation. */
const FEW_PACKETS = 4;
const FEW_LOOKS = 10;

/** One epoll descriptor, watched by Node's loop, for all sockets. */
export class KernelLoop implements UdpLoop {
  readonly counters: UdpCounters = {
    packetsReceived: 0,
    packetsSent: 0,
    packetsTooLong: 0,
    sendsFailed: 0,
    wakes: 0,
  };
  readonly batch: KernelBatch;
  readonly #epoll: number;
  readonly #events = new Int32Array((EVENTS * EVENT_BYTES) / 4);
  readonly #eventsAt: bigint;
  readonly #watch: Watch;
  /** By descriptor. */
  readonly #sockets = new Map<number, KernelSocket>();
  #open = true;
  #windowStartMs = 0;
  #windowWakes = 0;
  #moderation: NodeJS.Timeout | undefined;
  #poorLooks = 0;

  constructor({ longestPacketBytes = LONGEST_PACKET_BYTES, slots = MOST_SLOTS }: UdpLoopOptions = {}) {
    this.batch = new KernelBatch(
      this.counters,
      Math.max(1, Math.min(MOST_SLOTS, Math.floor(slots))),
      Math.max(1, Math.min(MOST_PACKET_BYTES, Math.floor(longestPacketBytes))),
    );
    this.#eventsAt = addressOf(this.#events.buffer as ArrayBuffer);
    this.#epoll = libc().epoll_create1(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw socketFailed('epoll_create1');
    this.#watch = watch(this.#epoll, () => this.#wake());
  }

  open(options: UdpOpenOptions): UdpSocket {
    const address = parseAddress(options.address, options.port);
    if (address === undefined)
      throw new TwinlineError(
        'bad_address',
        `"${options.address}", port ${options.port}, is no IP address and port`,
      );
    const c = libc();
    const fd = c.socket(
      address.family === 4 ? AF_INET : AF_INET6,
      SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
      0,
    );
    if (fd < 0) throw socketFailed('socket');
    try {
      this.#configure(fd, address.family, options);
      this.#bind(fd, address);
      return this.#keep(fd);
    } catch (error) {
      c.close(fd);
      throw error;
    }
  }

  adopt(fd: number): UdpSocket {
    return this.#keep(fd);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const socket of [...this.#sockets.values()]) socket.close();
    clearTimeout(this.#moderation);
    this.#watch.stop();
    libc().close(this.#epoll);
  }

  /** @internal */
  watch(socket: KernelSocket): void {
    const event = new Int32Array(EVENT_BYTES / 4);
    event[0] = EPOLLIN;
    event[EVENT_DATA_WORD] = socket.fd;
    if (libc().epoll_ctl(this.#epoll, EPOLL_CTL_ADD, socket.fd, new Uint8Array(event.buffer)) < 0)
      throw socketFailed('epoll_ctl');
  }

  /** @internal A descriptor that the twin holds too stays in the epoll set after our close: take it out first. */
  unwatch(socket: KernelSocket): void {
    libc().epoll_ctl(this.#epoll, EPOLL_CTL_DEL, socket.fd, new Uint8Array(EVENT_BYTES));
  }

  /** @internal */
  forget(socket: KernelSocket): void {
    this.#sockets.delete(socket.fd);
  }

  #wake(): void {
    if (!this.#open) return;
    this.#readReady();
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs > MODERATION_WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#windowWakes = 0;
    }
    if (++this.#windowWakes > MODERATE_ABOVE_WAKES && this.#open) this.#moderate();
  }

  #moderate(): void {
    this.#poorLooks = 0;
    this.#watch.pause();
    const look = () => {
      const before = this.counters.packetsReceived;
      this.#readReady();
      if (!this.#open) return;
      this.#poorLooks = this.counters.packetsReceived - before < FEW_PACKETS ? this.#poorLooks + 1 : 0;
      if (this.#poorLooks < FEW_LOOKS) {
        this.#moderation = setTimeout(look, MODERATION_PERIOD_MS);
        return;
      }
      this.#windowWakes = 0;
      this.#watch.resume();
    };
    this.#moderation = setTimeout(look, MODERATION_PERIOD_MS);
  }

  #readReady(): void {
    this.counters.wakes++;
    const count = libc().epoll_wait(this.#epoll, this.#eventsAt, EVENTS, 0);
    for (let i = 0; i < count; i++) {
      this.#sockets.get(this.#events[i * EVENT_WORDS + EVENT_DATA_WORD]!)?.readReady();
      if (!this.#open) return;
    }
  }

  #configure(fd: number, family: 4 | 6, options: UdpOpenOptions): void {
    if (family === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.dualStack ? 0 : 1);
    if (options.receiveBufferBytes !== undefined)
      setOption(fd, SOL_SOCKET, SO_RCVBUF, options.receiveBufferBytes);
    if (options.sendBufferBytes !== undefined) setOption(fd, SOL_SOCKET, SO_SNDBUF, options.sendBufferBytes);
    if (options.early) {
      if (family === 4) setOption(fd, IPPROTO_IP, IP_FREEBIND, 1);
      else setOption(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    }
    if (options.dscp !== undefined) markTraffic(fd, options.dscp);
  }

  #bind(fd: number, address: UdpAddress): void {
    const name = new Int32Array(8);
    const length = writeSockaddr(name, 0, address);
    if (libc().bind(fd, new Uint8Array(name.buffer), length) === 0) return;
    const why = errnoName();
    if (why === 'EADDRINUSE') throw new TwinlineError('port_in_use', `UDP ${address} is in use`);
    if (why === 'EADDRNOTAVAIL')
      throw new TwinlineError('address_unavailable', `this machine has no address ${address}`);
    if (why === 'EACCES' || why === 'EPERM')
      throw new TwinlineError('not_permitted', `this user may not bind UDP ${address}`);
    throw new TwinlineError('socket_failed', `binding UDP ${address} failed: ${why}`);
  }

  #keep(fd: number): KernelSocket {
    if (!this.#open) throw new TwinlineError('socket_failed', 'the UDP loop is closed');
    const name = new Int32Array(8);
    const length = new Int32Array([SOCKADDR_IN6_BYTES]);
    if (libc().getsockname(fd, new Uint8Array(name.buffer), new Uint8Array(length.buffer)) < 0)
      throw socketFailed('getsockname');
    const local = new UdpAddress();
    readSockaddr(name, 0, local);
    const socket = new KernelSocket(this, fd, local);
    this.#sockets.set(fd, socket);
    return socket;
  }
}

class KernelSocket implements UdpSocket {
  readonly fd: number;
  readonly local: UdpAddress;
  open = true;
  readonly #loop: KernelLoop;
  #handler: PacketHandler | undefined;

  constructor(loop: KernelLoop, fd: number, local: UdpAddress) {
    this.#loop = loop;
    this.fd = fd;
    this.local = local;
  }

  resume(handler: PacketHandler): void {
    if (!this.open) return;
    if (this.#handler === undefined) this.#loop.watch(this);
    this.#handler = handler;
  }

  pause(): void {
    if (this.#handler === undefined) return;
    this.#handler = undefined;
    this.#loop.unwatch(this);
  }

  drain(handler: PacketHandler, limit: number): number {
    let total = 0;
    while (this.open && total < limit) {
      const want = Math.min(this.#loop.batch.slots, limit - total);
      const got = this.#loop.batch.receive(this.fd, want, handler);
      total += got;
      if (got < want) break;
    }
    return total;
  }

  send(bytes: Uint8Array, length: number, to: UdpAddress): boolean {
    return this.open && this.#loop.batch.sendCopy(this.fd, bytes, length, to);
  }

  kernelDrops(): number {
    if (!this.open) return 0;
    const info = new Uint32Array(9);
    const length = new Int32Array([info.byteLength]);
    const bytes = new Uint8Array(info.buffer);
    if (libc().getsockopt(this.fd, SOL_SOCKET, SO_MEMINFO, bytes, new Uint8Array(length.buffer)) < 0)
      return 0;
    return info[SK_MEMINFO_DROPS]!;
  }

  close(): void {
    if (!this.open) return;
    this.pause();
    this.open = false;
    this.#loop.forget(this);
    libc().close(this.fd);
  }

  /** @internal */
  readReady(): void {
    const { batch } = this.#loop;
    for (let round = 0; round < MAX_BATCHES_PER_WAKE; round++) {
      const handler = this.#handler;
      if (handler === undefined) return;
      if (batch.receive(this.fd, batch.slots, handler) < batch.slots) return;
    }
  }
}

/** The slots, shared by all sockets of the loop: one batch is handled whole before the next is read. */
class KernelBatch implements PacketBatch {
  count = 0;
  readonly buffers: readonly Buffer[];
  readonly lengths: Uint32Array;
  readonly slots: number;
  readonly sources: readonly UdpAddress[];
  readonly #counters: UdpCounters;
  readonly #longestBytes: number;
  readonly #received: MessageHeaders;
  readonly #sent: MessageHeaders;
  /** A run of neighbouring slots that leave through one descriptor with one system call. */
  #runFd = -1;
  #runStart = 0;
  #runEnd = 0;

  constructor(counters: UdpCounters, slots: number, longestBytes: number) {
    // The last slot belongs to `UdpSocket.send`.
    const memory = new SlotMemory(slots + 1, longestBytes + ROOM_BEHIND_BYTES);
    this.#counters = counters;
    this.slots = slots;
    this.#longestBytes = longestBytes;
    this.buffers = memory.buffers;
    this.lengths = new Uint32Array(slots);
    this.sources = Array.from({ length: slots }, () => new UdpAddress());
    this.#received = new MessageHeaders(memory, slots, longestBytes);
    this.#sent = new MessageHeaders(memory, slots + 1, 0);
  }

  /** Reads at most `limit` packets and hands them to `handler`. How many came. */
  receive(fd: number, limit: number, handler: PacketHandler): number {
    const received = libc().recvmmsg(fd, this.#received.address(0), limit, MSG_DONTWAIT, null);
    // EAGAIN is the common end; anything else of an unconnected UDP socket passes by itself.
    if (received <= 0) return 0;
    this.#counters.packetsReceived += received;
    for (let i = 0; i < received; i++) {
      const length = this.#received.takeReceived(i, this.sources[i]!);
      this.lengths[i] = length;
      if (length === 0) this.#counters.packetsTooLong++;
    }
    this.count = received;
    try {
      handler(this);
    } finally {
      this.#flush();
      this.count = 0;
    }
    return received;
  }

  send(index: number, length: number, socket: UdpSocket, to: UdpAddress): void {
    if (!this.#fits(length) || !(index >= 0 && index < this.count) || !socket.open) return;
    if (socket.fd !== this.#runFd || index !== this.#runEnd) {
      this.#flush();
      this.#runFd = socket.fd;
      this.#runStart = index;
    }
    this.#sent.prepareSend(index, length, to);
    this.#runEnd = index + 1;
  }

  sendCopy(fd: number, bytes: Uint8Array, length: number, to: UdpAddress): boolean {
    if (!this.#fits(length) || length > bytes.length) return false;
    const { slots } = this;
    const scratch = this.buffers[slots]!;
    if (length > SHORT_BYTES) scratch.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    else for (let i = 0; i < length; i++) scratch[i] = bytes[i]!;
    this.#sent.prepareSend(slots, length, to);
    return this.#sendRun(fd, slots, slots + 1);
  }

  #fits(length: number): boolean {
    return Number.isInteger(length) && length > 0 && length <= this.#longestBytes + ROOM_BEHIND_BYTES;
  }

  #flush(): void {
    const fd = this.#runFd;
    if (fd === -1) return;
    this.#runFd = -1;
    this.#sendRun(fd, this.#runStart, this.#runEnd);
  }

  /** What the kernel refuses is skipped, as a network would lose it. */
  #sendRun(fd: number, start: number, end: number): boolean {
    let next = start;
    let failed = 0;
    while (next < end) {
      const sent = libc().sendmmsg(fd, this.#sent.address(next), end - next, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        next += sent;
        continue;
      }
      const why = lastErrno();
      if (why === EINTR) continue;
      failed += why === EAGAIN ? end - next : 1;
      next += why === EAGAIN ? end - next : 1;
    }
    this.#counters.packetsSent += end - start - failed;
    this.#counters.sendsFailed += failed;
    return failed === 0;
  }
}

function setOption(fd: number, level: number, option: number, value: number): void {
  const word = new Int32Array([value]);
  // Buffer sizes and the traffic class are wishes: a kernel that refuses them still carries voice.
  libc().setsockopt(fd, level, option, new Uint8Array(word.buffer), 4);
}

const socketFailed = (call: string): TwinlineError =>
  new TwinlineError('socket_failed', `${call} failed: ${errnoName()}`);
