import { expect, it } from 'vitest';
import { passTime } from '../../test/support/virtual-time.ts';
import { type Clock, silentLogger, VirtualClock } from '../base/index.ts';
import { memoryLink, type Peer } from '../link/index.ts';
import { Heartbeat } from './heartbeat.ts';

const peer = (id: string): Peer => ({ role: 'switch', id, pid: 7, startTime: 1 });

function watching(clock: VirtualClock, seenBy: Clock = clock) {
  const link = memoryLink({ clock, left: peer('watcher'), right: peer('watched') });
  link.right.onFrame(() => ({ kind: 'ping', data: {} }));
  const silent: string[] = [];
  const heartbeat = new Heartbeat({
    clock: seenBy,
    log: silentLogger,
    onSilent: (name) => silent.push(name),
  });
  heartbeat.watch('switch a1', link.left);
  heartbeat.start();
  return { link, silent };
}

it('leaves a peer alone that answers', async () => {
  const clock = new VirtualClock();
  const { silent } = watching(clock);
  await passTime(clock, 60_000);
  expect(silent).toEqual([]);
});

it('names a peer once that has not answered for 1.5 s', async () => {
  const clock = new VirtualClock();
  const { link, silent } = watching(clock);
  await passTime(clock, 1_000);
  link.cut();
  await passTime(clock, 900);
  expect(silent).toEqual([]);
  await passTime(clock, 5_000);
  expect(silent).toEqual(['switch a1']);
});

it('names a peer that lost its channel and does not come back', async () => {
  const clock = new VirtualClock();
  const { link, silent } = watching(clock);
  await passTime(clock, 1_000);
  link.crash('right');
  await passTime(clock, 3_000);
  expect(silent).toEqual(['switch a1']);
});

it('does not judge others by the time in which its own loop stood still', async () => {
  const clock = new VirtualClock();
  let stoodStillMs = 0;
  const seenBy: Clock = {
    nowMs: () => clock.nowMs() + stoodStillMs,
    utcMs: () => clock.utcMs(),
    after: (delayMs, action) => clock.after(delayMs, action),
  };
  const { silent } = watching(clock, seenBy);
  await passTime(clock, 1_000);
  stoodStillMs = 3_000;
  await passTime(clock, 5_000);
  expect(silent).toEqual([]);
});
