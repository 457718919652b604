import {
  addressOf,
  libc,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  SOL_SOCKET,
} from './libc.ts';

export const LONGEST_MESSAGE_BYTES = 64 * 1024;
/** SCM_MAX_FD is 253; 200 in a message have been measured. */
export const MOST_DESCRIPTORS = 200;

const SCM_RIGHTS = 1;
/** cmsghdr: cmsg_len 0 (8 bytes), cmsg_level 8, cmsg_type 12, then the descriptors. */
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = CMSG_HEADER_BYTES + MOST_DESCRIPTORS * 4;
/** msghdr: msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_control 32, msg_controllen 40, msg_flags 48. */
const MSGHDR_BYTES = 56;

/** One message header, iovec, data block and control block for all Unix sockets of this thread: calls are synchronous. */
export class MessageCarrier {
  readonly #data = new ArrayBuffer(LONGEST_MESSAGE_BYTES);
  readonly #bytes = Buffer.from(this.#data);
  readonly #control = new ArrayBuffer(CONTROL_BYTES);
  readonly #controlView = new DataView(this.#control);
  readonly #iovec = new ArrayBuffer(16);
  readonly #iovecView = new DataView(this.#iovec);
  readonly #header = new ArrayBuffer(MSGHDR_BYTES);
  readonly #headerView = new DataView(this.#header);
  readonly #headerAt = addressOf(this.#header);
  readonly #controlAt = addressOf(this.#control);

  constructor() {
    this.#iovecView.setBigUint64(0, addressOf(this.#data), true);
    this.#headerView.setBigUint64(16, addressOf(this.#iovec), true);
    this.#headerView.setBigUint64(24, 1n, true);
  }

  /** False: see errno. */
  send(fd: number, bytes: Uint8Array, fds: readonly number[]): boolean {
    if (bytes.length === 0 || bytes.length > LONGEST_MESSAGE_BYTES || fds.length > MOST_DESCRIPTORS)
      throw new RangeError(`a message of ${bytes.length} bytes and ${fds.length} descriptors cannot be sent`);
    this.#bytes.set(bytes);
    this.#iovecView.setBigUint64(8, BigInt(bytes.length), true);
    this.#headerView.setInt32(48, 0, true);
    if (fds.length === 0) this.#setControl(0n, 0);
    else {
      const length = CMSG_HEADER_BYTES + fds.length * 4;
      this.#controlView.setBigUint64(0, BigInt(length), true);
      this.#controlView.setInt32(8, SOL_SOCKET, true);
      this.#controlView.setInt32(12, SCM_RIGHTS, true);
      for (const [i, passed] of fds.entries())
        this.#controlView.setInt32(CMSG_HEADER_BYTES + i * 4, passed, true);
      this.#setControl(this.#controlAt, Math.ceil(length / 8) * 8);
    }
    return libc().sendmsg(fd, this.#headerAt, MSG_DONTWAIT | MSG_NOSIGNAL) === bytes.length;
  }

  /** The next message; `end` when the peer has closed and all is read; undefined: see errno. */
  receive(fd: number): { bytes: Buffer; fds: number[] } | 'end' | undefined {
    this.#iovecView.setBigUint64(8, BigInt(LONGEST_MESSAGE_BYTES), true);
    this.#headerView.setInt32(48, 0, true);
    this.#setControl(this.#controlAt, CONTROL_BYTES);
    const length = libc().recvmsg(fd, this.#headerAt, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0) return undefined;
    if (length === 0) return 'end';
    const fds = this.#takeDescriptors();
    const flags = this.#headerView.getInt32(48, true);
    if ((flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
      // Our own side never sends so much; a message without its descriptors would be misread.
      for (const taken of fds) libc().close(taken);
      return { bytes: Buffer.alloc(0), fds: [] };
    }
    return { bytes: Buffer.from(this.#bytes.subarray(0, length)), fds };
  }

  #takeDescriptors(): number[] {
    const fds: number[] = [];
    if (Number(this.#headerView.getBigUint64(40, true)) < CMSG_HEADER_BYTES) return fds;
    if (this.#controlView.getInt32(12, true) !== SCM_RIGHTS) return fds;
    const length = Math.min(CONTROL_BYTES, Number(this.#controlView.getBigUint64(0, true)));
    for (let at = CMSG_HEADER_BYTES; at + 4 <= length; at += 4)
      fds.push(this.#controlView.getInt32(at, true));
    return fds;
  }

  #setControl(address: bigint, length: number): void {
    this.#headerView.setBigUint64(32, address, true);
    this.#headerView.setBigUint64(40, BigInt(length), true);
  }
}
