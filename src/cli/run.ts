import { type Logger, TwinlineError } from '../base/index.ts';
import type { Peer } from '../link/index.ts';
import { onProcessEnd, processStartTime, systemClock, systemRandom } from '../native/index.ts';
import { createLogger } from './logger.ts';
import { readPlan } from './plan.ts';
import type { ProcessContext } from './process-context.ts';

/** How often a process looks whether the launcher still lives. */
/** A process that cannot end by itself within this time is ended by `exit`. */
const STOP_WITHIN_MS = 4000;

/** Gives back how to end. */
type Start = (context: ProcessContext, id: string) => Promise<() => Promise<void>>;

/** Each loads its own part of the program only: a media process carries no SIP, an edge no SQL. */
const PROCESSES: Readonly<Record<string, () => Promise<Start>>> = {
  edge: async () => (await import('./run-edge.ts')).runEdge,
  zone: async () => (await import('./run-zone.ts')).runZone,
  switch: async () => (await import('./run-switch.ts')).runSwitch,
  media: async () => (await import('./run-media.ts')).runMedia,
  control: async () => (await import('./run-control.ts')).runControl,
};

/** The hidden commands `run-<role> <id> <planFile>`: one process of an installation, until SIGTERM or the launcher's end. */
export async function runProcess(role: string, id: string, planFile: string): Promise<void> {
  const load = PROCESSES[role];
  if (load === undefined) throw new TwinlineError('bad_command', `there is no process "${role}"`);
  const plan = readPlan(planFile);
  const self: Peer = { role, id, pid: process.pid, startTime: processStartTime(process.pid) };
  const name = role === id ? role : `${role}-${id}`;
  const log = createLogger({ name, data: plan.data, ...plan.logs });
  const clock = systemClock;

  let stop: (() => Promise<void>) | undefined;
  let ending = false;
  const end = (why: string, code: number): void => {
    if (ending) return;
    ending = true;
    log.info({ why }, 'process.ends');
    const timer = clock.after(STOP_WITHIN_MS, () => process.exit(code));
    Promise.resolve(stop?.())
      .catch((error: unknown) => log.error({ error: String(error) }, 'process.stop_failed'))
      .finally(() => {
        timer.cancel();
        process.exit(code);
      });
  };
  process.on('SIGTERM', () => end('SIGTERM', 0));
  // Ctrl-C reaches the whole group: the launcher alone decides the order in which we end.
  process.on('SIGINT', () => {});
  onProcessEnd(plan.launcher.pid, plan.launcher.startTime, () => end('the launcher has ended', 0));
  // A bug ends the process, and whoever watches it goes on with its work: better than going on with half a state.
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));

  try {
    const start = await load();
    stop = await start({ plan, planFile, self, clock, random: systemRandom, log }, id);
    log.info({ pid: process.pid }, 'process.up');
  } catch (error) {
    log.error({ error: String(error), code: (error as { code?: unknown }).code }, 'process.start_failed');
    // The launcher shows these lines to whoever started it.
    process.stderr.write(
      `${error instanceof TwinlineError ? error.message : ((error as Error).stack ?? error)}\n`,
    );
    end('it could not start', error instanceof TwinlineError ? 1 : 70);
  }
}

function crash(log: Logger, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error({ error: text }, 'process.crashed');
  process.stderr.write(`${text}\n`);
  process.exit(70);
}
