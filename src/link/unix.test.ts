import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Clock, seededRandom, silentLogger } from '../base/index.ts';
import type { Channel, Peer } from './channel.ts';
import { FrameReader, FrameType, FrameWriter, Lane } from './frame.ts';
import { connectLink, listenLink } from './index.ts';

const clock: Clock = {
  nowMs: () => performance.now(),
  utcMs: () => Date.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const edge: Peer = { role: 'edge', id: 'edge1', pid: process.pid, startTime: 1 };
const a1: Peer = { role: 'switch', id: 'a1', pid: process.pid, startTime: 1 };
const shared = { clock, log: silentLogger, random: seededRandom(1) };

let directory: string;
let path: string;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twinline-unix-'));
  path = join(directory, 's');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(directory, { recursive: true });
});

async function listen(
  onChannel: (channel: Channel) => void = () => {},
  options = {},
): Promise<() => Promise<void>> {
  const listener = await listenLink({ ...shared, path, self: a1, onChannel, ...options });
  cleanups.push(() => listener.close());
  return () => listener.close();
}

/** Connects and waits for the first channel. */
function channel(options = {}): Promise<Channel> {
  return new Promise((resolve) => {
    const client = connectLink({ ...shared, path, self: edge, onChannel: resolve, ...options });
    cleanups.push(() => client.close());
  });
}

