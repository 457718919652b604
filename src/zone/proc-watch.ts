import { readFileSync } from 'node:fs';
import type { ProcessRef } from '../link/index.ts';
import type { ProcessFacts } from './process-facts.ts';

const NS_PER_MS = 1e6;
/** USER_HZ, which is 100 on every architecture that node runs on. */
const TICK_MS = 10;

/** Reads /proc. The state and the times are the main thread's, which is node's loop; undefined where that is not to be had. */
export function readProcessFacts({ pid, startTime }: ProcessRef): ProcessFacts | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may itself hold spaces and brackets: the fields begin after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(fields[19]) !== startTime) return undefined;
    const state = fields[0] ?? 'X';
    return { state, ...(threadTimes(pid) ?? { ranMs: processTimeMs(fields), waitedMs: 0 }) };
  } catch {
    return undefined;
  }
}

/** Time on the CPU and in the run queue (Documentation/scheduler/sched-stats.rst); not every kernel is built to keep it. */
function threadTimes(pid: number): { ranMs: number; waitedMs: number } | undefined {
  try {
    const [ranNs, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number);
    if (!Number.isFinite(ranNs) || !Number.isFinite(waitedNs)) return undefined;
    return { ranMs: ranNs! / NS_PER_MS, waitedMs: waitedNs! / NS_PER_MS };
  } catch {
    return undefined;
  }
}

/** Of all threads: without schedstat only whether it moved at all counts. */
const processTimeMs = (fields: readonly string[]): number =>
  (Number(fields[11]) + Number(fields[12])) * TICK_MS;
