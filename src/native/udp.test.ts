import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { openUdpLoop, parseAddress, type UdpLoop, type UdpSocket } from './index.ts';
import { isLinux } from './libc.ts';

const loops: UdpLoop[] = [];
const opened = (use: 'kernel' | 'dgram'): UdpLoop => {
  const loop = openUdpLoop(use);
  loops.push(loop);
  return loop;
};
afterEach(() => {
  for (const loop of loops.splice(0)) loop.close();
});

/** Sends back what comes, with its first byte one higher. */
const echo = (socket: UdpSocket): void =>
  socket.resume((batch) => {
    for (let i = 0; i < batch.count; i++) {
      batch.buffers[i]![0]! += 1;
      batch.send(i, batch.lengths[i]!, socket, batch.sources[i]!);
    }
  });

describe.each(isLinux ? (['kernel', 'dgram'] as const) : (['dgram'] as const))('UDP by %s', (use) => {
  test.each([
    ['127.0.0.1', 'udp4'],
    ['::1', 'udp6'],
  ] as const)('answers a peer at %s where it sent from', async (address, type) => {
    const socket = opened(use).open({ address, port: 0 });
    echo(socket);
    const peer = createSocket(type);
    peer.send(Buffer.from([1, 2, 3]), socket.local.port, address);
    const [message, from] = await once(peer, 'message');
    peer.close();
    expect([...message]).toEqual([2, 2, 3]);
    expect(from.port).toBe(socket.local.port);
  });

  test('a port in use is an error that names it', () => {
    const loop = opened(use);
    const first = loop.open({ address: '127.0.0.1', port: 0 });
    const again = () => loop.open({ address: '127.0.0.1', port: first.local.port });
    expect(again).toThrow(`UDP 127.0.0.1:${first.local.port} is in use`);
  });

  test('an address that is not of this machine is an error that names it', () => {
    expect(() => opened(use).open({ address: '192.0.2.1', port: 4000 })).toThrow('192.0.2.1:4000');
  });

  test('a name is never resolved', () => {
    expect(() => opened(use).open({ address: 'localhost', port: 0 })).toThrow('"localhost"');
  });

  test('what came while paused is read first, in order', async () => {
    const loop = opened(use);
    const socket = loop.open({ address: '127.0.0.1', port: 0 });
    const peer = createSocket('udp4');
    const send = (byte: number) =>
      new Promise<void>((done) =>
        peer.send(Buffer.from([byte]), socket.local.port, '127.0.0.1', () => done()),
      );
    for (const byte of [1, 2, 3]) await send(byte);
    if (use === 'dgram') await new Promise((done) => setImmediate(done));
    const seen: number[] = [];
    const all = new Promise<void>((done) =>
      socket.resume((batch) => {
        for (let i = 0; i < batch.count; i++) seen.push(batch.buffers[i]![0]!);
        if (seen.length === 4) done();
      }),
    );
    await send(4);
    await all;
    peer.close();
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test('a packet above the limit is dropped and counted, the next one comes', async () => {
    const loop = opened(use);
    const socket = loop.open({ address: '127.0.0.1', port: 0 });
    echo(socket);
    const peer = createSocket('udp4');
    peer.send(Buffer.alloc(4000), socket.local.port, '127.0.0.1');
    peer.send(Buffer.from([9]), socket.local.port, '127.0.0.1');
    const [message] = await once(peer, 'message');
    peer.close();
    expect([...message]).toEqual([10]);
    expect(loop.counters.packetsTooLong).toBe(1);
  });

  test('a closed socket neither sends nor receives', () => {
    const loop = opened(use);
    const socket = loop.open({ address: '127.0.0.1', port: 0 });
    socket.close();
    socket.close();
    expect(socket.send(Buffer.from([1]), 1, parseAddress('127.0.0.1', 9)!)).toBe(false);
    expect(socket.drain(() => {}, 10)).toBe(0);
  });
});

describe.runIf(isLinux)('UDP by the kernel', () => {
  test('lengths are checked before the kernel sees them', () => {
    const loop = opened('kernel');
    const socket = loop.open({ address: '127.0.0.1', port: 0 });
    const to = parseAddress('127.0.0.1', 9)!;
    for (const length of [0, -1, 11, 1.5, Number.NaN, 1e9])
      expect(socket.send(Buffer.alloc(10), length, to)).toBe(false);
  });

  test('a hundred packets leave in order, those of two sockets mixed', async () => {
    const loop = opened('kernel');
    const relay = loop.open({ address: '127.0.0.1', port: 0 });
    const outs = [loop.open({ address: '127.0.0.1', port: 0 }), loop.open({ address: '127.0.0.1', port: 0 })];
    const end = loop.open({ address: '127.0.0.1', port: 0 });
    const source = loop.open({ address: '127.0.0.1', port: 0 });
    for (let i = 0; i < 100; i++) source.send(Buffer.from([i, i % 3 === 0 ? 1 : 0]), 2, relay.local);
    const seen: [number, number][] = [];
    const all = new Promise<void>((done) =>
      end.resume((batch) => {
        for (let i = 0; i < batch.count; i++) seen.push([batch.buffers[i]![0]!, batch.sources[i]!.port]);
        if (seen.length === 100) done();
      }),
    );
    relay.resume((batch) => {
      for (let i = 0; i < batch.count; i++) batch.send(i, 2, outs[batch.buffers[i]![1]!]!, end.local);
    });
    await all;
    expect(seen.map(([byte]) => byte)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(seen.every(([byte, port]) => port === outs[byte % 3 === 0 ? 1 : 0]!.local.port)).toBe(true);
  });

  test('a send that no route takes is counted and harms no other', () => {
    const loop = opened('kernel');
    const socket = loop.open({ address: '127.0.0.1', port: 0 });
    // Broadcast without SO_BROADCAST: EACCES.
    expect(socket.send(Buffer.from([1]), 1, parseAddress('255.255.255.255', 9)!)).toBe(false);
    expect(loop.counters.sendsFailed).toBe(1);
    expect(socket.send(Buffer.from([1]), 1, parseAddress('127.0.0.1', socket.local.port)!)).toBe(true);
  });

  test('what nobody reads in time is counted as dropped by the kernel', () => {
    const loop = opened('kernel');
    const socket = loop.open({ address: '127.0.0.1', port: 0, receiveBufferBytes: 4096 });
    for (let i = 0; i < 200; i++) socket.send(Buffer.alloc(200), 200, socket.local);
    const read = socket.drain(() => {}, 1000);
    expect(read).toBeGreaterThan(0);
    expect(read + socket.kernelDrops()).toBe(200);
  });
});
