import { createSocket, type Socket } from 'node:dgram';
import { TwinlineError } from '../base/index.ts';
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
import { formatAddress, parseAddress, UdpAddress } from './udp-address.ts';

/** Packets kept while a socket is paused: what the kernel's default buffer holds of voice. */
const PAUSED_LIMIT = 256;

/** The same door on node:dgram, for platforms whose kernel we do not call. Descriptors cannot be passed on. */
export class DgramLoop implements UdpLoop {
  readonly counters: UdpCounters = {
    packetsReceived: 0,
    packetsSent: 0,
    packetsTooLong: 0,
    sendsFailed: 0,
    wakes: 0,
  };
  readonly #sockets = new Set<DgramSocket>();
  readonly #longestBytes: number;

  constructor({ longestPacketBytes = LONGEST_PACKET_BYTES }: UdpLoopOptions = {}) {
    this.#longestBytes = longestPacketBytes;
  }

  open(options: UdpOpenOptions): UdpSocket {
    const address = parseAddress(options.address, options.port);
    if (address === undefined)
      throw new TwinlineError(
        'bad_address',
        `"${options.address}", port ${options.port}, is no IP address and port`,
      );
    const socket = new DgramSocket(this.counters, options, address, this.#longestBytes);
    this.#sockets.add(socket);
    return socket;
  }

  adopt(): UdpSocket {
    throw new TwinlineError('socket_failed', 'this platform cannot take over sockets of another process');
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }
}

class DgramSocket implements UdpSocket {
  readonly fd = -1;
  readonly local: UdpAddress;
  open = true;
  readonly #counters: UdpCounters;
  readonly #socket: Socket;
  readonly #batch: DgramBatch;
  readonly #longestBytes: number;
  readonly #waiting: { bytes: Buffer; source: UdpAddress }[] = [];
  #handler: PacketHandler | undefined;
  #drops = 0;

  constructor(counters: UdpCounters, options: UdpOpenOptions, address: UdpAddress, longestBytes: number) {
    this.#counters = counters;
    this.#longestBytes = longestBytes;
    this.#batch = new DgramBatch(longestBytes);
    const type = address.family === 4 ? 'udp4' : 'udp6';
    // With a look-up that answers at once, Node binds before `bind` returns; addresses here are literals anyway.
    this.#socket = createSocket({
      type,
      ipv6Only: address.family === 6 && !options.dualStack,
      lookup: (name, _options, done) => done(null, name, address.family),
      ...(options.receiveBufferBytes === undefined ? {} : { recvBufferSize: options.receiveBufferBytes }),
      ...(options.sendBufferBytes === undefined ? {} : { sendBufferSize: options.sendBufferBytes }),
    });
    let failure: NodeJS.ErrnoException | undefined;
    this.#socket.on('error', (error) => {
      failure ??= error;
    });
    this.#socket.on('message', (bytes, from) => this.#received(bytes, from.address, from.port));
    this.#socket.bind({ address: options.address, port: options.port, exclusive: true });
    if (failure !== undefined) {
      this.#socket.close();
      throw bindFailure(failure, address);
    }
    const bound = this.#socket.address();
    this.local = parseAddress(bound.address, bound.port) ?? address;
  }

  resume(handler: PacketHandler): void {
    this.#handler = handler;
    this.drain(handler, PAUSED_LIMIT);
  }

  pause(): void {
    this.#handler = undefined;
  }

  drain(handler: PacketHandler, limit: number): number {
    let total = 0;
    while (this.open && total < limit) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#batch.handle(next.bytes, next.source, handler);
      total++;
    }
    return total;
  }

  send(bytes: Uint8Array, length: number, to: UdpAddress): boolean {
    if (!this.open || !(length > 0 && length <= bytes.length)) return false;
    this.#counters.packetsSent++;
    this.#socket.send(Buffer.from(bytes.subarray(0, length)), to.port, formatAddress(to), (error) => {
      if (error) this.#counters.sendsFailed++;
    });
    return true;
  }

  kernelDrops(): number {
    return this.#drops;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.#handler = undefined;
    this.#waiting.length = 0;
    this.#socket.close();
  }

  #received(bytes: Buffer, address: string, port: number): void {
    this.#counters.wakes++;
    this.#counters.packetsReceived++;
    const source = parseAddress(address, port);
    if (source === undefined) return;
    if (bytes.length > this.#longestBytes) {
      this.#counters.packetsTooLong++;
      return;
    }
    if (this.#handler !== undefined) this.#batch.handle(bytes, source, this.#handler);
    else if (this.#waiting.length < PAUSED_LIMIT) this.#waiting.push({ bytes, source });
    else this.#drops++;
  }
}

class DgramBatch implements PacketBatch {
  count = 0;
  readonly buffers: readonly Buffer[];
  readonly lengths = new Uint32Array(1);
  readonly sources = [new UdpAddress()];

  constructor(longestBytes: number) {
    this.buffers = [Buffer.alloc(longestBytes + ROOM_BEHIND_BYTES)];
  }

  handle(bytes: Buffer, source: UdpAddress, handler: PacketHandler): void {
    bytes.copy(this.buffers[0]!);
    this.lengths[0] = bytes.length;
    this.sources[0]!.copyFrom(source);
    this.count = 1;
    try {
      handler(this);
    } finally {
      this.count = 0;
    }
  }

  send(index: number, length: number, socket: UdpSocket, to: UdpAddress): void {
    if (index === 0 && this.count === 1) socket.send(this.buffers[0]!, length, to);
  }
}

function bindFailure(error: NodeJS.ErrnoException, address: UdpAddress): TwinlineError {
  if (error.code === 'EADDRINUSE') return new TwinlineError('port_in_use', `UDP ${address} is in use`);
  if (error.code === 'EADDRNOTAVAIL')
    return new TwinlineError('address_unavailable', `this machine has no address ${address}`);
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new TwinlineError('not_permitted', `this user may not bind UDP ${address}`);
  return new TwinlineError('socket_failed', `binding UDP ${address} failed: ${error.message}`);
}
