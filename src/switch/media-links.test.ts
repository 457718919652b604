import { expect, test } from 'vitest';
import { passTime, until } from '../../test/support/virtual-time.ts';
import {
  type BundleId,
  type CallId,
  type MediaId,
  type StreamId,
  silentLogger,
  TwinlineError,
  VirtualClock,
} from '../base/index.ts';
import { type Channel, type Frame, memoryLink } from '../link/index.ts';
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

/** Two media processes that say what they are told to say. */
function answering(answers: Record<string, (frame: Frame) => unknown>) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const links = new MediaLinks({
    preferred: 'a' as MediaId,
    switch: 'a1',
    clock,
    log: silentLogger,
    onEvent: () => {},
  });
  const media: Record<string, Channel> = {};
  for (const id of ['a', 'b']) {
    const peer = (role: string, name: string) => ({ role, id: name, pid: 1, startTime: 1 });
    const { left, right } = memoryLink({ clock, left: peer('switch', 'a1'), right: peer('media', id) });
    right.onFrame((frame) => {
      if (frame.kind === 'greet') return undefined;
      asked.push(`${id} ${frame.kind}`);
      return { kind: frame.kind, data: answers[id]?.(frame) };
    });
    media[id] = right;
    links.accept(left);
  }
  return { links, clock, asked, media };
}

const opens = (media: string) => () => ({
  stream: stream.id,
  media,
  address: '127.0.0.1',
  port: 2,
  rtcpPort: 3,
});

test('new streams go past a media process that drains, told beforehand or by its refusal; then back', async () => {
  let draining = true;
  const { links, clock, asked, media } = answering({
    a: () => {
      if (draining) throw new TwinlineError('draining', 'ask the twin');
      return opens('a')();
    },
    b: opens('b'),
  });
  const put = async () => {
    let opened: string | undefined;
    void links
      .put(stream, () => undefined)
      .then((result) => {
        opened = result.media;
      });
    await until(clock, 'the stream is open', () => opened !== undefined, 1_000);
    return opened;
  };
  expect(await put()).toBe('b');
  media['a']!.send({ kind: 'draining', data: { on: true } });
  await passTime(clock, 10);
  expect(await put()).toBe('b');
  expect(asked).toEqual(['a put', 'b put', 'b put']);
  draining = false;
  media['a']!.send({ kind: 'draining', data: { on: false } });
  await passTime(clock, 10);
  expect(await put()).toBe('a');
});

test('all media processes hear who owns a bundle; one that knows of a later owner says so', async () => {
  let highest = 4;
  const { links, clock, asked } = answering({
    b: ({ data }) => {
      const [{ epoch } = { epoch: 0 }] = (data as { bundles: { epoch: number }[] }).bundles;
      if (epoch < highest) throw new TwinlineError('stale_epoch', `held under ${highest}`);
      return {};
    },
  });
  const own = async (epoch: number) => {
    let how = '';
    links.own([{ bundle: stream.bundle, epoch }]).then(
      () => {
        how = 'owned';
      },
      (error) => {
        how = error.code;
      },
    );
    await until(clock, 'an answer', () => how !== '', 3_000);
    return how;
  };
  expect(await own(4)).toBe('owned');
  expect(asked).toEqual(['a own', 'b own']);
  highest = 5;
  expect(await own(4)).toBe('stale_epoch');
});

test('what was asked first is not said again after what was asked last', async () => {
  const clock = new VirtualClock();
  const done: string[] = [];
  const links = new MediaLinks({
    preferred: 'a' as MediaId,
    switch: 'a1',
    clock,
    log: silentLogger,
    onEvent: () => {},
  });
  const { left, right } = memoryLink({
    clock,
    left: { role: 'switch', id: 'a1', pid: 1, startTime: 1 },
    right: { role: 'media', id: 'a', pid: 1, startTime: 1 },
  });
  let standsStill: Promise<void> | undefined = new Promise((resolve) => clock.after(2_010, resolve));
  right.onFrame(async ({ kind, data }) => {
    if (kind !== 'put') return undefined;
    const { direction } = (data as { stream: StreamSpec }).stream;
    // The first request is lost with the time in which nobody looked at it.
    if (standsStill !== undefined) {
      const still = standsStill;
      standsStill = undefined;
      await still;
      throw new TwinlineError('link_timeout', 'too late');
    }
    done.push(direction);
    return {
      kind: 'put',
      data: { stream: stream.id, media: 'a', address: '127.0.0.1', port: 2, rtcpPort: 3 },
    };
  });
  links.accept(left);
  const held = links.put({ ...stream, direction: 'sendonly' }, () => undefined);
  await passTime(clock, 1_000);
  const resumed = links.put(stream, () => undefined);
  await passTime(clock, 5_000);
  expect(await held).toEqual(await resumed);
  expect(done).toEqual(['sendrecv']);
});

