import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { findProcesses } from '../../src/control/index.ts';
import { killExact } from '../../src/native/index.ts';
import { LANE } from './peer.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(ROOT, 'dist/cli/main.js');
const START_TIMEOUT_MS = 60_000;
/** By lane; 4,000 ports each. */
const MEDIA_FROM = [16_384, 11_000];

export interface InstallationOptions {
  readonly config?: string;
  readonly topology?: string;
  readonly arguments?: readonly string[];
  /** A network namespace to run in, with ports of its own. */
  readonly namespace?: string;
  /** Where state lies; absent: a fresh directory, gone with the installation. */
  readonly data?: string;
}

/** A whole Twinline of its own: real processes, own ports, own data directory; gone without a trace when closed. */
export class Installation {
  readonly portBase: number;
  /** The first and the last of its media ports. */
  readonly mediaPorts: readonly [number, number];
  readonly data: string;
  readonly #child: ChildProcess;
  #output = '';
  #keepsData = false;
  #lastLogs: Record<string, string> | undefined;
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;

  private constructor(
    child: ChildProcess,
    portBase: number,
    mediaPorts: readonly [number, number],
    data: string,
  ) {
    this.#child = child;
    this.portBase = portBase;
    this.mediaPorts = mediaPorts;
    this.data = data;
    child.stdout?.on('data', (chunk) => {
      this.#output += String(chunk);
    });
    child.stderr?.on('data', (chunk) => {
      this.#output += String(chunk);
    });
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
    });
  }

  /** Resolves when it has said `ready`; rejects with what it said instead. */
  static async start(options: InstallationOptions = {}): Promise<Installation> {
    if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first');
    const portBase = options.namespace === undefined ? await freePortBase() : 5_000;
    const mediaFrom = MEDIA_FROM[LANE]! + 2 * Math.floor(Math.random() * 300);
    const data = options.data ?? mkdtempSync(path.join(tmpdir(), 'twinline-test-'));
    const args = [
      MAIN,
      'up',
      '--port-base',
      String(portBase),
      '--media-ports',
      `${mediaFrom}-${mediaFrom + 3_999}`,
      '--data',
      data,
      ...(options.config === undefined ? [] : ['--config', options.config]),
      ...(options.topology === undefined ? [] : ['--topology', options.topology]),
      ...(options.arguments ?? []),
    ];
    const [file = '', ...words] =
      options.namespace === undefined
        ? [process.execPath, ...args]
        : ['ip', 'netns', 'exec', options.namespace, process.execPath, ...args];
    const child = spawn(file, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const installation = new Installation(child, portBase, [mediaFrom, mediaFrom + 3_999], data);
    installation.#keepsData = options.data !== undefined;
    await installation.#ready();
    return installation;
  }

  get output(): string {
    return this.#output;
  }

  port(transport: 'udp' | 'tcp' | 'tls' | 'ws' | 'wss'): number {
    return this.portBase + { udp: 60, tcp: 60, tls: 61, ws: 62, wss: 63 }[transport];
  }

  /** Runs a `twinline` command against it and gives the `--json` object. Rejects with the command's sentence. */
  async twinline<T = unknown>(...args: string[]): Promise<T> {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [MAIN, ...args, '--data', this.data, '--json'],
      { cwd: ROOT },
    );
    return JSON.parse(stdout) as T;
  }

  /** What a process wrote to its log, by the file's name without `.log`; also after the end. */
  logs(): Record<string, string> {
    if (this.#lastLogs !== undefined) return this.#lastLogs;
    const directory = path.join(this.data, 'log');
    if (!existsSync(directory)) return {};
    return Object.fromEntries(
      readdirSync(directory).map((file) => [
        file.replace(/\.log$/, ''),
        readFileSync(path.join(directory, file), 'utf8'),
      ]),
    );
  }

  async stop(
    by: 'SIGTERM' | 'SIGINT' = 'SIGTERM',
  ): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    if (this.#exit === undefined) {
      const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
      this.#child.kill(by);
      await gone;
    }
    this.#lastLogs ??= this.logs();
    if (process.env['TWINLINE_KEEP_DATA'] === undefined && !this.#keepsData)
      rmSync(this.data, { recursive: true, force: true });
    return this.#exit!;
  }

  /** Ends every process of it at one moment, as a power cut does; what lies on the disk stays. */
  async killAll(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      if (this.#exit === undefined) this.#child.once('exit', () => resolve());
      else resolve();
    });
    const all = findProcesses(path.join(this.data, 'run/plan.json'));
    // `ip netns exec` becomes the launcher.
    this.#child.kill('SIGKILL');
    for (const { pid, startTime } of all) killExact(pid, startTime, 'SIGKILL');
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(`was not ready within ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
      const fail = (why: string) => {
        clearTimeout(timer);
        const logs = Object.entries(this.logs()).map(([name, text]) => `--- ${name}\n${text.slice(-2_000)}`);
        this.#child.kill('SIGKILL');
        reject(new Error(`the installation ${why}; it said:\n${this.#output}\n${logs.join('\n')}`));
      };
      const look = () => {
        if (!/^ready$/m.test(this.#output)) return;
        clearTimeout(timer);
        this.#child.stdout?.off('data', look);
        resolve();
      };
      this.#child.stdout?.on('data', look);
      this.#child.once('exit', (code, signal) => fail(`ended with ${signal ?? `code ${code}`}`));
    });
  }
}

/** A base N such that N+60 … N+63, N+80 and N+81 are free, below those for media. */
async function freePortBase(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 5_000 + 100 * (2 * Math.floor(Math.random() * 25) + LANE);
    const free = await Promise.all([60, 61, 62, 63, 80, 81].map((offset) => tcpIsFree(base + offset)));
    if (free.every(Boolean) && (await udpIsFree(base + 60))) return base;
  }
  throw new Error('no free port base was found');
}

function tcpIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function udpIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });
}
