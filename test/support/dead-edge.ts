import path from 'node:path';
import { findProcesses } from '../../src/control/index.ts';
import { killExact } from '../../src/native/index.ts';
import type { Installation } from './installation.ts';

/**
 * Kills an edge. Whatever is started in its place ends before it listens, until what is returned is called. Throws if there was no such
 * edge.
 */
export function keepEdgeDead(twinline: Installation, edge: string): () => Promise<void> {
  const plan = path.join(twinline.data, 'run/plan.json');
  const killIt = (): number => {
    const found = findProcesses(plan).filter(({ role, id }) => role === 'edge' && id === edge);
    for (const { pid, startTime } of found) killExact(pid, startTime, 'SIGKILL');
    return found.length;
  };
  if (killIt() !== 1) throw new Error(`no edge ${edge} was running`);
  const again = setInterval(killIt, 100);
  return async () => clearInterval(again);
}
