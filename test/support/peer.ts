import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Where a program of somebody else's lies, or undefined: tests with it are then skipped. `/usr/sbin` is looked at too. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  for (const directory of directories) {
    const file = path.join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}

const KEPT_OUTPUT = 400_000;

interface Waiter {
  readonly pattern: RegExp;
  readonly from: number;
  readonly found: (match: RegExpExecArray) => void;
}

/** A program of somebody else's under test's control: what it says can be waited on, and it is ended by its pid. */
export class Peer {
  readonly name: string;
  /** What it said on both outputs, the last 400 kB. */
  output = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals>;
  #dropped = 0;
  #waiters: Waiter[] = [];
  #end: number | NodeJS.Signals | undefined;

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}) {
    this.name = path.basename(program);
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => this.#said(String(chunk)));
    }
    // It may end while we write to it.
    this.child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        this.#end = signal ?? code ?? -1;
        resolve(this.#end);
      });
    });
    this.ended.catch(() => {});
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** For `said(…, {from: peer.mark})`: only what it says from now on. */
  get mark(): number {
    return this.#dropped + this.output.length;
  }

  /** What it said since that mark. */
  since(mark: number): string {
    return this.output.slice(Math.max(0, mark - this.#dropped));
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** The first place where its output matches, now or within the time; rejects with the end of what it said instead. */
  said(
    pattern: RegExp,
    { from = 0, withinMs = 10_000 }: { readonly from?: number; readonly withinMs?: number } = {},
  ): Promise<RegExpExecArray> {
    const there = pattern.exec(this.since(from));
    if (there !== null) return Promise.resolve(there);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        pattern,
        from,
        found: (match) => {
          clearTimeout(timer);
          resolve(match);
        },
      };
      const missed = (why: string) => {
        clearTimeout(timer);
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(
          new Error(`${this.name} did not say ${pattern} ${why}; it said …\n${this.output.slice(-4_000)}`),
        );
      };
      const timer = setTimeout(() => missed(`within ${withinMs} ms`), withinMs);
      this.#waiters.push(waiter);
      this.ended.then(
        (end) => missed(`before it ended (${end})`),
        (error) => missed(`(${String(error)})`),
      );
    });
  }

  /** SIGTERM, and SIGKILL when that does not end it. */
  async stop(graceMs = 2_000): Promise<void> {
    if (!this.running) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), graceMs);
    await this.ended.catch(() => {});
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #said(text: string): void {
    this.output += text;
    const excess = this.output.length - KEPT_OUTPUT;
    if (excess > 0) {
      this.output = this.output.slice(excess);
      this.#dropped += excess;
    }
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      const match = waiter.pattern.exec(this.since(waiter.from));
      if (match === null) this.#waiters.push(waiter);
      else waiter.found(match);
    }
  }
}

/** A directory that is gone when disposed of. */
export class TemporaryDirectory {
  readonly path: string;

  constructor(prefix: string) {
    this.path = mkdtempSync(path.join(tmpdir(), `${prefix}-`));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** 0 or 1: files of tests that run side by side take their ports from different lanes, so none binds what another was just given. */
export const LANE = Number(process.env['VITEST_POOL_ID'] ?? 0) % 2;

/** Ports that were given out: a program that was told its port binds it later, and some bind more than they are told. */
const given = new Set<number>();

/**
 * A UDP port that is free now, with the nine behind it, below 24,000, where tests with ports of their own begin, and so below the kernel's own
 * range: no other socket is given them before their user binds them. Never the same twice.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 21_000 + 10 * (2 * Math.floor(Math.random() * 150) + LANE);
    if (given.has(port)) continue;
    given.add(port);
    const free = await Promise.all(Array.from({ length: 10 }, (_, at) => isFree(port + at)));
    if (free.every(Boolean)) return port;
  }
  throw new Error('no ten free ports in a row were found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });
}

/** Resolves when that UDP port of IPv4 is bound, or `peer`, who was to bind it, has ended already. */
export async function udpPortTaken(port: number, peer: Peer, withinMs = 10_000): Promise<void> {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const isTaken = () =>
    readFileSync('/proc/net/udp', 'utf8')
      .split('\n')
      .some((line) => line.slice(0, 25).includes(hex));
  const deadline = performance.now() + withinMs;
  while (peer.running && !isTaken()) {
    if (performance.now() > deadline)
      throw new Error(`${peer.name} did not bind port ${port} within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
