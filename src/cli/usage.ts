import type { Clock } from '../base/index.ts';

/** CPU since the last call, in percent of one core, and the memory of this process. */
export function usageMeter(clock: Clock): () => { cpuPercent: number; rssKib: number } {
  let lastMs = clock.nowMs();
  let last = process.cpuUsage();
  return () => {
    const nowMs = clock.nowMs();
    const used = process.cpuUsage(last);
    const elapsedMs = Math.max(1, nowMs - lastMs);
    last = process.cpuUsage();
    lastMs = nowMs;
    return {
      cpuPercent: Math.round((used.user + used.system) / elapsedMs) / 10,
      rssKib: Math.round(process.memoryUsage.rss() / 1024),
    };
  };
}
