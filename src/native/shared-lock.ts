import { fstatSync } from 'node:fs';
import { TwinlineError } from '../base/index.ts';
import { EINTR, errnoName, isLinux, lastErrno, libc } from './libc.ts';

/** Whether files can be locked for other processes to see: on Linux (x86_64, arm64). */
export const canLockFiles = isLinux;

// Of <fcntl.h>, <sys/mman.h> and <errno.h>; the same on x86_64 and arm64.
const F_OFD_GETLK = 36;
const F_OFD_SETLKW = 38;
const LOCK_TYPES = { shared: 0, exclusive: 1, none: 2 } as const;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const EOWNERDEAD = 130;
const ETIMEDOUT = 110;
/** The largest pthread_mutex_t: glibc's on arm64. */
const MUTEX_BYTES = 48;

/**
 * Locks one byte of an open file for its descriptor (F_OFD_SETLKW), or frees it. Waits for whoever has it. The lock lives until it
 * is freed or the descriptor is closed, be it by the death of the process; closing other descriptors of the file does it no harm. Throws `lock_failed`.
 */
export function lockByte(fd: number, byte: number, lock: keyof typeof LOCK_TYPES): void {
  const request = flock(LOCK_TYPES[lock], byte);
  while (libc().fcntl(fd, F_OFD_SETLKW, request) < 0) {
    if (lastErrno() !== EINTR) throw lockFailed(`locking byte ${byte}`, errnoName());
  }
}

/** Whether anybody has a lock on that byte, of this kind or of the older one that belongs to a process; the descriptor's own does not count. */
export function isByteLocked(fd: number, byte: number): boolean {
  const request = flock(LOCK_TYPES.exclusive, byte);
  if (libc().fcntl(fd, F_OFD_GETLK, request) < 0) throw lockFailed(`looking at byte ${byte}`, errnoName());
  return request.readInt16LE(0) !== LOCK_TYPES.none;
}

/**
 * Takes the robust, process-shared mutex that lies at `offset` of the file, which this thread does not have yet. Returns what gives it back,
 * to be called by this thread before anything else runs; undefined: another had it for all of `waitMs`. Should its former owner have died
 * with it, it is whole again when it is given back. Throws `lock_failed`, also for a file that is too short.
 */
export function lockMutexIn(
  fd: number,
  offset: number,
  waitMs: number | undefined,
): (() => void) | undefined {
  const c = libc();
  const length = offset + MUTEX_BYTES;
  if (fstatSync(fd).size < length) throw lockFailed('taking a mutex', 'the file is too short');
  const map = BigInt(c.mmap(0n, length, PROT_READ_WRITE, MAP_SHARED, fd, 0));
  if (map === MAP_FAILED) throw lockFailed('mapping the file', errnoName());
  const mutex = map + BigInt(offset);
  const status =
    waitMs === undefined
      ? c.pthread_mutex_lock(mutex)
      : c.pthread_mutex_timedlock(mutex, timespec(Date.now() + waitMs));
  if (status !== 0 && status !== EOWNERDEAD) {
    c.munmap(map, length);
    if (status === ETIMEDOUT) return undefined;
    throw lockFailed('taking a mutex', `errno ${status}`);
  }
  return () => {
    if (status === EOWNERDEAD) c.pthread_mutex_consistent(mutex);
    c.pthread_mutex_unlock(mutex);
    c.munmap(map, length);
  };
}

/** `struct flock`: type, from the file's start, offset, length 1, pid 0. */
function flock(type: number, byte: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeInt16LE(type, 0);
  bytes.writeBigInt64LE(BigInt(byte), 8);
  bytes.writeBigInt64LE(1n, 16);
  return bytes;
}

/** `pthread_mutex_timedlock` counts by the wall clock. */
function timespec(utcMs: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(BigInt(Math.floor(utcMs / 1000)), 0);
  bytes.writeBigInt64LE(BigInt(Math.floor(utcMs % 1000)) * 1_000_000n, 8);
  return bytes;
}

const lockFailed = (what: string, why: string): TwinlineError =>
  new TwinlineError('lock_failed', `${what} of a file shared with other processes failed: ${why}`);
