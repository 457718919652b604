/**
 * One timer for the packets of all test phones. Each beat is reckoned from the beat before, not from when it ran, so nothing
 * drifts; a beat that comes late runs as often as it was missed, as a sound card's queue would.
 */
export interface Beat {
  stop(): void;
}

interface Entry {
  dueMs: number;
  readonly periodMs: number;
  readonly action: () => void;
  stopped: boolean;
}

/** Missed beats beyond this are skipped: a process that stood still for a second does not flood its peer. */
const MOST_MISSED = 50;

const entries = new Set<Entry>();
let timer: NodeJS.Timeout | undefined;
let timerDueMs = Number.POSITIVE_INFINITY;

export function everyMs(periodMs: number, action: () => void, firstAfterMs = periodMs): Beat {
  const entry: Entry = { dueMs: performance.now() + firstAfterMs, periodMs, action, stopped: false };
  entries.add(entry);
  arm(entry.dueMs);
  return {
    stop() {
      entry.stopped = true;
      entries.delete(entry);
      if (entries.size === 0) disarm();
    },
  };
}

function arm(dueMs: number): void {
  if (dueMs >= timerDueMs) return;
  disarm();
  timerDueMs = dueMs;
  // Rounded down to whole milliseconds: rather a millisecond early and armed again than late.
  timer = setTimeout(run, Math.max(1, Math.floor(dueMs - performance.now())));
}

function disarm(): void {
  clearTimeout(timer);
  timer = undefined;
  timerDueMs = Number.POSITIVE_INFINITY;
}

function run(): void {
  disarm();
  const nowMs = performance.now();
  let nextMs = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    // Half a millisecond early is on time: the next timer would be later than that.
    for (let missed = 0; entry.dueMs <= nowMs + 0.5 && !entry.stopped; missed++) {
      if (missed === MOST_MISSED) {
        entry.dueMs = nowMs + entry.periodMs;
        break;
      }
      entry.dueMs += entry.periodMs;
      entry.action();
    }
    if (!entry.stopped) nextMs = Math.min(nextMs, entry.dueMs);
  }
  if (nextMs !== Number.POSITIVE_INFINITY) arm(nextMs);
}
