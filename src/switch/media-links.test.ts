import { expect, test } from 'vitest';
import { until } from '../../test/support/virtual-time.ts';
import {
  type BundleId,
  type CallId,
  type MediaId,
  type StreamId,
  silentLogger,
  TwinlineError,
  VirtualClock,
} from '../base/index.ts';
import { memoryLink } from '../link/index.ts';
import type { StreamSpec } from '../media/index.ts';
import { MediaLinks } from './media-links.ts';

const stream: StreamSpec = {
  id: 's1' as StreamId,
  call: 'c1' as CallId,
  bundle: 'bundle0000' as BundleId,
  epoch: 1,
  family: 4,
  rtcpMux: false,
  direction: 'sendrecv',
  codecs: [],
};

/** Media `a` stands by for what media `b` carries. */
function twoMedia(clock: VirtualClock) {
  const asked: string[] = [];
  const links = new MediaLinks({
    preferred: 'a' as MediaId,
    switch: 'a1',
    clock,
    log: silentLogger,
    onEvent: () => {},
  });
  for (const id of ['a', 'b']) {
    const peer = (role: string, name: string) => ({ role, id: name, pid: 1, startTime: 1 });
    const { left, right } = memoryLink({ clock, left: peer('switch', 'a1'), right: peer('media', id) });
    right.onFrame(({ kind }) => {
      if (kind !== 'put') return undefined;
      asked.push(id);
      if (id === 'a') throw new TwinlineError('standby', 'the twin carries that stream');
      return {
        kind: 'put',
        data: { stream: stream.id, media: id, address: '127.0.0.1', port: 2, rtcpPort: 3 },
      };
    });
    links.accept(left);
  }
  return { links, asked };
}

test('a stream that moved while nobody told us is found at the twin', async () => {
  const clock = new VirtualClock();
  const { links, asked } = twoMedia(clock);
  let opened: { media: string } | undefined;
  void links
    .put(stream, () => 'a' as MediaId)
    .then((result) => {
      opened = result;
    });
  await until(clock, 'the stream is open', () => opened !== undefined, 1_000);
  expect(opened?.media).toBe('b');
  // First it is given time: the twin may be about to die.
  expect(asked).toEqual(['a', 'a', 'a', 'a', 'a', 'b']);
});

test('a command that is repeated follows the stream to its new place', async () => {
  const clock = new VirtualClock();
  const { links, asked } = twoMedia(clock);
  let opened: { media: string } | undefined;
  let where = 'a' as MediaId;
  void links
    .put(stream, () => where)
    .then((result) => {
      opened = result;
    });
  await until(clock, 'media a has refused', () => asked.length > 0);
  where = 'b' as MediaId;
  await until(clock, 'the stream is open', () => opened !== undefined, 1_000);
  expect(asked).toEqual(['a', 'b']);
});
