import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../base/index.ts';
import { isLinux, libc } from './libc.ts';

/** Also counts while the machine sleeps, and is one for all processes of a boot. */
const CLOCK_BOOTTIME = 7;
/**
 * Node may fire up to a millisecond early, as its own clock runs in whole ones; what must wait longer than this is armed for one more,
 * which costs less than waking twice.
 */
const COARSE_FROM_MS = 20;
/** Node refuses longer ones and fires at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

const timespec = new Uint8Array(16);
const words = new Uint32Array(timespec.buffer);

/** 80 ns a call on Linux. Elsewhere Node's monotonic clock, which stops while the machine sleeps. */
function bootMs(): number {
  if (!isLinux) return Number(process.hrtime.bigint()) / 1e6;
  libc().clock_gettime(CLOCK_BOOTTIME, timespec);
  return words[0]! * 1000 + words[2]! / 1e6;
}

let bootName: string | undefined;

/** The machine's own clock. Timers keep the process alive until they are cancelled. */
export const systemClock: Clock = {
  nowMs: bootMs,
  get boot() {
    bootName ??= bootId();
    return bootName;
  },
  utcMs: () => Date.now(),
  after: (delayMs, action) => new SystemTimer(bootMs() + Math.max(0, delayMs), action),
};

class SystemTimer implements Timer {
  readonly #dueMs: number;
  readonly #action: () => void;
  #timeout: NodeJS.Timeout;

  constructor(dueMs: number, action: () => void) {
    this.#dueMs = dueMs;
    this.#action = action;
    this.#timeout = this.#arm(dueMs - bootMs());
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  #arm(delayMs: number): NodeJS.Timeout {
    const wholeMs = Math.ceil(Math.max(0, delayMs)) + (delayMs >= COARSE_FROM_MS ? 1 : 0);
    return setTimeout(() => this.#fire(), Math.min(LONGEST_TIMEOUT_MS, wholeMs));
  }

  /** Short ones may fire early, and long delays are cut: then the rest is waited for. */
  #fire(): void {
    const restMs = this.#dueMs - bootMs();
    if (restMs > 0) this.#timeout = this.#arm(restMs);
    else this.#action();
  }
}

/** Names this boot of the machine: times of `nowMs`, pids and start times mean nothing in another one. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
