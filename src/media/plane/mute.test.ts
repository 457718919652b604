import { expect, test } from 'vitest';
import { PlanePath } from '../../../test/support/plane-path.ts';
import { CODECS } from '../../../test/support/tone-phone.ts';
import type { StreamId } from '../../base/index.ts';

const muted = ({ path }: PlanePath) => path.events.flatMap((event) => (event.type === 'mute' ? [event] : []));

function talk(): PlanePath {
  const path = new PlanePath();
  path.put('alice', CODECS['opus']!, { source: 'bob' as StreamId });
  path.put('bob', CODECS['pcmu']!, { source: 'alice' as StreamId });
  return path;
}

test.each([
  ['nothing', () => 0],
  ['the noise of a converter', (n: number) => (n % 7) - 3],
])('packets that hold %s are told of after 20 s, and again, until there is a sound', (_, wave) => {
  const path = talk();
  path.talker('alice').hz = 500;
  path.talker('bob').wave = wave;
  path.run(900);
  expect(muted(path)).toEqual([]);
  path.run(1_300);
  const told = muted(path);
  expect(told.map(({ stream }) => stream)).toEqual(['bob', 'bob']);
  expect(told[0]!.forMs).toBe(20_000);
  expect(told[1]!.forMs).toBe(40_000);
  path.talker('bob').wave = undefined;
  path.talker('bob').hz = 900;
  path.run(50);
  path.talker('bob').wave = wave;
  path.run(900);
  expect(muted(path)).toHaveLength(2);
  path.end();
});

test('who sends nothing is not mute, and neither is who whispers', () => {
  const path = talk();
  path.talker('alice').hz = 500;
  path.talker('bob').hz = 700;
  path.talker('bob').amplitude = 100;
  path.run(1_500);
  path.talker('bob').hz = 0;
  path.run(1_500);
  expect(muted(path)).toEqual([]);
  path.end();
});
