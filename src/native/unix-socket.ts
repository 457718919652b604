import { chmodSync, unlinkSync } from 'node:fs';
import { TwinlineError } from '../base/index.ts';
import {
  AF_UNIX,
  EAGAIN,
  ECONNRESET,
  EINTR,
  errnoName,
  isLinux,
  lastErrno,
  libc,
  SO_PEERCRED,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOL_SOCKET,
  settleSoon,
  type Watch,
  watch,
} from './libc.ts';
import { MessageCarrier } from './unix-message.ts';

/**
 * A connection of whole messages (SOCK_SEQPACKET) over a path of this machine, each with up to 200 descriptors. `send` is one
 * system call: what it took is in the peer's queue even if this process is killed the next moment. Linux only.
 */
export interface UnixSocket {
  /** Who is at the other end, as the kernel says (SO_PEERCRED): it cannot be lied about. */
  readonly peer: { readonly pid: number; readonly uid: number; readonly gid: number };
  readonly open: boolean;
  /**
   * `full`: the peer reads too slowly, nothing was sent, `onWritable` tells when to try again. `closed`: the peer is gone; its
   * last words and the end still come by `onMessage` and `onClose`. Throws for an empty message or one above 64 KiB.
   */
  send(bytes: Uint8Array, fds?: readonly number[]): 'sent' | 'full' | 'closed';
  /** The receiver owns the descriptors and must close them or keep them in use. */
  onMessage(handler: (message: UnixMessage) => void): void;
  onWritable(handler: () => void): void;
  /** Once, after the last message: the peer closed or died. Not called after our own `close`. */
  onClose(handler: () => void): void;
  close(): void;
}

export interface UnixMessage {
  readonly bytes: Buffer;
  readonly fds: readonly number[];
}

export interface UnixListener {
  readonly path: string;
  close(): void;
}

/** Messages read in one go before other work of this thread gets its turn. */
const MESSAGES_PER_WAKE = 256;
const BACKLOG = 16;
/** Some hundreds of messages in flight. The kernel cuts it to net.core.wmem_max for an ordinary user. */
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;
/** sun_path is 108 bytes with its final zero. */
const LONGEST_PATH_BYTES = 107;

/** Whether sockets can be passed to another process here: on Linux (x86_64, arm64). */
export const canPassDescriptors = isLinux;

const carrier = isLinux ? new MessageCarrier() : undefined;

/** Throws `TwinlineError` `path_in_use` when somebody listens there; a path left by a dead process is replaced. Mode 0600. */
export function listenUnix(path: string, onConnection: (socket: UnixSocket) => void): UnixListener {
  const c = libc();
  clearPath(path);
  const fd = openSocket();
  const name = sockaddr(path);
  if (c.bind(fd, name, name.length) < 0 || c.listen(fd, BACKLOG) < 0) {
    const why = errnoName();
    c.close(fd);
    throw new TwinlineError('socket_failed', `listening on ${path} failed: ${why}`);
  }
  chmodSync(path, 0o600);
  const watching = watch(fd, () => {
    for (let i = 0; i < BACKLOG; i++) {
      const accepted = c.accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (accepted < 0) return;
      settleSoon();
      onConnection(new SeqPacketSocket(accepted));
    }
  });
  let open = true;
  return {
    path,
    close() {
      if (!open) return;
      open = false;
      watching.stop();
      c.close(fd);
      try {
        unlinkSync(path);
      } catch {
        // Somebody else removed it; the aim is reached.
      }
    },
  };
}

/** Throws `TwinlineError` `not_listening` when nobody is there (yet), `socket_failed` for anything else. */
export function connectUnix(path: string): UnixSocket {
  const fd = openSocket();
  const name = sockaddr(path);
  if (libc().connect(fd, name, name.length) === 0) return new SeqPacketSocket(fd);
  const why = errnoName();
  libc().close(fd);
  const absent = why === 'ENOENT' || why === 'ECONNREFUSED' || why === 'EAGAIN';
  throw new TwinlineError(
    absent ? 'not_listening' : 'socket_failed',
    `connecting to ${path} failed: ${absent ? 'nobody listens there' : why}`,
  );
}

