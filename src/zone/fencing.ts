import type { Logger } from '../base/index.ts';
import type { ProcessRef } from '../link/index.ts';

/** Ends exactly the process that is meant: a pid that now names another process is left alone. */
export interface ProcessEnder {
  /** Sends SIGKILL. False when that process is no more. */
  end(process: ProcessRef): boolean;
  /** Whether it still runs, frozen or not. */
  running(process: ProcessRef): boolean;
  /** Resolves when it is gone for good. */
  gone(process: ProcessRef): Promise<void>;
}

/**
 * Makes sure that no process of a zone lives any more. Its supervisor first, so that it restarts nothing; media last in
 * the same breath: its twin takes the streams over by itself once their sockets' owner is dead.
 */
export async function fence(
  processes: readonly ProcessRef[],
  ender: ProcessEnder,
  log: Logger,
): Promise<void> {
  const rank = (process: ProcessRef) => (process.role === 'zone' ? 0 : process.role === 'switch' ? 1 : 2);
  const ordered = [...processes].sort((a, b) => rank(a) - rank(b));
  for (const process of ordered) {
    if (ender.end(process)) log.warn({ role: process.role, id: process.id, pid: process.pid }, 'fence.ended');
  }
  await Promise.all(ordered.map((process) => ender.gone(process)));
}
