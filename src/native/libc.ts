import koffi from 'koffi';

/**
 * The C library of this process. Loaded at first use, so that a platform without these functions can still import the room.
 * Pointers are passed as typed arrays: koffi takes their address for the time of the call, and none of these calls keeps it.
 */
export interface Libc {
  clock_gettime(clock: number, time: Uint8Array): number;
  syscall(number: number, a: number, b: number, c: Uint8Array | null, d: number): number;
  poll(fds: Uint8Array, count: number, timeoutMs: number): number;
  close(fd: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  accept4(fd: number, address: Uint8Array | null, length: Uint8Array | null, flags: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  shutdown(fd: number, how: number): number;
  sendmsg(fd: number, message: bigint, flags: number): number;
  recvmsg(fd: number, message: bigint, flags: number): number;
  recvmmsg(fd: number, messages: bigint, count: number, flags: number, timeout: null): number;
  sendmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Uint8Array): number;
  epoll_wait(epoll: number, events: bigint, count: number, timeoutMs: number): number;
  fcntl(fd: number, operation: number, lock: Uint8Array): number;
  mmap(
    at: bigint,
    length: number,
    access: number,
    flags: number,
    fd: number,
    offset: number,
  ): number | bigint;
  munmap(address: bigint, length: number): number;
  pthread_mutex_lock(mutex: bigint): number;
  pthread_mutex_timedlock(mutex: bigint, until: Uint8Array): number;
  pthread_mutex_consistent(mutex: bigint): number;
  pthread_mutex_unlock(mutex: bigint): number;
}

let loaded: Libc | undefined;

export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const library = koffi.load(null);
  return {
    clock_gettime: library.func('int clock_gettime(int clock, void *time)') as Libc['clock_gettime'],
    // Declared with fixed arguments: on x86_64 and arm64 Linux, integers are passed alike in both forms.
    syscall: library.func('long syscall(long number, long a, long b, void *c, long d)') as Libc['syscall'],
    poll: library.func('int poll(void *fds, ulong count, int timeout)') as Libc['poll'],
    close: library.func('int close(int fd)') as Libc['close'],
    socket: library.func('int socket(int family, int type, int protocol)') as Libc['socket'],
    bind: library.func('int bind(int fd, void *address, uint length)') as Libc['bind'],
    listen: library.func('int listen(int fd, int backlog)') as Libc['listen'],
    connect: library.func('int connect(int fd, void *address, uint length)') as Libc['connect'],
    accept4: library.func('int accept4(int fd, void *address, void *length, int flags)') as Libc['accept4'],
    getsockname: library.func('int getsockname(int fd, void *address, void *length)') as Libc['getsockname'],
    setsockopt: library.func(
      'int setsockopt(int fd, int level, int option, void *value, uint length)',
    ) as Libc['setsockopt'],
    getsockopt: library.func(
      'int getsockopt(int fd, int level, int option, void *value, void *length)',
    ) as Libc['getsockopt'],
    shutdown: library.func('int shutdown(int fd, int how)') as Libc['shutdown'],
    sendmsg: library.func('long sendmsg(int fd, uintptr_t message, int flags)') as Libc['sendmsg'],
    recvmsg: library.func('long recvmsg(int fd, uintptr_t message, int flags)') as Libc['recvmsg'],
    recvmmsg: library.func(
      'int recvmmsg(int fd, uintptr_t messages, uint count, int flags, void *timeout)',
    ) as Libc['recvmmsg'],
    sendmmsg: library.func(
      'int sendmmsg(int fd, uintptr_t messages, uint count, int flags)',
    ) as Libc['sendmmsg'],
    epoll_create1: library.func('int epoll_create1(int flags)') as Libc['epoll_create1'],
    epoll_ctl: library.func(
      'int epoll_ctl(int epoll, int operation, int fd, void *event)',
    ) as Libc['epoll_ctl'],
    epoll_wait: library.func(
      'int epoll_wait(int epoll, uintptr_t events, int count, int timeout)',
    ) as Libc['epoll_wait'],
    // With fixed arguments, as `syscall`.
    fcntl: library.func('int fcntl(int fd, int operation, void *lock)') as Libc['fcntl'],
    mmap: library.func(
      'uintptr_t mmap(uintptr_t at, ulong length, int access, int flags, int fd, long offset)',
    ) as Libc['mmap'],
    munmap: library.func('int munmap(uintptr_t address, ulong length)') as Libc['munmap'],
    pthread_mutex_lock: library.func('int pthread_mutex_lock(uintptr_t mutex)') as Libc['pthread_mutex_lock'],
    pthread_mutex_timedlock: library.func(
      'int pthread_mutex_timedlock(uintptr_t mutex, void *until)',
    ) as Libc['pthread_mutex_timedlock'],
    pthread_mutex_consistent: library.func(
      'int pthread_mutex_consistent(uintptr_t mutex)',
    ) as Libc['pthread_mutex_consistent'],
    pthread_mutex_unlock: library.func(
      'int pthread_mutex_unlock(uintptr_t mutex)',
    ) as Libc['pthread_mutex_unlock'],
  };
}

