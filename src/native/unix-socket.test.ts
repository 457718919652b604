import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  connectUnix,
  listenUnix,
  openUdpLoop,
  type UnixListener,
  type UnixMessage,
  type UnixSocket,
} from './index.ts';
import { isLinux } from './libc.ts';

let directory: string;
let listener: UnixListener | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'twinline-'));
});
afterEach(() => {
  listener?.close();
  rmSync(directory, { recursive: true });
});

async function pair(): Promise<[UnixSocket, UnixSocket]> {
  const path = join(directory, 's');
  let accepted: (socket: UnixSocket) => void;
  const server = new Promise<UnixSocket>((done) => (accepted = done));
  listener = listenUnix(path, (socket) => accepted(socket));
  return [connectUnix(path), await server];
}
const next = (socket: UnixSocket) => new Promise<UnixMessage>((done) => socket.onMessage(done));

describe.runIf(isLinux)('Unix sockets with descriptors', () => {
  test('messages keep their edges, and the kernel says who sent them', async () => {
    const [a, b] = await pair();
    const seen: string[] = [];
    const all = new Promise<void>((done) => {
      b.onMessage(({ bytes }) => {
        seen.push(bytes.toString());
        if (seen.length === 2) done();
      });
    });
    expect(a.send(Buffer.from('one'))).toBe('sent');
    expect(a.send(Buffer.from('two'))).toBe('sent');
    await all;
    expect(seen).toEqual(['one', 'two']);
    expect(b.peer).toEqual({ pid: process.pid, uid: process.getuid!(), gid: process.getgid!() });
    expect(statSync(join(directory, 's')).mode & 0o777).toBe(0o600);
    a.close();
    b.close();
  });

  test('200 descriptors pass in one message and are the same sockets', async () => {
    const [a, b] = await pair();
    const loop = openUdpLoop();
    const sockets = Array.from({ length: 200 }, () => loop.open({ address: '127.0.0.1', port: 0 }));
    const arrives = next(b);
    expect(
      a.send(
        Buffer.from('take'),
        sockets.map((socket) => socket.fd),
      ),
    ).toBe('sent');
    const { fds } = await arrives;
    const taken = fds.map((fd) => loop.adopt(fd));
    expect(taken.map((socket) => socket.local.port)).toEqual(sockets.map((socket) => socket.local.port));
    // The port lives as long as one descriptor does.
    for (const socket of sockets) socket.close();
    loop.open({ address: '127.0.0.1', port: 0 }).send(Buffer.from([7]), 1, taken[3]!.local);
    const bytes: number[] = [];
    taken[3]!.drain((batch) => bytes.push(batch.buffers[0]![0]!), 10);
    expect(bytes).toEqual([7]);
    loop.close();
    a.close();
    b.close();
  });

  test('the end comes after the last message, also when our own words were never read', async () => {
    const [a, b] = await pair();
    const said: string[] = [];
    // b has unread words for a in its own direction too: the kernel then reports a reset before the last messages.
    b.send(Buffer.from('never read'));
    a.send(Buffer.from('last'));
    a.send(Buffer.from('words'));
    a.close();
    await new Promise<void>((done) => {
      b.onMessage(({ bytes }) => said.push(bytes.toString()));
      b.onClose(done);
    });
    expect(said).toEqual(['last', 'words']);
    expect(b.open).toBe(false);
    expect(b.send(Buffer.from('x'))).toBe('closed');
  });

  test('a peer that does not read fills the socket; it is told when there is room again', async () => {
    const [a, b] = await pair();
    const bytes = Buffer.alloc(32 * 1024);
    let sent = 0;
    while (a.send(bytes) === 'sent') sent++;
    expect(sent).toBeGreaterThan(3);
    const roomAgain = new Promise<void>((done) => a.onWritable(done));
    let received = 0;
    b.onMessage(() => received++);
    await roomAgain;
    expect(received).toBeGreaterThan(0);
    expect(a.send(bytes)).toBe('sent');
    a.close();
    b.close();
  });

  test('a path in use is refused, one left behind is taken', async () => {
    const [a, b] = await pair();
    const path = join(directory, 's');
    expect(() => listenUnix(path, () => {})).toThrow(`process ${process.pid} already listens on ${path}`);
    a.close();
    b.close();
    expect(() => connectUnix(join(directory, 'none'))).toThrow('nobody listens there');
    expect(() => connectUnix(join(directory, 'x'.repeat(200)))).toThrow('use a shorter data directory');
  });

  test('an empty or overlong message is a mistake of the caller', async () => {
    const [a, b] = await pair();
    expect(() => a.send(Buffer.alloc(0))).toThrow(RangeError);
    expect(() => a.send(Buffer.alloc(64 * 1024 + 1))).toThrow(RangeError);
    a.close();
    b.close();
  });
});
