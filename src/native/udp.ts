import type { UdpAddress } from './udp-address.ts';

/**
 * Many UDP sockets in one loop of this thread. On Linux: one epoll descriptor, `recvmmsg` and `sendmmsg` on buffers laid out
 * once; nothing is allocated per packet. Elsewhere node:dgram, which cannot hand descriptors over (`fd` is -1).
 */
export interface UdpLoop {
  /** Opens and binds a socket; it receives from `resume` on. Throws `TwinlineError` `port_in_use`, `address_unavailable`, `not_permitted`, `bad_address`, `socket_failed`. */
  open(options: UdpOpenOptions): UdpSocket;
  /** A socket that another process opened and passed to us; it receives from `resume` on. Throws where the platform cannot. */
  adopt(fd: number): UdpSocket;
  /** Closes the loop and all its sockets. */
  close(): void;
  readonly counters: UdpCounters;
}

export interface UdpLoopOptions {
  /** The longest packet that is received or sent whole. Default `LONGEST_PACKET_BYTES`; at most 65,535. */
  readonly longestPacketBytes?: number;
  /** Packets read by one system call, 1 to 64. Default 64: their buffers take as many times the longest packet. */
  readonly slots?: number;
}

export interface UdpOpenOptions {
  /** An address literal; its family is the socket's. */
  readonly address: string;
  /** 0: the kernel picks. */
  readonly port: number;
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** DSCP of what is sent: 46 (EF, RFC 3246) for voice. */
  readonly dscp?: number;
  /** An IPv6 socket that takes IPv4 too, as `::ffff:192.0.2.1`. Default false. */
  readonly dualStack?: boolean;
  /** The address need not be this machine's yet: what comes to it is received from when it is (IP_FREEBIND). Linux alone. */
  readonly early?: boolean;
}

export interface UdpSocket {
  readonly fd: number;
  readonly local: UdpAddress;
  readonly open: boolean;
  /**
   * Receives, batch by batch. The batch and all in it is lent for the time of the call. Called again, it replaces the handler.
   * What waits in the kernel's queue comes first.
   */
  resume(handler: PacketHandler): void;
  /** Receives no more; packets wait in the kernel. */
  pause(): void;
  /**
   * Reads what waits in the queue now, at most `limit` packets, through `handler`, in order, and tells how many came. For the
   * taking over of a socket; works paused or not.
   */
  drain(handler: PacketHandler, limit: number): number;
  /** Sends the first `length` bytes at once. False: refused by the kernel (its buffer is full, no route); UDP's loss. */
  send(bytes: Uint8Array, length: number, to: UdpAddress): boolean;
  /** Packets that the kernel threw away since the socket was opened because nobody read them in time. */
  kernelDrops(): number;
  close(): void;
}

export type PacketHandler = (batch: PacketBatch) => void;

export interface PacketBatch {
  readonly count: number;
  /** Slot by slot: the packet begins at 0 of its buffer, with at least 128 bytes of room behind it for what encryption adds. */
  readonly buffers: readonly Buffer[];
  readonly lengths: Uint32Array;
  readonly sources: readonly UdpAddress[];
  /**
   * Sends the first `length` bytes of slot `index` from `socket`, at the latest when the handler returns. Each slot once; a
   * second receiver of the same packet gets a copy through `UdpSocket.send`.
   */
  send(index: number, length: number, socket: UdpSocket, to: UdpAddress): void;
}

export interface UdpCounters {
  packetsReceived: number;
  packetsSent: number;
  /** Longer than a slot: cut by the kernel and dropped by us. */
  packetsTooLong: number;
  /** Refused by the kernel: buffer full, no route, forbidden. */
  sendsFailed: number;
  /** How often the loop woke up. */
  wakes: number;
}

/** The longest packet that is received whole, if nothing else is asked for. Ethernet's MTU is 1,500; jumbo frames carry no voice. */
export const LONGEST_PACKET_BYTES = 1920;
/** Behind the packet: SRTCP with AES-GCM adds 20 bytes, HMAC-SHA1 14, an MKI at most 4. */
export const ROOM_BEHIND_BYTES = 128;
