import { AF_INET, AF_INET6, addressOf, MSG_TRUNC } from './libc.ts';
import type { UdpAddress } from './udp-address.ts';

/*
 * C structures of 64-bit little-endian Linux (x86_64 and arm64 alike), laid out by hand in buffers that live as long as the
 * loop. Offsets in bytes:
 *
 *   mmsghdr (64): msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_control 32, msg_controllen 40, msg_flags 48, msg_len 56
 *   iovec (16): iov_base 0, iov_len 8
 *   sockaddr_in (16): family 0, port 2 (network order), address 4
 *   sockaddr_in6 (28): family 0, port 2, flowinfo 4, address 8, scope 24
 */
export const MMSGHDR_BYTES = 64;
const IOVEC_BYTES = 16;
/** sockaddr_in6 rounded up to a multiple of 8. */
const NAME_BYTES = 32;
export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;

const NAMELEN_WORD = 8 / 4;
const FLAGS_WORD = 48 / 4;
const LENGTH_WORD = 56 / 4;
const HEADER_WORDS = MMSGHDR_BYTES / 4;
const IOVEC_WORDS = IOVEC_BYTES / 4;
const NAME_WORDS = NAME_BYTES / 4;

/** The data of all slots: one block whose address never changes. */
export class SlotMemory {
  readonly buffers: readonly Buffer[];
  readonly #block: ArrayBuffer;
  readonly #slotBytes: number;
  readonly #base: bigint;

  constructor(count: number, slotBytes: number) {
    this.#block = new ArrayBuffer(count * slotBytes);
    this.#slotBytes = slotBytes;
    this.#base = addressOf(this.#block);
    this.buffers = Array.from({ length: count }, (_, i) =>
      Buffer.from(this.#block, i * slotBytes, slotBytes),
    );
  }

  addressOfSlot(index: number): bigint {
    return this.#base + BigInt(index * this.#slotBytes);
  }
}

/** An array of mmsghdr, each with one iovec that points at the slot of the same number and a name of its own. */
export class MessageHeaders {
  readonly #headers: Int32Array;
  readonly #iovecs: Uint32Array;
  readonly #names: Int32Array;
  readonly #addresses: bigint[];

  constructor(memory: SlotMemory, count: number, capacityBytes: number) {
    const headers = new ArrayBuffer(count * MMSGHDR_BYTES);
    const iovecs = new ArrayBuffer(count * IOVEC_BYTES);
    const names = new ArrayBuffer(count * NAME_BYTES);
    const headersAt = addressOf(headers);
    const iovecsAt = addressOf(iovecs);
    const namesAt = addressOf(names);
    const headerView = new DataView(headers);
    const iovecView = new DataView(iovecs);
    for (let i = 0; i < count; i++) {
      headerView.setBigUint64(i * MMSGHDR_BYTES, namesAt + BigInt(i * NAME_BYTES), true);
      headerView.setUint32(i * MMSGHDR_BYTES + 8, SOCKADDR_IN6_BYTES, true);
      headerView.setBigUint64(i * MMSGHDR_BYTES + 16, iovecsAt + BigInt(i * IOVEC_BYTES), true);
      headerView.setBigUint64(i * MMSGHDR_BYTES + 24, 1n, true);
      iovecView.setBigUint64(i * IOVEC_BYTES, memory.addressOfSlot(i), true);
      iovecView.setBigUint64(i * IOVEC_BYTES + 8, BigInt(capacityBytes), true);
    }
    this.#headers = new Int32Array(headers);
    this.#iovecs = new Uint32Array(iovecs);
    this.#names = new Int32Array(names);
    this.#addresses = Array.from({ length: count }, (_, i) => headersAt + BigInt(i * MMSGHDR_BYTES));
  }

  /** What recvmmsg and sendmmsg take: the address of header `index`. */
  address(index: number): bigint {
    return this.#addresses[index]!;
  }

  /** After recvmmsg: the packet's length, or 0 if it was cut; makes the header ready for the next call. */
  takeReceived(index: number, source: UdpAddress): number {
    const at = index * HEADER_WORDS;
    const headers = this.#headers;
    const cut = (headers[at + FLAGS_WORD]! & MSG_TRUNC) !== 0;
    headers[at + NAMELEN_WORD] = SOCKADDR_IN6_BYTES;
    readSockaddr(this.#names, index * NAME_WORDS, source);
    return cut ? 0 : headers[at + LENGTH_WORD]!;
  }

  /** Before sendmmsg. */
  prepareSend(index: number, length: number, to: UdpAddress): void {
    this.#iovecs[index * IOVEC_WORDS + 2] = length;
    this.#headers[index * HEADER_WORDS + NAMELEN_WORD] = writeSockaddr(this.#names, index * NAME_WORDS, to);
  }
}

/** Both architectures are little-endian, the network is not. */
const swap32 = (word: number): number =>
  ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
const swap16 = (word: number): number => ((word & 0xff) << 8) | ((word >>> 8) & 0xff);

export function readSockaddr(words: Int32Array, at: number, into: UdpAddress): void {
  const first = words[at]!;
  into.port = swap16(first >>> 16);
  if ((first & 0xffff) === AF_INET) {
    into.family = 4;
    into.words[0] = swap32(words[at + 1]!);
    return;
  }
  into.family = 6;
  for (let i = 0; i < 4; i++) into.words[i] = swap32(words[at + 2 + i]!);
  into.scope = words[at + 6]!;
}

/** Returns the length of what it wrote. */
export function writeSockaddr(words: Int32Array, at: number, from: UdpAddress): number {
  const port = swap16(from.port) << 16;
  if (from.family === 4) {
    words[at] = AF_INET | port;
    words[at + 1] = swap32(from.words[0]!);
    words[at + 2] = 0;
    words[at + 3] = 0;
    return SOCKADDR_IN_BYTES;
  }
  words[at] = AF_INET6 | port;
  words[at + 1] = 0;
  for (let i = 0; i < 4; i++) words[at + 2 + i] = swap32(from.words[i]!);
  words[at + 6] = from.scope;
  return SOCKADDR_IN6_BYTES;
}
