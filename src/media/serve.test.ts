import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spec } from '../../test/support/stream-spec.ts';
import { type MediaId, silentLogger } from '../base/index.ts';
import { type Channel, connectLink, type LinkClient } from '../link/index.ts';
import { systemClock, systemRandom } from '../native/index.ts';
import { rtpSequence, rtpSsrc, rtpTimestamp, writeRtcp, writeRtpHeader } from '../rtp/index.ts';
import {
  type MediaEvent,
  type MediaOptions,
  type MediaProcess,
  type StreamOpened,
  type StreamReport,
  startMedia,
} from './index.ts';

let directory: string;
const endings: (() => unknown)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tl-'));
});
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
  rmSync(directory, { recursive: true });
});

async function media(id: string, twin?: string, more: Partial<MediaOptions> = {}): Promise<MediaProcess> {
  const started = await startMedia({
    id: id as MediaId,
    addresses: { 4: '127.0.0.1' },
    portRange: { first: 21_000, last: 21_999 },
    listenPath: join(directory, `${id}.sock`),
    mirrorPath: join(directory, `${id}.mirror`),
    ...(twin === undefined ? {} : { twinMirror: join(directory, `${twin}.mirror`) }),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    priority: 'ordinary',
    ...more,
  });
  endings.push(() => started.stop());
  return started;
}

interface Switch {
  readonly channel: Channel;
  readonly events: MediaEvent[];
  put(stream: unknown): Promise<StreamOpened>;
  close(bundle: string, epoch: number, streams: string[]): Promise<StreamReport[]>;
  /** It ends, and does not connect again. */
  die(): void;
}

/** `startTime` tells one process of that name from the next. */
async function switchAt(id: string, name = 'a1', startTime = 1): Promise<Switch> {
  const events: MediaEvent[] = [];
  let client: LinkClient | undefined;
  const channel = await new Promise<Channel>((done) => {
    client = connectLink({
      path: join(directory, `${id}.sock`),
      self: { role: 'switch', id: name, pid: process.pid, startTime },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      onChannel(connected) {
        connected.onFrame((frame) => {
          events.push(frame.data as MediaEvent);
          return undefined;
        });
        done(connected);
      },
    });
  });
  endings.push(() => client?.close());
  const ask = async (kind: string, data: unknown) => (await channel.request({ kind, data }, 2000)).data;
  return {
    channel,
    events,
    die: () => client?.close(),
    put: (stream) => ask('put', { stream }) as Promise<StreamOpened>,
    close: async (bundle, epoch, streams) =>
      ((await ask('close', { bundle, epoch, streams })) as { reports: StreamReport[] }).reports,
  };
}

async function phone(): Promise<Socket & { port: number }> {
  const socket = createSocket('udp4') as Socket & { port: number };
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.port = socket.address().port;
  endings.push(() => socket.close());
  return socket;
}

