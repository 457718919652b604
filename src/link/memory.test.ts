import { expect, test } from 'vitest';
import { VirtualClock } from '../base/index.ts';
import { type Channel, memoryLink, type Peer } from './index.ts';

const peer = (id: string): Peer => ({ role: 'zone', id, pid: 1, startTime: 1 });

function world(options = {}) {
  const clock = new VirtualClock();
  const link = memoryLink({
    clock,
    left: peer('a'),
    right: peer('b'),
    delayMs: 5,
    acknowledgeMs: 5,
    ...options,
  });
  const heard: unknown[] = [];
  const reasons: string[] = [];
  link.right.onFrame(({ data }) => {
    heard.push([data, clock.nowMs()]);
    return undefined;
  });
  link.right.onClose((reason) => reasons.push(reason));
  const say = (data: number, channel: Channel = link.left): boolean => channel.send({ kind: 'n', data });
  return { clock, link, heard, reasons, say, startMs: clock.nowMs() };
}

test('a frame takes the delay of the moment, and none overtakes another', () => {
  const { clock, link, heard, say, startMs } = world();
  say(1);
  clock.advance(1);
  link.delayMs = 1;
  say(2);
  clock.advance(10);
  expect(heard).toEqual([
    [1, startMs + 5],
    [2, startMs + 5],
  ]);
});

test('in a cut frames vanish without a sign, and are still owed', () => {
  const { clock, link, heard, reasons, say } = world();
  link.cut();
  say(1);
  clock.advance(10_000);
  expect(heard).toEqual([]);
  expect(reasons).toEqual([]);
  expect(link.left.open).toBe(true);
  expect(link.left.unacknowledged().map(({ data }) => data)).toEqual([1]);
});

test('a cut in which nothing was said leaves no trace', () => {
  const { clock, link, heard, say } = world();
  link.cut();
  clock.advance(1000);
  link.heal();
  say(1);
  clock.advance(100);
  expect(heard).toHaveLength(1);
  expect(link.left.unacknowledged()).toEqual([]);
});

test('what was lost in a cut is noticed at the next frame: never a silent gap', () => {
  const { clock, link, heard, reasons, say } = world();
  link.cut();
  say(1);
  clock.advance(100);
  link.heal();
  say(2);
  clock.advance(100);
  expect(heard).toEqual([]);
  expect(reasons).toEqual(['broken: frame 1 where 0 was due: something was lost']);
  expect(link.left.open).toBe(false);
  expect(link.left.unacknowledged().map(({ data }) => data)).toEqual([1, 2]);
});

test('a lost acknowledgement is noticed too', () => {
  const { clock, link, heard, say } = world();
  say(1);
  clock.advance(4);
  link.cut();
  clock.advance(100);
  expect(heard).toHaveLength(1);
  link.heal();
  say(2);
  clock.advance(100);
  expect(link.left.open).toBe(false);
});

test('a crash: what had not left is lost, the other end hears of it', () => {
  const { clock, link, heard, reasons, say } = world();
  say(1);
  clock.advance(0);
  say(2);
  link.crash('left');
  clock.advance(100);
  expect(heard.map((entry) => (entry as [number])[0])).toEqual([1]);
  expect(reasons).toEqual(['the peer ended the connection']);
  expect(say(3)).toBe(false);
});

test('silence in a cut is noticed by pings, on both sides', () => {
  const { clock, link, reasons } = world({ ping: { everyMs: 100, timeoutMs: 500 } });
  clock.advance(10_000);
  expect(link.left.open).toBe(true);
  link.cut();
  clock.advance(700);
  expect(reasons).toEqual(['broken: nothing heard for 500 ms']);
  expect(link.left.open).toBe(false);
});
