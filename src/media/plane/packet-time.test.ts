import { afterEach, describe, expect, test } from 'vitest';
import { headerOf } from '../../../test/support/packet-path.ts';
import { hears, PlanePath } from '../../../test/support/plane-path.ts';
import { CODECS } from '../../../test/support/tone-phone.ts';
import type { StreamId } from '../../base/index.ts';

const paths: PlanePath[] = [];
afterEach(() => {
  for (const path of paths.splice(0)) path.end();
});

describe.each(['pcmu', 'g722', 'g729', 'opus'])('%s', (name) => {
  test.each(name === 'opus' ? [10, 20, 40, 60] : [10, 20, 30, 40, 60])(
    'in packets of %i ms, each of which says when it is',
    (packetMs) => {
      const path = new PlanePath();
      paths.push(path);
      const codec = CODECS[name]!;
      path.put('alice', codec, { source: 'bob' as StreamId, packetMs });
      path.put('bob', CODECS[name === 'pcmu' ? 'g722' : 'pcmu']!, { source: 'alice' as StreamId });
      path.talker('bob').hz = 440;
      path.run(30);
      const alice = path.talker('alice');
      alice.packets.length = 0;
      path.run(150);
      const headers = alice.packets.map(({ packet }) => headerOf(packet));
      expect(Math.abs(headers.length - 3000 / packetMs)).toBeLessThanOrEqual(1);
      const units = (codec.clockRateHz * packetMs) / 1000;
      for (let i = 1; i < headers.length; i++) {
        expect((headers[i]!.sequence - headers[i - 1]!.sequence) & 0xffff).toBe(1);
        expect((headers[i]!.timestamp - headers[i - 1]!.timestamp) >>> 0).toBe(units);
      }
      if (name === 'pcmu')
        for (const { packet } of alice.packets) expect(packet.length).toBe(12 + 8 * packetMs);
      // What is decoded has no seam.
      if (name !== 'g729') expect(path.quality('alice', 440, 1000).pure).toBeGreaterThan(0.95);
    },
  );
});

test('who hear the same in one codec share an encoder, if their packets are alike', () => {
  const path = new PlanePath();
  paths.push(path);
  path.put('speaker', CODECS['pcmu']!);
  for (const [id, packetMs] of [
    ['a', 20],
    ['b', 20],
    ['c', 60],
    ['d', 40],
    // Opus has no frames of 30 ms.
    ['e', 30],
  ] as const)
    path.put(id, CODECS['opus']!, { ...hears('speaker'), packetMs });
  path.talker('speaker').hz = 440;
  path.run(60);
  expect(path.plane.figures.encoders).toBe(3);
  for (const id of ['a', 'b', 'c', 'd', 'e']) expect(path.quality(id, 440).pure).toBeGreaterThan(0.95);
});

test('the length may change in the middle of a talk', () => {
  const path = new PlanePath();
  paths.push(path);
  const more = { source: 'bob' as StreamId };
  path.put('alice', CODECS['opus']!, more);
  path.put('bob', CODECS['pcmu']!, { source: 'alice' as StreamId });
  path.talker('bob').hz = 440;
  path.run(30);
  path.put('alice', CODECS['opus']!, { ...more, packetMs: 60 });
  path.run(60);
  const alice = path.talker('alice');
  alice.packets.length = 0;
  path.run(30);
  expect(alice.packets.length).toBe(10);
  expect(path.quality('alice', 440, 300).pure).toBeGreaterThan(0.95);
});
