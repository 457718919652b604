import type { ProcessRef } from '../link/index.ts';

/** What the machine tells of a process that does not answer, so that one that gets no CPU is not taken for one that hangs. */
export interface ProcessFacts {
  /** As in /proc/PID/stat: R runs or wants to, D waits for a disk, S sleeps, T and t are stopped, Z has ended. */
  readonly state: string;
  /** How long its main thread has run, and how long it has waited for its turn to run, since it began. */
  readonly ranMs: number;
  readonly waitedMs: number;
}

/** Undefined for a process that is gone, lives on another machine, or of which the machine tells nothing. */
export type ProcessWatch = (process: ProcessRef) => ProcessFacts | undefined;

/** How long silence is borne, at most: a bound for each, because whoever is not served by that process waits with it. */
export const PATIENCE_MS = {
  /** Stopped, ended, or nothing is known: it will not answer. */
  stopped: 1_500,
  /** Sleeps, although it was asked: it hangs, or its channel is dead. */
  idle: 1_500,
  /** Computes and nothing else: for ever, or until its long task is done. */
  busy: 3_000,
  /** Wants to run and is not let: to kill it would take its work to others who get no CPU either. */
  starved: 6_000,
} as const;

export type Standing = keyof typeof PATIENCE_MS;

/** What a silent process is at, from two looks at it. */
export function standingOf(before: ProcessFacts | undefined, now: ProcessFacts | undefined): Standing {
  if (now === undefined || 'TtZXx'.includes(now.state)) return 'stopped';
  const ranMs = now.ranMs - (before?.ranMs ?? now.ranMs);
  const waitedMs = now.waitedMs - (before?.waitedMs ?? now.waitedMs);
  if (now.state === 'R' || now.state === 'D') return ranMs > waitedMs ? 'busy' : 'starved';
  if (ranMs <= 0 && waitedMs <= 0) return 'idle';
  return ranMs > waitedMs ? 'busy' : 'starved';
}