test('a directory that is missing is made for us alone, and the socket is so anyway', async () => {
  path = join(directory, 'deep', 'er', 's');
  await listen();
  expect((await stat(join(directory, 'deep', 'er'))).mode & 0o777).toBe(0o700);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a directory that was there stays as it is; one that others may write to is refused', async () => {
  const there = join(directory, 'there');
  await mkdir(there);
  await chmod(there, 0o755);
  path = join(there, 's');
  await listen();
  expect((await stat(there)).mode & 0o777).toBe(0o755);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const open = join(directory, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  path = join(open, 's');
  await expect(listen()).rejects.toThrow(/may be written by others \(mode 777\).*chmod 700/);
  expect((await stat(open)).mode & 0o777).toBe(0o777);
});

test('a file where the directory should be is named', async () => {
  await writeFile(join(directory, 'file'), '');
  path = join(directory, 'file', 's');
  await expect(listen()).rejects.toThrow(/file/);
});

test('a path that the kernel cannot hold is refused with its length', async () => {
  path = join(directory, 'x'.repeat(120));
  await expect(listen()).rejects.toMatchObject({ code: 'link_path_too_long' });
  expect(() => connectLink({ ...shared, path, self: edge, onChannel() {} })).toThrow(/107/);
});

test('the socket of a dead process is replaced, that of a living one is not', async () => {
  const dead = fork(
    `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  );
  await once(dead.stdout!, 'data');
  await expect(listen()).rejects.toMatchObject({ code: 'link_in_use' });
  dead.kill('SIGKILL');
  await once(dead, 'exit');
  await listen();
  expect((await channel()).peer.id).toBe('a1');
});

test('a client that is there first connects when the listener comes', async () => {
  const states: string[] = [];
  const reasons: string[] = [];
  const down = new Promise<void>((resolve) => {
    const client = connectLink({
      ...shared,
      path,
      self: edge,
      onChannel() {},
      onState(state, reason) {
        states.push(state);
        if (state === 'down') reasons.push(reason);
        if (state === 'down') resolve();
      },
    });
    cleanups.push(() => client.close());
  });
  await down;
  const arrived = new Promise<Channel>((resolve) => listen(resolve));
  expect((await arrived).peer).toEqual(edge);
  expect(states[0]).toBe('connecting');
  expect(reasons[0]).toMatch(/ENOENT/);
});

test('a client connects again within a few milliseconds, for ever', async () => {
  const arrivals: ((channel: Channel) => void)[] = [];
  const next = (): Promise<Channel> => new Promise((resolve) => arrivals.push(resolve));
  await listen((arrived) => arrivals.shift()?.(arrived));
  const first = next();
  await channel();
  let current = await first;
  for (let round = 0; round < 5; round++) {
    const again = next();
    current.close('restarted');
    current = await again;
  }
  expect(current.open).toBe(true);
});

test('a refused peer hears why, and keeps trying', async () => {
  await listen(() => expect.unreachable(), {
    refuse: (peer: Peer) => `${peer.id} is not of this installation`,
  });
  const reasons: string[] = [];
  await new Promise<void>((resolve) => {
    const client = connectLink({
      ...shared,
      path,
      self: edge,
      onChannel: (opened) => opened.onFrame(() => undefined),
      onState(state, reason) {
        if (state === 'down' && reasons.push(reason) === 2) resolve();
      },
    });
    cleanups.push(() => client.close());
  });
  expect(reasons[0]).toBe('refused: edge1 is not of this installation');
});

test('a peer of another protocol version is refused in a sentence that says what to do', async () => {
  await listen(() => expect.unreachable());
  const answer = await hear(hello({ version: 99, role: 'edge', id: 'edge1', pid: 1, startTime: 1 }));
  expect(answer).toMatch(/refused: the peer speaks protocol version 99.*same release/);
});

test('strangers who speak no frames, or too early, are let go', async () => {
  await listen(() => expect.unreachable());
  expect(await hear(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toMatch(/broken: a frame of \d+ bytes/);
  const early = new FrameWriter();
  early.write({ type: FrameType.data, lane: Lane.normal, sequence: 0, answers: 0 }, { kind: 'n', data: 1 });
  expect(await hear(Buffer.from(early.next()!))).toMatch(/before the greeting/);
});

test('of what arrived together the urgent is handled first', async () => {
  const arrived = new Promise<string[]>((resolve) => {
    const kinds: string[] = [];
    void listen((opened) =>
      opened.onFrame(({ kind }) => {
        if (kinds.push(kind) === 3) resolve(kinds);
        return undefined;
      }),
    ).then(() => {
      const writer = new FrameWriter();
      const put = (lane: Lane, sequence: number, kind: string): number =>
        writer.write({ type: FrameType.data, lane, sequence, answers: 0 }, { kind, data: 1 });
      put(Lane.normal, 0, 'invite');
      put(Lane.normal, 1, 'invite');
      put(Lane.priority, 0, 'bye');
      void hear(Buffer.concat([hello({ version: 1, ...edge }), writer.next()!]));
    });
  });
  expect(await arrived).toEqual(['bye', 'invite', 'invite']);
});

test('a ping is answered', async () => {
  await listen();
  const writer = new FrameWriter();
  writer.write(
    { type: FrameType.ping, lane: Lane.link, sequence: 1, answers: 0 },
    { kind: 'ping', data: undefined },
  );
  const socket = connect({ path });
  cleanups.push(() => socket.destroy());
  socket.write(Buffer.concat([hello({ version: 1, ...edge }), writer.next()!]));
  const reader = new FrameReader();
  const pong = await new Promise((resolve) =>
    socket.on('data', (bytes) => {
      const frames = reader.push(bytes);
      if (frames.ok) for (const frame of frames.value) if (frame.type === FrameType.ping) resolve(frame);
    }),
  );
  expect(pong).toMatchObject({ answers: 1 });
});

test('a peer that ignores the window is cut off', async () => {
  await listen((arrived) => arrived.onFrame(() => new Promise(() => {})), {
    window: { frames: 4, bytes: 1 << 20 },
  });
  const writer = new FrameWriter();
  for (let sequence = 0; sequence < 5; sequence++) {
    writer.write({ type: FrameType.data, lane: Lane.normal, sequence, answers: 0 }, { kind: 'n', data: 1 });
  }
  const greeting = hello({ version: 1, ...edge });
  expect(await hear(Buffer.concat([greeting, writer.next()!]))).toMatch(/more frames than the window/);
});

test('a frozen peer is noticed by its silence when asked for', async () => {
  const frozen = createServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(hello({ version: 1, ...a1, window: { frames: 9, bytes: 9999 } }));
  });
  await new Promise<void>((resolve) => frozen.listen(path, resolve));
  cleanups.push(() => frozen.close());
  const opened = await channel({ ping: { everyMs: 5, timeoutMs: 20 } });
  const reason = await new Promise<string>((resolve) => opened.onClose(resolve));
  expect(reason).toMatch(/nothing heard for 20 ms/);
});

test('a peer that answers pings stays', async () => {
  const ping = { everyMs: 1, timeoutMs: 500 };
  await listen((arrived) => arrived.onFrame(() => undefined));
  const opened = await channel({ ping });
  const until = clock.nowMs() + 30;
  while (clock.nowMs() < until) await opened.request({ kind: 'n', data: 0 }, 1000);
  expect(opened.open).toBe(true);
});

test('a killed process is heard of at once, and what it had not handled is known', async () => {
  const sink = fork(sinkScript(path));
  await once(sink.stdout!, 'data');
  const opened = await channel();
  for (let data = 0; data < 10; data++) opened.send({ kind: 'n', data });
  await once(sink.stdout!, 'data');
  const closed = new Promise<number>((resolve) => opened.onClose(() => resolve(clock.nowMs())));
  const killedMs = clock.nowMs();
  sink.kill('SIGKILL');
  expect((await closed) - killedMs).toBeLessThan(500);
  expect(opened.unacknowledged()).toHaveLength(10);
});

/** Listens, greets, reads and never acknowledges. */
function sinkScript(at: string): string {
  const greeting = hello({ version: 1, ...a1, window: { frames: 1000, bytes: 1 << 20 } }).toString('base64');
  return `require('node:net').createServer((socket) => {
    socket.write(Buffer.from('${greeting}', 'base64'));
    socket.on('data', (bytes) => { if (bytes.length > 300) console.log('read'); });
  }).listen(${JSON.stringify(at)}, () => console.log('up'));`;
}

function fork(script: string): ChildProcess {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill('SIGKILL'));
  return child;
}

function hello(greeting: object): Buffer {
  const writer = new FrameWriter();
  writer.write(
    { type: FrameType.hello, lane: Lane.link, sequence: 0, answers: 0 },
    { kind: 'hello', data: { window: { frames: 10, bytes: 10_000 }, ...greeting } },
  );
  return Buffer.from(writer.next()!);
}

/** Says `bytes` to the listener and returns its last words. */
function hear(bytes: Buffer): Promise<string> {
  const socket: Socket = connect({ path });
  cleanups.push(() => socket.destroy());
  const reader = new FrameReader();
  let message = '';
  socket.write(bytes);
  socket.on('data', (chunk) => {
    const frames = reader.push(chunk);
    if (!frames.ok) return;
    for (const { type, frame } of frames.value) {
      if (type === FrameType.error) message = (frame.data as { message: string }).message;
    }
  });
  return new Promise((resolve) => socket.once('close', () => resolve(message)));
}