/** Media processes by name, of which some know the stream; they answer as they are told. */
function mediaThat(clock: VirtualClock, knows: Record<string, boolean>) {
  const asked: string[] = [];
  const links = new MediaLinks({
    preferred: 'a' as MediaId,
    switch: 'a1',
    clock,
    log: silentLogger,
    onEvent: () => {},
  });
  const connect = (id: string) => {
    const peer = (role: string, name: string) => ({ role, id: name, pid: 1, startTime: 1 });
    const { left, right } = memoryLink({ clock, left: peer('switch', 'a1'), right: peer('media', id) });
    right.onFrame(({ kind }) => {
      if (kind !== 'put') return undefined;
      asked.push(id);
      if (!knows[id]) throw new TwinlineError('unknown_stream', 'it needs an offer with new keys');
      return {
        kind: 'put',
        data: { stream: stream.id, media: id, address: '127.0.0.1', port: 2, rtcpPort: 3 },
      };
    });
    links.accept(left);
    return right;
  };
  return { links, asked, connect };
}

const place = { address: '127.0.0.1', port: 2 };

test('a stream is unknown only when every media process says so', async () => {
  const clock = new VirtualClock();
  const { links, asked, connect } = mediaThat(clock, { a: false, b: true });
  for (const id of ['a', 'b']) connect(id);
  let opened: { media: string } | undefined;
  void links
    .put(stream, () => 'a' as MediaId, place)
    .then((result) => {
      opened = result;
    });
  await until(clock, 'the stream is open', () => opened !== undefined, 1_000);
  expect([opened?.media, ...asked]).toEqual(['b', 'a', 'b']);
});

test('its carrier that has not connected yet is waited for, and not for ever', async () => {
  const clock = new VirtualClock();
  const { links, asked, connect } = mediaThat(clock, { a: false, b: true });
  connect('a');
  const outcomes: string[] = [];
  const put = () =>
    void links
      .put(stream, () => 'b' as MediaId, place)
      .then(
        ({ media }) => outcomes.push(media),
        ({ code }: TwinlineError) => outcomes.push(code),
      );
  put();
  await passTime(clock, 1_000);
  expect(outcomes).toEqual([]);
  connect('b');
  await until(clock, 'the stream is found', () => outcomes.length === 1, 1_000);
  expect(outcomes).toEqual(['b']);
  expect(asked).toEqual(['a', 'b']);

  const alone = mediaThat(clock, { a: false });
  alone.connect('a');
  void alone.links
    .put(stream, () => 'b' as MediaId, place)
    .catch(({ code }: TwinlineError) => outcomes.push(code));
  await passTime(clock, 2_000);
  expect(outcomes).toEqual(['b', 'unknown_stream']);
  // Who has been away for long is not waited for again.
  void alone.links
    .put(stream, () => 'b' as MediaId, place)
    .catch(({ code }: TwinlineError) => outcomes.push(code));
  await passTime(clock, 50);
  expect(outcomes).toEqual(['b', 'unknown_stream', 'unknown_stream']);
});

test('what media can do is what the process says by which a stream would be opened', async () => {
  const clock = new VirtualClock();
  const { links, connect } = mediaThat(clock, { a: true, b: true });
  expect(links.capabilities).toBeUndefined();
  const [a, b] = ['a', 'b'].map((id) => connect(id));
  a!.send({ kind: 'capabilities', data: { has: ['relay'] } });
  await passTime(clock, 1);
  expect(links.capabilities).toEqual(['relay']);
  a!.send({ kind: 'draining', data: { on: true } });
  await passTime(clock, 1);
  // Of an older release, which has all.
  expect(links.capabilities).toBeUndefined();
  b!.send({ kind: 'capabilities', data: { has: ['relay', 'srtp'] } });
  await passTime(clock, 1);
  expect(links.capabilities).toEqual(['relay', 'srtp']);
});

test('a process that comes, or goes while another stays, may have left streams behind that nobody has', () => {
  const clock = new VirtualClock();
  let looks = 0;
  const links = new MediaLinks({
    preferred: 'a' as MediaId,
    switch: 'a1',
    clock,
    log: silentLogger,
    onEvent: () => {},
    onCameOrWent: () => looks++,
  });
  const peer = (role: string, id: string) => ({ role, id, pid: 1, startTime: 1 });
  const [a, b] = ['a', 'b'].map((id) => {
    const link = memoryLink({ clock, left: peer('switch', 'a1'), right: peer('media', id) });
    links.accept(link.left);
    return link;
  });
  expect(looks).toBe(2);
  b!.left.close();
  expect(looks).toBe(3);
  // Of nobody there is nothing to be asked: whoever comes next is.
  a!.left.close();
  expect(looks).toBe(3);
});
