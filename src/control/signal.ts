import { type Clock, type Logger, TwinlineError } from '../base/index.ts';
import type { ProcessRef } from '../link/index.ts';
import { isSameProcess, killExact } from '../native/index.ts';
import type { SignalledProcesses } from './commands.ts';
import type { Shape } from './gather.ts';
import { checkHere, type FoundProcess, findProcesses, parseTarget, processesOf } from './processes.ts';

const SIGNALS = { kill: 'SIGKILL', freeze: 'SIGSTOP', thaw: 'SIGCONT' } as const;
/** A killed process with much memory takes the kernel some milliseconds. */
const GONE_WITHIN_MS = 3000;
const ANSWER_FIRST_MS = 50;

/**
 * Signals every process of a target by pid and start time. `kill` replies when they are gone. Rejects with `not_running` when there is none,
 * so that a mistyped or already dead target is not taken for a success.
 */
export async function signalTarget(
  verb: keyof typeof SIGNALS,
  targetText: string,
  shape: Shape,
  options: { readonly clock: Clock; readonly log: Logger },
): Promise<SignalledProcesses> {
  const target = parseTarget(targetText, shape.zones, shape.edges);
  checkHere(target, shape.zones, shape.elsewhere);
  const name = `${target.role} ${target.id}`;
  if (target.role === 'control' && verb === 'freeze')
    throw new TwinlineError('bad_target', 'control cannot be frozen: nobody could thaw it');
  const processes = processesOf(target, shape.zones, findProcesses(shape.planFile));
  if (processes.length === 0) throw new TwinlineError('not_running', `${name} does not run`);
  if (verb === 'thaw' && !processes.some(({ frozen }) => frozen))
    throw new TwinlineError('not_frozen', `${name} is not frozen`);
  if (target.role === 'control') {
    // Ourselves: first the answer, then the end.
    options.clock.after(ANSWER_FIRST_MS, () => {
      for (const { pid, startTime } of processes) killExact(pid, startTime, SIGNALS[verb]);
    });
    return { target: name, processes: processes.map(refOf) };
  }
  const reached = processes.filter(({ pid, startTime }) => killExact(pid, startTime, SIGNALS[verb]));
  options.log.warn({ verb, target: name, pids: reached.map(({ pid }) => pid) }, 'processes.signalled');
  if (reached.length === 0) throw new TwinlineError('not_permitted', `${name} could not be signalled`);
  if (verb === 'kill') await gone(reached, options.clock);
  return { target: name, processes: reached.map(refOf) };
}

const refOf = ({ role, id, pid, startTime }: FoundProcess): ProcessRef => ({ role, id, pid, startTime });

function gone(processes: readonly FoundProcess[], clock: Clock): Promise<void> {
  const untilMs = clock.nowMs() + GONE_WITHIN_MS;
  return new Promise((resolve) => {
    const look = (): void => {
      const left = processes.some(({ pid, startTime }) => isSameProcess(pid, startTime));
      if (!left || clock.nowMs() > untilMs) resolve();
      else clock.after(2, look);
    };
    look();
  });
}
