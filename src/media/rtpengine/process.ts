import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Logger, Timer } from '../../base/index.ts';

/** One that ends at once again and again must not spin: the pause doubles from the first to the second figure. */
const RESTART_PAUSE_MS = 50;
const RESTART_PAUSE_MAX_MS = 5_000;
const STABLE_AFTER_MS = 10_000;
/** What was asked to end and has not is killed. */
const STOP_GRACE_MS = 2_000;
/** Of setpriv, as of shells. */
const NO_PROGRAM = 127;

export interface RtpengineCommand {
  /** The program, and further options: they come last, and so win over ours. */
  readonly words: readonly string[];
  /** Where it takes commands. */
  readonly ng: { readonly address: string; readonly port: number };
  /** Where streams reach it. */
  readonly address: string;
  readonly ports: { readonly first: number; readonly last: number };
}

export interface RtpengineProcessOptions {
  readonly command: RtpengineCommand;
  readonly clock: Clock;
  readonly log: Logger;
  /** It has ended, and all its streams with it; it is being started again. */
  readonly onEnded: () => void;
}

/**
 * An rtpengine of ours: started again whenever it ends. It lives no longer than this process, however that ends (`PR_SET_PDEATHSIG`, by
 * `setpriv` of util-linux): who starts after us finds its ports free, and a zone that is dead says nothing any more.
 */
export class RtpengineProcess {
  readonly #options: RtpengineProcessOptions;
  #child: ChildProcess | undefined;
  #startedMs = 0;
  #restarts = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: RtpengineProcessOptions) {
    this.#options = options;
  }

  /** How long the present one runs; undefined while there is none. */
  get runsMs(): number | undefined {
    return this.#child === undefined ? undefined : this.#options.clock.nowMs() - this.#startedMs;
  }

  start(): void {
    const { clock, log, command } = this.#options;
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...commandLine(command)], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    this.#startedMs = clock.nowMs();
    log.info({ pid: child.pid, program: command.words[0] }, 'rtpengine.started');
    const ended = (how: string): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      if (this.#stopped) return;
      log.warn({ pid: child.pid, how }, 'rtpengine.ended');
      this.#options.onEnded();
      this.#restarts = clock.nowMs() - this.#startedMs > STABLE_AFTER_MS ? 0 : this.#restarts + 1;
      const pauseMs = Math.min(RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS * 2 ** (this.#restarts - 1));
      this.#timer = clock.after(this.#restarts === 0 ? 0 : pauseMs, () => this.start());
    };
    child.once('exit', (code, signal) =>
      ended(signal ?? (code === NO_PROGRAM ? `there is no program ${command.words[0]}` : `exit ${code}`)),
    );
    child.once('error', (error) => ended(`could not be started: ${error.message}`));
  }

  /** It answers nothing: its end brings a new one. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const killer = this.#options.clock.after(STOP_GRACE_MS, () => child.kill('SIGKILL'));
    child.kill('SIGTERM');
    await gone;
    killer.cancel();
  }
}

/** In user space, without its own configuration file; what each stream is marked by it is told with the stream. */
function commandLine({ words, ng, address, ports }: RtpengineCommand): string[] {
  const [program = 'rtpengine', ...more] = words;
  const host = ng.address.includes(':') ? `[${ng.address}]` : ng.address;
  return [
    program,
    ...['--config-file=none', '--foreground', '--log-stderr', '--log-level=4', '--table=-1'],
    ...[`--interface=${address}`, `--listen-ng=${host}:${ng.port}`],
    // Its ports are needed again at once, and nobody asks after a call that has ended.
    ...[`--port-min=${ports.first}`, `--port-max=${ports.last}`, '--delete-delay=0'],
    ...more,
  ];
}