/** Closes descriptors that were received and are of no use. */
export function closeDescriptors(fds: readonly number[]): void {
  for (const fd of fds) libc().close(fd);
}

class SeqPacketSocket implements UnixSocket {
  readonly peer: UnixSocket['peer'];
  open = true;
  readonly #fd: number;
  readonly #watch: Watch;
  #ended = false;
  #message: ((message: UnixMessage) => void) | undefined;
  #writable: (() => void) | undefined;
  #closed: (() => void) | undefined;

  constructor(fd: number) {
    this.#fd = fd;
    this.peer = peerCredentials(fd);
    enlargeSendBuffer(fd);
    this.#watch = watch(
      fd,
      () => this.#read(),
      () => {
        settleSoon();
        this.#watch.wantWritable(false);
        this.#writable?.();
      },
    );
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): 'sent' | 'full' | 'closed' {
    if (!this.open || this.#ended) return 'closed';
    for (;;) {
      if (carrier!.send(this.#fd, bytes, fds)) return 'sent';
      const why = lastErrno();
      if (why === EINTR) continue;
      // Anything but a full buffer means that no message will ever pass again.
      if (why !== EAGAIN) return 'closed';
      this.#watch.wantWritable(true);
      return 'full';
    }
  }

  onMessage(handler: (message: UnixMessage) => void): void {
    this.#message = handler;
  }

  onWritable(handler: () => void): void {
    this.#writable = handler;
  }

  onClose(handler: () => void): void {
    this.#closed = handler;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.#watch.stop();
    libc().close(this.#fd);
  }

  #read(): void {
    settleSoon();
    for (let i = 0; i < MESSAGES_PER_WAKE && this.open; i++) {
      const message = carrier!.receive(this.#fd);
      if (message === 'end') {
        this.#end();
        return;
      }
      if (message === undefined) {
        const why = lastErrno();
        // The kernel reports once that the peer died with our words unread; its own last words still wait behind that.
        if (why === ECONNRESET || why === EINTR) continue;
        if (why === EAGAIN) return;
        this.#end();
        return;
      }
      if (this.#message === undefined) closeDescriptors(message.fds);
      else this.#message(message);
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.close();
    this.#closed?.();
  }
}

function openSocket(): number {
  if (!isLinux) throw new TwinlineError('socket_failed', 'sockets that carry descriptors need Linux');
  const fd = libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw new TwinlineError('socket_failed', `socket failed: ${errnoName()}`);
  return fd;
}

function sockaddr(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_PATH_BYTES)
    throw new TwinlineError(
      'path_too_long',
      `the socket path ${path} has ${bytes.length} bytes, the kernel takes ${LONGEST_PATH_BYTES}: use a shorter data directory`,
    );
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}

function clearPath(path: string): void {
  let other: UnixSocket;
  try {
    other = connectUnix(path);
  } catch (error) {
    if (error instanceof TwinlineError && error.code !== 'not_listening') throw error;
    try {
      unlinkSync(path);
    } catch {
      // Nothing was there.
    }
    return;
  }
  const pid = other.peer.pid;
  other.close();
  throw new TwinlineError('path_in_use', `process ${pid} already listens on ${path}`);
}

function peerCredentials(fd: number): UnixSocket['peer'] {
  const credentials = new Int32Array(3);
  const length = new Int32Array([12]);
  const bytes = new Uint8Array(credentials.buffer);
  libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, bytes, new Uint8Array(length.buffer));
  return { pid: credentials[0]!, uid: credentials[1]!, gid: credentials[2]! };
}

function enlargeSendBuffer(fd: number): void {
  const size = new Uint8Array(new Int32Array([SEND_BUFFER_BYTES]).buffer);
  if (libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, size, 4) < 0)
    libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, 4);
}