/** Looks at what the processes say of themselves until it is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function rtp(
  payloadType: number,
  sequence: number,
  timestamp: number,
  ssrc: number,
  payload = 'audio',
): Buffer {
  const packet = Buffer.alloc(12 + payload.length);
  writeRtpHeader(packet, payloadType, false, sequence, timestamp, ssrc);
  packet.write(payload, 12);
  return packet;
}

describe('a media process', () => {
  test('alice and bob hear each other; each by payload types of their own', async () => {
    await media('a');
    const a1 = await switchAt('a');
    const [alice, bob] = [await phone(), await phone()];
    const forAlice = await a1.put(spec('alice', { port: alice.port, source: 'bob', opus: 96 }));
    const forBob = await a1.put(spec('bob', { port: bob.port, source: 'alice', opus: 111 }));
    expect(forAlice.port % 2).toBe(0);
    expect(forAlice).toMatchObject({
      stream: 'alice',
      media: 'a',
      address: '127.0.0.1',
      rtcpPort: forAlice.port + 1,
    });

    alice.send(rtp(96, 65_535, 4_294_967_000, 77), forAlice.port, '127.0.0.1');
    const [atBob, from] = await once(bob, 'message');
    expect(from.port).toBe(forBob.port);
    expect(atBob[1] & 127).toBe(111);
    expect([rtpSequence(atBob), rtpTimestamp(atBob)]).toEqual([65_535, 4_294_967_000]);
    expect(rtpSsrc(atBob)).not.toBe(77);
    expect(atBob.subarray(12).toString()).toBe('audio');

    bob.send(rtp(111, 5, 160, 88, 'answer'), forBob.port, '127.0.0.1');
    const [atAlice] = await once(alice, 'message');
    expect(atAlice[1] & 127).toBe(96);
    expect(atAlice.subarray(12).toString()).toBe('answer');

    const reports = await a1.close('bundle0001', 1, ['alice', 'bob', 'unknown']);
    expect(reports).toMatchObject([
      { stream: 'alice', packetsReceived: 1, packetsSent: 1 },
      { stream: 'bob', packetsReceived: 1, packetsSent: 1 },
    ]);
    expect(await a1.close('bundle0001', 1, ['alice', 'bob'])).toEqual([]);
  });

  test('saying the same again changes nothing; a stale owner is refused by name of its epoch', async () => {
    await media('a');
    const a1 = await switchAt('a');
    const opened = await a1.put(spec('alice', { epoch: 3 }));
    expect(await a1.put(spec('alice', { epoch: 4 }))).toEqual(opened);
    await expect(a1.put(spec('alice', { epoch: 3 }))).rejects.toMatchObject({ code: 'stale_epoch' });
    await expect(a1.close('bundle0001', 3, ['alice'])).rejects.toMatchObject({ code: 'stale_epoch' });
    expect(await a1.close('bundle0001', 4, ['alice'])).toHaveLength(1);
  });

  test('when all ports are taken, put says no_ports; a rested pair is given again', async () => {
    await media('a', undefined, { portRange: { first: 22_001, last: 22_005 }, limits: { portRestMs: 0 } });
    const a1 = await switchAt('a');
    const ports = [await a1.put(spec('s1')), await a1.put(spec('s2'))].map(({ port }) => port);
    expect(ports.toSorted()).toEqual([22_002, 22_004]);
    await expect(a1.put(spec('s3'))).rejects.toMatchObject({ code: 'no_ports' });
    await a1.close('bundle0001', 1, ['s1']);
    expect((await a1.put(spec('s3'))).port).toBe(ports[0]);
  });

  test('a pair that another program holds is passed by', async () => {
    const other = createSocket('udp4');
    other.bind(22_101, '127.0.0.1');
    await once(other, 'listening');
    endings.push(() => other.close());
    await media('a', undefined, { portRange: { first: 22_100, last: 22_103 } });
    expect((await (await switchAt('a')).put(spec('s1'))).port).toBe(22_102);
  });

  test('a start with a range without a pair, or a foreign address, fails with a sentence', async () => {
    await expect(media('a', undefined, { portRange: { first: 4001, last: 4001 } })).rejects.toThrow(
      '4001-4001',
    );
    await expect(media('a', undefined, { addresses: { 4: '192.0.2.1' } })).rejects.toThrow('192.0.2.1');
  });

  test('the twin goes on with the streams of a process that hands over, at the same ports', async () => {
    const second = await media('b', 'a', { portRange: { first: 23_000, last: 23_099 } });
    const first = await media('a', 'b');
    const [a1, atTwin] = [await switchAt('a'), await switchAt('b')];
    const [alice, bob] = [await phone(), await phone()];
    const forAlice = await a1.put(spec('alice', { port: alice.port, source: 'bob' }));
    await a1.put(spec('bob', { port: bob.port, source: 'alice' }));
    alice.send(rtp(0, 10, 1600, 77), forAlice.port, '127.0.0.1');
    const [before] = await once(bob, 'message');
    expect(second.status()).toMatchObject({ streams: 0, standingBy: 2 });
    await expect(atTwin.put(spec('alice', { port: alice.port }))).rejects.toMatchObject({ code: 'standby' });

    await first.stop({ handOver: true });
    alice.send(rtp(0, 11, 1760, 77), forAlice.port, '127.0.0.1');
    const [after, from] = await once(bob, 'message');
    expect([rtpSequence(after), rtpTimestamp(after), rtpSsrc(after)]).toEqual([11, 1760, rtpSsrc(before)]);
    expect(from.port).not.toBe(forAlice.port);
    expect(atTwin.events).toEqual([{ type: 'adopted', from: 'a', streams: ['alice', 'bob'] }]);
    expect(await atTwin.put(spec('alice', { port: alice.port, source: 'bob' }))).toEqual({
      ...forAlice,
      media: 'b',
    });
    const reports = await atTwin.close('bundle0001', 1, ['alice', 'bob']);
    expect(reports).toMatchObject([
      { packetsReceived: 2, takenOver: 1 },
      { packetsSent: 2, takenOver: 1 },
    ]);
    expect(second.status()).toMatchObject({ streams: 0, standingBy: 0 });
  });

  test('what the twin has seen of epochs it refuses too, before and after it takes over', async () => {
    const first = await media('a', 'b');
    await media('b', 'a', { portRange: { first: 23_000, last: 23_099 } });
    const [a1, atTwin] = [await switchAt('a'), await switchAt('b')];
    await until(() => first.status().twinConnected);
    await a1.put(spec('s', { epoch: 3 }));
    const own = { bundles: [{ bundle: 'bundle0001', epoch: 7 }] };
    await a1.channel.request({ kind: 'own', data: own }, 2000);
    await expect(
      a1.channel.request({ kind: 'own', data: { bundles: [{ bundle: 'bundle0001', epoch: 6 }] } }, 2000),
    ).rejects.toMatchObject({ code: 'stale_epoch' });
    await a1.put(spec('other', { bundle: 'bundle0002' }));
    await expect(atTwin.put(spec('new', { epoch: 6 }))).rejects.toMatchObject({ code: 'stale_epoch' });
    await first.stop({ handOver: true });
    await expect(atTwin.put(spec('s', { epoch: 6 }))).rejects.toMatchObject({ code: 'stale_epoch' });
    expect(await atTwin.put(spec('s', { epoch: 7 }))).toMatchObject({ media: 'b' });
  });

  test('a phone of one process and a phone of the other talk over a link; strangers are kept out of it', async () => {
    const first = await media('a', 'b');
    const second = await media('b', 'a', { portRange: { first: 23_000, last: 23_099 } });
    const [atA, atB] = [await switchAt('a'), await switchAt('b')];
    await until(() => first.status().twinConnected && second.status().twinConnected);
    const [alice, bob] = [await phone(), await phone()];
    const link = (
      id: string,
      peer: string,
      source: string,
      to?: StreamOpened,
      keys?: StreamOpened['keys'],
    ) => ({
      ...spec(id, { source, ...(to && { port: to.port, rtcpPort: to.rtcpPort }) }),
      link: { peer },
      ...(keys && { sendKey: keys.receiveKey, receiveKey: keys.sendKey }),
    });
    const left = await atA.put(link('left', 'right', 'alice'));
    const right = await atB.put(link('right', 'left', 'bob', left, left.keys));
    await atA.put(link('left', 'right', 'alice', right));
    const forAlice = await atA.put(spec('alice', { port: alice.port, source: 'left' }));
    const forBob = await atB.put(spec('bob', { port: bob.port, source: 'right' }));

    const stranger = await phone();
    stranger.send(rtp(0, 1, 160, 5), left.port, '127.0.0.1');
    stranger.send(rtp(0, 1, 160, 5), right.port, '127.0.0.1');
    alice.send(rtp(0, 10, 1600, 77, 'to bob'), forAlice.port, '127.0.0.1');
    expect((await once(bob, 'message'))[0].subarray(12).toString()).toBe('to bob');
    bob.send(rtp(0, 20, 3200, 88, 'to alice'), forBob.port, '127.0.0.1');
    expect((await once(alice, 'message'))[0].subarray(12).toString()).toBe('to alice');
    const report = Buffer.alloc(64);
    const length = writeRtcp(report, [{ type: 'rr', ssrc: 77, reports: [] }]);
    const bobsRtcp = await phone();
    await atB.put(spec('bob', { port: bob.port, rtcpPort: bobsRtcp.port, source: 'right' }));
    const [alicesRtcp] = [await phone()];
    await atA.put(spec('alice', { port: alice.port, rtcpPort: alicesRtcp.port, source: 'left' }));
    alicesRtcp.send(report.subarray(0, length), forAlice.rtcpPort, '127.0.0.1');
    expect((await once(bobsRtcp, 'message'))[0][1]).toBe(201);

    // Both ends in one process, each still with its own socket and keys.
    await first.stop({ handOver: true });
    alice.send(rtp(0, 11, 1760, 77, 'still'), forAlice.port, '127.0.0.1');
    const [packet] = await once(bob, 'message');
    expect([packet.subarray(12).toString(), rtpSequence(packet)]).toEqual(['still', 11]);
    bob.send(rtp(0, 21, 3360, 88, 'back'), forBob.port, '127.0.0.1');
    expect((await once(alice, 'message'))[0].subarray(12).toString()).toBe('back');
    const reports = await atB.close('bundle0001', 1, ['left', 'right', 'alice', 'bob']);
    expect(reports).toMatchObject([
      { stream: 'left', packetsReceived: 2, packetsSent: 2, packetsRefused: { stranger: 1 }, takenOver: 1 },
      { stream: 'right', packetsReceived: 2, packetsSent: 2, packetsRefused: { stranger: 1 }, takenOver: 0 },
      { stream: 'alice', packetsLost: 0 },
      { stream: 'bob', packetsLost: 0 },
    ]);
  });

  test('a switch that is started anew does not keep what its predecessor opened and nobody has asked for again', async () => {
    const a = await media('a', undefined, { limits: { orphanMs: 1 } });
    const first = await switchAt('a');
    await first.put(spec('kept'));
    await first.put(spec('orphan'));
    const next = await switchAt('a', 'a1', 2);
    await next.put(spec('kept'));
    expect(a.status().streams).toBe(2);
    first.die();
    await until(() => a.status().streams < 2);
    await expect(
      next.channel.request({ kind: 'find', data: { streams: ['kept', 'orphan'] } }, 2000),
    ).resolves.toMatchObject({ data: { here: ['kept'], unknown: ['orphan'] } });
  });

  test('only a supervisor or control drains', async () => {
    await media('a');
    const a1 = await switchAt('a');
    await expect(a1.channel.request({ kind: 'drain', data: { on: true } }, 2000)).rejects.toMatchObject({
      code: 'not_allowed',
    });
  });
});
