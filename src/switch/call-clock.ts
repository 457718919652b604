import type { Clock } from '../base/index.ts';

/**
 * Whose clock the times of a stored call are of. `nowMs` counts from the boot of a machine, and a call that is adopted on another one goes on
 * by the clock it began with: it keeps how far that is ahead of the one here.
 */
export interface CallClock {
  /** `Clock.boot` of who wrote it. */
  readonly boot: string;
  /** The call's time less `Clock.nowMs` there. */
  readonly aheadMs: number;
  /** The call's time when it was written, and the wall clock's. */
  readonly callMs: number;
  readonly utcMs: number;
}

export function callClock(clock: Clock, aheadMs: number): CallClock {
  return {
    boot: clock.boot ?? '',
    aheadMs,
    callMs: Math.round(clock.nowMs() + aheadMs),
    utcMs: clock.utcMs(),
  };
}

/**
 * How far the call's time is ahead of `clock`. Between machines the wall clocks say how long ago it was written, so what they differ by the
 * call's timers are early or late. Absent: an older release wrote it, on this machine as far as anybody can tell.
 */
export function aheadOf(written: CallClock | undefined, clock: Clock): number {
  if (written === undefined) return 0;
  if (written.boot === (clock.boot ?? '')) return written.aheadMs;
  const agoMs = Math.max(0, clock.utcMs() - written.utcMs);
  return written.callMs + agoMs - clock.nowMs();
}