/** The name of the last failure: `EADDRINUSE`, `EAGAIN` … */
export function errnoName(): string {
  const code = koffi.errno();
  for (const [name, value] of Object.entries(koffi.os.errno)) if (value === code) return name;
  return `errno ${code}`;
}

export const lastErrno = (): number => koffi.errno();

/** The address of a buffer that its owner keeps for as long as the address is used. */
export const addressOf = (buffer: ArrayBuffer): bigint => koffi.address(new Uint8Array(buffer));

export interface Watch {
  /** From now on also (or no more) tells when the descriptor can be written. */
  wantWritable(on: boolean): void;
  /** Tells nothing until `resume`. */
  pause(): void;
  resume(): void;
  stop(): void;
}

/** What koffi 3.3.4 calls; its type declaration forgets the status (0 or a libuv error). */
type PollCallback = (
  status: number,
  events: { readable: boolean; writable: boolean; disconnect: boolean },
) => void;

/**
 * Watches a descriptor in Node's own loop. Keep what it returns, else it is collected. Stopping comes before closing: a closed
 * number still polled aborts Node.
 *
 * koffi calls back outside of Node's callback scope: promises settled there would wait for whatever happens next, and an
 * exception would be lost. Hence `settleSoon` for actions that may settle promises, and exceptions thrown from Node's loop.
 */
export function watch(fd: number, readable: () => void, writable?: () => void): Watch {
  const act: PollCallback = (status, events) => {
    try {
      if (events.writable) writable?.();
      if (events.readable || events.disconnect || status !== 0) readable();
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
    }
  };
  const callback = act as unknown as (events: object) => void;
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, callback);
  let stopped = false;
  return {
    wantWritable(on) {
      if (!stopped) handle.start({ readable: true, disconnect: true, writable: on }, callback);
    },
    pause() {
      if (!stopped) handle.stop();
    },
    resume() {
      if (!stopped) handle.start({ readable: true, disconnect: true }, callback);
    },
    stop() {
      if (stopped) return;
      stopped = true;
      handle.stop();
      handle.close();
    },
  };
}

let settling = false;
/** Lets Node run its promise jobs in the next turn of its loop. Costs a microsecond or two: not for each packet. */
export function settleSoon(): void {
  if (settling) return;
  settling = true;
  setImmediate(() => {
    settling = false;
  });
}

export const isLinux = process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64');

// Of <errno.h>, <sys/socket.h> and <sys/epoll.h>; the same on x86_64 and arm64.
export const EAGAIN = 11;
export const EINTR = 4;
export const ECONNRESET = 104;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUF = 8;
export const SO_PEERCRED = 17;
export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IPPROTO_IPV6 = 41;
export const IPV6_TCLASS = 67;
export const IPV6_V6ONLY = 26;
export const MSG_CTRUNC = 0x08;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
