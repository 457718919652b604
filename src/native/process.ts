import { readFileSync } from 'node:fs';
import { isLinux, libc, watch } from './libc.ts';

// Numbers of <asm/unistd.h>, the same on every architecture since 5.x.
const SYS_pidfd_send_signal = 424;
const SYS_pidfd_open = 434;
const SIGNALS = { SIGKILL: 9, SIGTERM: 15, SIGSTOP: 19, SIGCONT: 18, SIGINT: 2, SIGUSR2: 12 } as const;
export type SignalName = keyof typeof SIGNALS;
/** Where the kernel does not tell of a process's end. */
const LOOK_MS = 1_000;

/**
 * Field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names one process for ever, since a pid is given
 * again only after its process is gone. 0 where there is no such process or no /proc.
 */
export function processStartTime(pid: number): number {
  return readStat(pid)?.startTime ?? 0;
}

/** Whether this very process still runs. A zombie runs no more. */
export function isSameProcess(pid: number, startTime: number): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * Signals that process and no other: the descriptor is opened first and then holds on to one process, so the start time read
 * after it cannot belong to a later one. False: it is gone, or this user may not.
 */
export function killExact(pid: number, startTime: number, signal: SignalName): boolean {
  return withProcess(pid, startTime, (pidfd) => send(pidfd, pid, signal)) ?? false;
}

/**
 * SIGKILL, then waits at most `waitMs` (blocking) until no thread of it runs. True: it is gone for certain. What it has
 * locked in a zombie or in the kernel's clearing of its memory no longer runs its code, but counts as there until it exited.
 */
export function endProcess(pid: number, startTime: number, waitMs: number): boolean {
  const ended = withProcess(pid, startTime, (pidfd) => {
    if (!isSameProcess(pid, startTime)) return true;
    send(pidfd, pid, 'SIGKILL');
    return pidfd === undefined ? !isSameProcess(pid, startTime) : exited(pidfd, waitMs);
  });
  return ended ?? true;
}

/**
 * Calls `action` once, as soon as that process has ended (or at once, if it has). On Linux the kernel tells; elsewhere it is looked for
 * every second. What it returns stops the watching.
 */
export function onProcessEnd(pid: number, startTime: number, action: () => void): () => void {
  const pidfd =
    isLinux && Number.isInteger(pid) && pid > 0 ? libc().syscall(SYS_pidfd_open, pid, 0, null, 0) : -1;
  if (pidfd < 0 || !isSameProcess(pid, startTime)) {
    if (pidfd >= 0) libc().close(pidfd);
    return lookForEnd(pid, startTime, action);
  }
  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    watching.stop();
    libc().close(pidfd);
  };
  const watching = watch(pidfd, () => {
    stop();
    setImmediate(action);
  });
  return stop;
}

function lookForEnd(pid: number, startTime: number, action: () => void): () => void {
  let timer: NodeJS.Timeout;
  const look = (): void => {
    if (isSameProcess(pid, startTime)) timer = setTimeout(look, LOOK_MS);
    else action();
  };
  timer = setTimeout(look, 0);
  return () => clearTimeout(timer);
}

/** Runs `act` with a descriptor of the process if pid and start time still name it; undefined if they do not. */
function withProcess(
  pid: number,
  startTime: number,
  act: (pidfd: number | undefined) => boolean,
): boolean | undefined {
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  if (!isLinux) return processStartTime(pid) === startTime ? act(undefined) : undefined;
  const pidfd = libc().syscall(SYS_pidfd_open, pid, 0, null, 0);
  if (pidfd < 0) return undefined;
  try {
    return processStartTime(pid) === startTime ? act(pidfd) : undefined;
  } finally {
    libc().close(pidfd);
  }
}

function send(pidfd: number | undefined, pid: number, signal: SignalName): boolean {
  if (pidfd !== undefined)
    return libc().syscall(SYS_pidfd_send_signal, pidfd, SIGNALS[signal], null, 0) === 0;
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** A pidfd is readable when all threads have exited (pidfd_open(2)). */
function exited(pidfd: number, waitMs: number): boolean {
  const pollfd = new Uint8Array(8);
  const view = new DataView(pollfd.buffer);
  view.setInt32(0, pidfd, true);
  view.setInt16(4, 1, true);
  return libc().poll(pollfd, 1, Math.max(0, Math.ceil(waitMs))) === 1;
}

function readStat(pid: number): { state: string; startTime: number } | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may itself hold spaces and brackets: the fields begin after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? 'X', startTime: Number(fields[19]) };
  } catch {
    return undefined;
  }
}
