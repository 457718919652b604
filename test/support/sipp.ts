import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './installation.ts';
import { findProgram, freePort, Peer, TemporaryDirectory, udpPortTaken } from './peer.ts';

const SCENARIOS = path.join(ROOT, 'test/support/sipp');

export interface SippOptions {
  /** A file of `test/support/sipp`, without `.xml`. */
  readonly scenario: string;
  /** What answers requests outside of the scenario's own calls; so one process on one port registers and is called. */
  readonly outOfCall?: string;
  readonly server: { readonly address: string; readonly port: number };
  readonly transport?: 'udp' | 'tcp';
  /** The local port; absent: a free one. */
  readonly port?: number;
  readonly user: string;
  readonly password?: string;
  /** The extension that it calls. */
  readonly dialled?: string;
  /** Calls to make or to take, and how many begin each second. */
  readonly calls?: number;
  readonly ratePerSec?: number;
  /** How long each call is held. */
  readonly holdMs?: number;
  /** Of its own packets in both directions so many percent are lost (UDP). */
  readonly lossPercent?: number;
  /** It gives up after that. */
  readonly withinSec?: number;
  readonly arguments?: readonly string[];
}

/** Sums since its start, from the last line of its statistics. */
export interface SippFigures {
  readonly created: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly unexpected: number;
}

/** Debian's sipp with one scenario. Ended by its pid when stopped; its files go with it. */
export class Sipp {
  readonly port: number;
  readonly #peer: Peer;
  readonly #files: TemporaryDirectory;
  readonly #scenario: string;

  static readonly program = findProgram('sipp');

  static async start(options: SippOptions): Promise<Sipp> {
    const ports = await freePort();
    const port = options.port ?? ports;
    // It binds four media ports.
    const sipp = new Sipp(options, port, ports + 2, ports + 8);
    try {
      if (options.transport !== 'tcp') await udpPortTaken(port, sipp.#peer);
    } catch (error) {
      await sipp.stop();
      throw error;
    }
    return sipp;
  }

  private constructor(options: SippOptions, port: number, mediaPort: number, controlPort: number) {
    const { server, transport = 'udp', user, password, dialled = 'nobody', calls, ratePerSec = 20 } = options;
    const files = new TemporaryDirectory('twinline-sipp');
    this.#files = files;
    this.#scenario = options.scenario;
    this.port = port;
    const file = (name: string) => path.join(SCENARIOS, `${name}.xml`);
    const own = (name: string) => path.join(files.path, name);
    this.#peer = new Peer(
      Sipp.program ?? 'sipp',
      [
        `${server.address}:${server.port}`,
        ...['-sf', file(options.scenario), '-t', transport === 'udp' ? 'u1' : 't1'],
        ...(options.outOfCall === undefined ? [] : ['-oocsf', file(options.outOfCall)]),
        ...['-i', '127.0.0.1', '-p', String(port), '-mp', String(mediaPort), '-cp', String(controlPort)],
        ...['-key', 'user', user, '-key', 'dialled', dialled, '-au', user, '-ap', password ?? `demo-${user}`],
        // Digest answers for the URI that is asked for, as phones write it.
        ...['-auth_uri', `sip:${dialled}@demo.twinline.test`],
        ...(calls === undefined ? [] : ['-m', String(calls)]),
        ...['-r', String(ratePerSec), '-d', String(options.holdMs ?? 100), '-l', '500'],
        ...(options.lossPercent === undefined ? [] : ['-lost', String(options.lossPercent)]),
        ...['-timeout', `${options.withinSec ?? 30}s`, '-timeout_error', '-recv_timeout', '15000'],
        // A retransmission is known by its method and CSeq: the whole text would have to be that of the very last message.
        ...['-rtcheck', 'loose'],
        ...['-trace_stat', '-stf', own('statistics.csv'), '-fd', '1'],
        ...[
          '-trace_err',
          '-error_file',
          own('errors.log'),
          '-trace_screen',
          '-screen_file',
          own('screen.log'),
        ],
        ...['-trace_logs', '-log_file', own('log.log')],
        '-nostdin',
        ...(options.arguments ?? []),
      ],
      { cwd: files.path, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TERM: 'dumb' } },
    );
  }

  get pid(): number {
    return this.#peer.pid;
  }

  figures(): SippFigures {
    const lines = this.#read('statistics.csv').trim().split('\n');
    const names = lines[0]!.split(';');
    const values = lines.at(-1)!.split(';');
    const sum = (name: string): number => {
      const value = Number(values[names.indexOf(name)]);
      if (lines.length < 2 || !Number.isFinite(value)) {
        throw new Error(`sipp's statistics have no ${name}: ${lines.slice(-2).join(' | ')}`);
      }
      return value;
    };
    return {
      created: sum('TotalCallCreated'),
      successful: sum('SuccessfulCall(C)'),
      failed: sum('FailedCall(C)'),
      retransmissions: sum('Retransmissions(C)'),
      unexpected: sum('FailedUnexpectedMessage(C)'),
    };
  }

  /** Resolves when its calls are done and all went well; rejects with what went wrong. */
  async finished(): Promise<SippFigures> {
    const end = await this.#peer.ended;
    if (end !== 0) throw new Error(`sipp ${this.#scenario} ended with ${end}:\n${this.told()}`);
    return this.figures();
  }

  /** What its scenario logged. */
  logged(): string[] {
    return this.#read('log.log').split('\n').filter(Boolean);
  }

  /** What went wrong, and how far each step of the scenario came. */
  told(): string {
    const screen = this.#read('screen.log') || this.#peer.output;
    const steps = screen.slice(screen.lastIndexOf('Messages  Retrans'));
    return `${this.#read('errors.log').slice(0, 2_000)}\n${steps.slice(0, steps.indexOf('-'.repeat(20))) || screen.slice(-1_000)}`;
  }

  async stop(): Promise<void> {
    // It answers SIGTERM by waiting for its calls; SIGKILL has no questions.
    await this.#peer.stop(0);
    this.#files.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #read(name: string): string {
    const file = path.join(this.#files.path, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
}
