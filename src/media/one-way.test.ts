import { expect, test } from 'vitest';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { unheardForMs } from './one-way.ts';

function talk() {
  const path = new PacketPath();
  path.put(spec('alice', { port: 5000, source: 'bob' }));
  path.put(spec('bob', { port: 6000, source: 'alice' }));
  const told: [at: number, id: string, forMs: number][] = [];
  const beganMs = path.nowMs;
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
        const forMs = unheardForMs(stream, path.nowMs);
        if (forMs !== undefined) told.push([path.nowMs - beganMs, stream.id, forMs]);
      }
    }
  };
  return { path, told, pass };
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
  path.put(spec('bob', { port: 6000, source: 'alice', direction: 'sendonly' }));
  pass(60, 'alice');
  expect(told).toEqual([]);
  // Taken off hold it has its five seconds again.
  path.put(spec('bob', { port: 6000, source: 'alice' }));
  pass(5, 'alice');
  expect(told).toEqual([]);
  pass(1, 'alice');
  expect(told.map(([, id, forMs]) => [id, forMs])).toEqual([['bob', 5000]]);
});
