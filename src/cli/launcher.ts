import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, type Logger, type Random, type Timer, TwinlineError } from '../base/index.ts';
import { findProcesses } from '../control/index.ts';
import { type Channel, type LinkListener, listenLink, type Peer, type ProcessRef } from '../link/index.ts';
import { isSameProcess, killExact, processStartTime } from '../native/index.ts';
import { watchEdges } from './edge-watch.ts';
import { nodeFlags } from './node-flags.ts';
import { edgeSocket, launcherSocket, logDir } from './paths.ts';
import { isHere } from './places.ts';
import type { Plan } from './plan.ts';

export type LaunchedRole = 'edge' | 'zone' | 'control';

/** A process that ends at once again and again must not spin: the pause doubles from the first to the second figure. */
const RESTART_PAUSE_MS = 100;
const RESTART_PAUSE_MAX_MS = 5000;
const STABLE_AFTER_MS = 10_000;
/** What was asked to end and has not is killed. */
const STOP_WITHIN_MS = 6000;
const LOOK_AGAIN_MS = 10;

interface Launched {
  readonly role: LaunchedRole;
  readonly id: string;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly startTime: number;
  readonly startedMs: number;
  readonly restarts: number;
}

export interface LauncherOptions {
  readonly plan: Plan;
  readonly planFile: string;
  /** The program's main file, run by this Node. */
  readonly main: string;
  readonly self: Peer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A process of ours has ended. `lastWords`: what it wrote to stderr, if anything. */
  readonly onExit: (process: { role: LaunchedRole; id: string; how: string; lastWords: string }) => void;
  /** A zone's supervisor has ended, and none of its processes runs any more. `stillDead`: it was not started again since. */
  readonly onZoneDead?: (id: string, stillDead: () => boolean) => void;
}

/**
 * Starts edges, zone supervisors and control, and starts edges and control again when they end. A zone that ended stays down until somebody
 * says otherwise: its twin carries its calls, and one should know why it ended first.
 */
