import { expect, test } from 'vitest';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { writeRtcp } from '../rtp/index.ts';
import { oneWayOf } from './one-way.ts';

function talk() {
  const path = new PacketPath();
  path.put(spec('alice', { port: 5000, source: 'bob', rtcpMux: true }));
  path.put(spec('bob', { port: 6000, source: 'alice', rtcpMux: true }));
  const told: [at: number, id: string, forMs: number][] = [];
  const beganMs = path.nowMs;
  let inCall: boolean | undefined;
  let sequence = 0;
  /** Who speaks says a packet each quarter of a second. */
  const pass = (seconds: number, ...speaking: ('alice' | 'bob')[]) => {
    for (let i = 0; i < 4 * seconds; i++) {
      for (const id of speaking) {
        const from = id === 'alice' ? '127.0.0.1:5000' : '127.0.0.1:6000';
        path.turn(id, rtpPacket({ sequence: sequence++, ssrc: id === 'alice' ? 7 : 8 }), from);
      }
      path.wait(250);
      for (const stream of path.graph) {
        const oneWay = oneWayOf(stream, path.nowMs);
        if (oneWay === undefined) continue;
        told.push([path.nowMs - beganMs, stream.id, oneWay.forMs]);
        inCall = oneWay.inCall;
      }
    }
  };
  /** Bob's sender report: so many packets have left him. */
  const bobSays = (packetCount: number) => {
    const bytes = Buffer.alloc(200);
    const report = {
      type: 'sr',
      ssrc: 8,
      ntpSec: 1,
      ntpFraction: 0,
      rtpTimestamp: 0,
      octetCount: 0,
    } as const;
    const length = writeRtcp(bytes, [{ ...report, packetCount, reports: [] }]);
    path.turn('bob', bytes.subarray(0, length), '127.0.0.1:6000');
  };
  return { path, told, pass, bobSays, lastWasInCall: () => inCall };
}

test('a peer that is never heard while the other is, is told of after 5 s and ever more rarely, until it is heard', () => {
  const { told, pass } = talk();
  pass(40, 'alice');
  expect(told).toEqual([5, 10, 15, 20, 25, 31.25, 39.25].map((sec) => [sec * 1000 + 250, 'bob', sec * 1000]));
  told.length = 0;
  pass(1, 'bob');
  pass(60, 'alice');
  expect(told).toEqual([]);
});

test('not while nobody is heard, nor while one of them may not speak', () => {
  const { path, told, pass } = talk();
  pass(60);
  path.put(spec('bob', { port: 6000, source: 'alice', rtcpMux: true, direction: 'sendonly' }));
  pass(60, 'alice');
  expect(told).toEqual([]);
  // Taken off hold it has its five seconds again.
  path.put(spec('bob', { port: 6000, source: 'alice', rtcpMux: true }));
  pass(5, 'alice');
  expect(told).toEqual([]);
  pass(1, 'alice');
  expect(told.map(([, id, forMs]) => [id, forMs])).toEqual([['bob', 5000]]);
});

test('audio that ends in mid-call while the peer’s RTCP says that it sends is told of', () => {
  const { told, pass, bobSays, lastWasInCall } = talk();
  pass(20, 'alice', 'bob');
  bobSays(80);
  pass(4, 'alice', 'bob');
  for (let count = 110; count < 200; count += 10) {
    pass(5, 'alice');
    bobSays(count);
  }
  // From the second report on that counts more than the one before.
  expect(told[0]).toEqual([34_250, 'bob', 10_250]);
  expect(lastWasInCall()).toBe(true);
  expect(told.every(([, id]) => id === 'bob')).toBe(true);
  told.length = 0;
  pass(10, 'alice', 'bob');
  expect(told).toEqual([]);
});

test('who says that it sends nothing may be silent for long; who says nothing of it is missed after half a minute', () => {
  const { told, pass, bobSays } = talk();
  pass(20, 'alice', 'bob');
  for (let i = 0; i < 5; i++) {
    pass(5, 'alice');
    bobSays(80);
  }
  expect(told).toEqual([]);
  pass(10, 'alice');
  bobSays(80);
  expect(told.map(([, id]) => id)).toEqual(['bob']);
});

test('not when nothing at all comes any more, when the other side is silent too, or on hold', () => {
  const dead = talk();
  dead.pass(20, 'alice', 'bob');
  dead.pass(60, 'alice');
  expect(dead.told).toEqual([]);
  const both = talk();
  both.pass(20, 'alice', 'bob');
  for (let i = 0; i < 10; i++) {
    both.pass(5);
    both.bobSays(80 + i);
  }
  expect(both.told).toEqual([]);
  const held = talk();
  held.pass(20, 'alice', 'bob');
  held.path.put(spec('bob', { port: 6000, source: 'alice', rtcpMux: true, direction: 'sendonly' }));
  for (let i = 0; i < 10; i++) {
    held.pass(5, 'alice');
    held.bobSays(80 + i);
  }
  expect(held.told).toEqual([]);
});
