import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisState } from '../../src/state/index.ts';

const START_WITHIN_MS = 15_000;

/** Whether Debian's redis-server (and redis-sentinel) are installed: tests that need them are skipped where not. */
export const hasRedis = (['redis-server', 'redis-sentinel'] as const).every(
  (program) => spawnSync(program, ['--version']).status === 0,
);

/** A Redis of our own on loopback, with a file that is written once a second; gone without a trace when closed. */
export class RedisServer {
  readonly port: number;
  readonly directory: string;
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port;
    this.directory = directory;
    this.#arguments = args;
  }

  static async start(...args: string[]): Promise<RedisServer> {
    const directory = mkdtempSync(join(tmpdir(), 'twinline-redis-'));
    const server = new RedisServer(await freePort(), directory, args);
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when it answers. Begins with what its file holds. */
  async start(): Promise<void> {
    this.#child = spawn(
      'redis-server',
      [
        ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.directory, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--daemonize', 'no'],
        ...['--repl-diskless-sync-delay', '0', '--loglevel', 'warning'],
        ...this.#arguments,
      ],
      { stdio: 'ignore' },
    );
    await answers(this.port, this.#child);
  }

  /** Asks it something: for tests that look or meddle from outside. */
  ask(...command: string[]): Promise<string> {
    return askRedis(this.port, ...command);
  }

  /** Resolves when it is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await gone;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    // A child that was rewriting its file ends a moment later.
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A master, its replicas and three sentinels that watch them. */
export class RedisGroup {
  readonly servers: readonly RedisServer[];
  readonly sentinelPorts: readonly number[];
  readonly #sentinels: readonly ChildProcess[];
  readonly #directory: string;

  private constructor(
    servers: readonly RedisServer[],
    sentinelPorts: readonly number[],
    sentinels: readonly ChildProcess[],
    directory: string,
  ) {
    this.servers = servers;
    this.sentinelPorts = sentinelPorts;
    this.#sentinels = sentinels;
    this.#directory = directory;
  }

  /** Resolves when every sentinel knows of both others and of the replicas, so that a fail-over would be made. */
  static async start(name: string, replicas = 2): Promise<RedisGroup> {
    const directory = mkdtempSync(join(tmpdir(), 'twinline-sentinel-'));
    const master = await RedisServer.start();
    const servers = [master];
    for (let at = 0; at < replicas; at++)
      servers.push(await RedisServer.start('--replicaof', '127.0.0.1', String(master.port)));
    const ports = [await freePort(), await freePort(), await freePort()];
    const sentinels = ports.map((port) => {
      const file = join(directory, `${port}.conf`);
      writeFileSync(
        file,
        [
          `port ${port}`,
          'bind 127.0.0.1',
          `dir ${directory}`,
          `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
          `sentinel down-after-milliseconds ${name} 1000`,
          `sentinel failover-timeout ${name} 5000`,
          `sentinel parallel-syncs ${name} 2`,
          '',
        ].join('\n'),
      );
      return spawn('redis-sentinel', [file], { stdio: 'ignore' });
    });
    const group = new RedisGroup(servers, ports, sentinels, directory);
    for (const [at, port] of ports.entries()) await answers(port, sentinels[at]!);
    await until('the sentinels know each other and the replicas', async () => {
      for (const port of ports) {
        const said = await askRedis(port, 'SENTINEL', 'MASTER', name);
        const fields = said.split('\r\n');
        const of = (field: string): number => Number(fields[fields.indexOf(field) + 2]);
        if (of('num-slaves') !== replicas || of('num-other-sentinels') !== 2) return false;
      }
      return (await master.ask('INFO', 'replication')).includes(`connected_slaves:${replicas}`);
    });
    return group;
  }

  /** The port of the server that the sentinels call master. */
  async masterPort(name: string): Promise<number> {
    const said = await askRedis(this.sentinelPorts[0]!, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
    return Number(said.split('\r\n')[4]);
  }

  async master(name: string): Promise<RedisServer> {
    const port = await this.masterPort(name);
    return this.servers.find((server) => server.port === port)!;
  }

  async close(): Promise<void> {
    for (const sentinel of this.#sentinels) await ended(sentinel);
    for (const server of this.servers) await server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await gone;
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  await until(`a Redis on port ${port} answers`, async () => {
    if (child.exitCode !== null)
      throw new Error(`the Redis on port ${port} ended with code ${child.exitCode}`);
    const said = await askRedis(port, 'PING').catch(() => '');
    return said.startsWith('+PONG') || said.startsWith('-NOAUTH');
  });
}

/** Resolves at the state's next reconnection. */
export const restored = (state: RedisState): Promise<void> =>
  new Promise((resolve) => {
    const stop = state.onRestored(() => {
      stop();
      resolve();
    });
  });

/** Asks again and again: the answer itself is the event. A look that fails (Sentinel ends connections when it turns a server) is a no. */
export async function until(
  what: string,
  look: () => Promise<boolean>,
  withinMs = START_WITHIN_MS,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  let problem = '';
  const seen = () =>
    look().catch((error: unknown) => {
      problem = `; at last: ${String(error)}`;
      return false;
    });
  while (!(await seen())) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One command over a connection of its own, and the reply as it came. */
export function askRedis(port: number, ...command: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.setTimeout(2000, () => socket.destroy(new Error(`Redis on port ${port} is silent`)));
    socket.once('error', reject);
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1');
      if (endOfReply(said, 0) < 0) return;
      resolve(said);
      socket.destroy();
    });
    socket.once('close', () => reject(new Error(`Redis on port ${port} hung up`)));
    const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('');
    socket.write(`*${command.length}\r\n${parts}`);
  });
}

/** Where the reply that begins at `at` ends; -1 while it is not whole. */
function endOfReply(text: string, at: number): number {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return -1;
  const count = Number(text.slice(at + 1, lineEnd));
  let end = lineEnd + 2;
  if (text[at] === '$') {
    if (count >= 0) end += count + 2;
    return end <= text.length ? end : -1;
  }
  if (text[at] === '*') for (let item = 0; item < count && end >= 0; item++) end = endOfReply(text, end);
  return end;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