export class Launcher {
  readonly #options: LauncherOptions;
  readonly #running = new Map<string, Launched>();
  readonly #timers = new Set<Timer>();
  #listener: LinkListener | undefined;
  #endWatch: () => void = () => {};
  #stopping: Promise<void> | undefined;

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /** Serves control. Rejects with `already_running` when another launcher has this data directory. */
  async listen(): Promise<void> {
    const { plan, self, clock, log } = this.#options;
    try {
      this.#listener = await listenLink({
        path: launcherSocket(plan.data),
        self,
        clock,
        log,
        refuse: (peer) => (peer.role === 'control' ? undefined : 'the launcher talks to control only'),
        onChannel: (channel: Channel) =>
          channel.onFrame((frame) => {
            if (frame.kind !== 'start')
              throw new TwinlineError('bad_command', 'the launcher only starts processes');
            const { role, id } = frame.data as { role: 'zone' | 'edge'; id: string };
            return { kind: frame.kind, data: { pid: this.start(role, id) } };
          }),
      });
    } catch (error) {
      if (error instanceof TwinlineError && error.code === 'link_in_use')
        throw new TwinlineError(
          'already_running',
          `an installation already runs with data directory ${plan.data}: stop it, or choose another --data`,
        );
      throw error;
    }
  }

  /** Kills edges that hang; they are started again like all that ends. */
  watchEdges(): void {
    const { plan, self, clock, random, log } = this.#options;
    const edges = plan.edges
      .filter((edge) => isHere(plan, edge))
      .map(({ id }) => ({ id, socket: edgeSocket(plan.data, id) }));
    const onHung = ({ pid, startTime }: ProcessRef): void => void killExact(pid, startTime, 'SIGKILL');
    this.#endWatch = watchEdges({ edges, self, clock, random, log, onHung });
  }

  /** Starts one process and gives its pid. Throws `already_running` when it runs. */
  start(role: LaunchedRole, id: string, restarts = 0): number {
    const { plan, planFile, main, clock, log } = this.#options;
    const name = `${role} ${id}`;
    if (this.#stopping) throw new TwinlineError('stopping', 'the installation is being stopped');
    if (this.#running.has(name)) throw new TwinlineError('already_running', `${name} runs already`);
    if (role === 'zone') this.#endLeftovers(id);
    const output = this.#openOutput(role, id);
    const child = spawn(process.execPath, [...nodeFlags(role), main, `run-${role}`, id, planFile], {
      stdio: ['ignore', output, output],
    });
    if (typeof output === 'number') closeSync(output);
    const pid = child.pid ?? 0;
    const startTime = pid === 0 ? 0 : processStartTime(pid);
    const launched: Launched = {
      role,
      id,
      process: child,
      pid,
      startTime,
      startedMs: clock.nowMs(),
      restarts,
    };
    this.#running.set(name, launched);
    log.info({ role, id, pid }, 'launcher.started');
    const ended = (how: string): void => {
      if (this.#running.get(name) !== launched) return;
      this.#running.delete(name);
      log.warn({ role, id, pid, how }, 'launcher.ended');
      if (this.#stopping) return;
      // No twin on another machine can end them.
      if (role === 'zone' && plan.machine !== undefined) void this.#endZone(id);
      this.#options.onExit({ role, id, how, lastWords: this.#lastWords(plan, role, id) });
      if (role !== 'zone') this.#startAgain(launched);
    };
    child.once('exit', (code, signal) => ended(signal ?? `code ${code}`));
    child.once('error', (error) => ended(error.message));
    return pid;
  }

  #startAgain({ role, id, startedMs, restarts }: Launched): void {
    const { clock } = this.#options;
    const again = clock.nowMs() - startedMs > STABLE_AFTER_MS ? 0 : restarts + 1;
    const pauseMs = again <= 1 ? 0 : Math.min(RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS * 2 ** (again - 2));
    const timer = clock.after(pauseMs, () => {
      this.#timers.delete(timer);
      if (!this.#stopping && !this.#running.has(`${role} ${id}`)) this.start(role, id, again);
    });
    this.#timers.add(timer);
  }

  /** Ends everything in an order in which nobody takes the end of another for a failure. Resolves when all are gone. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#endWatch();
    const untilMs = this.#options.clock.nowMs() + STOP_WITHIN_MS;
    for (const roles of [['control', 'zone'], ['edge']]) {
      const ending = [...this.#running.values()].filter(({ role }) => roles.includes(role));
      for (const { pid, startTime } of ending) killExact(pid, startTime, 'SIGTERM');
      // A frozen process does not hear; what is below it would wait for it.
      for (const one of findProcesses(this.#options.planFile))
        if (one.frozen) killExact(one.pid, one.startTime, 'SIGKILL');
      await this.#until(() => !ending.some(({ pid, startTime }) => isSameProcess(pid, startTime)), untilMs);
    }
    for (const one of findProcesses(this.#options.planFile)) killExact(one.pid, one.startTime, 'SIGKILL');
    await this.#until(() => findProcesses(this.#options.planFile).length === 0, untilMs + 2000);
    await this.#listener?.close();
  }

  async #endZone(id: string): Promise<void> {
    const { clock, onZoneDead } = this.#options;
    const dying = this.#endLeftovers(id);
    const alive = (): boolean => dying.some(({ pid, startTime }) => isSameProcess(pid, startTime));
    await this.#until(() => !alive(), clock.nowMs() + STOP_WITHIN_MS);
    const stillDead = (): boolean => !this.#running.has(`zone ${id}`) && this.#stopping === undefined;
    if (!alive() && stillDead()) onZoneDead?.(id, stillDead);
  }

  /** Of a zone whose supervisor is dead nothing may run when it starts anew. Gives what was to be ended. */
  #endLeftovers(zone: string): ProcessRef[] {
    const { plan, planFile } = this.#options;
    const planned = plan.zones.find(({ id }) => id === zone);
    const isOurs = (role: string, id: string): boolean =>
      (role === 'switch' && (planned?.switches as readonly string[] | undefined)?.includes(id) === true) ||
      (role === 'media' && planned?.media.some((media) => (media.id as string) === id) === true);
    const leftovers = findProcesses(planFile).filter(({ role, id }) => isOurs(role, id));
    for (const { pid, startTime } of leftovers) killExact(pid, startTime, 'SIGKILL');
    return leftovers;
  }

  #until(done: () => boolean, untilMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const look = (): void => {
        if (done() || clock.nowMs() > untilMs) resolve();
        else clock.after(LOOK_AGAIN_MS, look);
      };
      look();
    });
  }

  /** What a process and its children write besides their logs: the last words of one that could not start or crashed. */
  #openOutput(role: string, id: string): number | 'inherit' {
    const { plan } = this.#options;
    if (plan.logs.toStderr) return 'inherit';
    mkdirSync(logDir(plan.data), { recursive: true, mode: 0o700 });
    // Begun anew each time, so that old words are not taken for new ones.
    return openSync(outputFile(plan, role, id), 'w', 0o600);
  }

  #lastWords(plan: Plan, role: string, id: string): string {
    if (plan.logs.toStderr) return '';
    try {
      return readFileSync(outputFile(plan, role, id), 'utf8')
        .slice(-4000)
        .trim();
    } catch {
      return '';
    }
  }
}

const outputFile = (plan: Plan, role: string, id: string): string =>
  join(logDir(plan.data), `${role === id ? role : `${role}-${id}`}.out`);
