import { describe, expect, it } from 'vitest';
import { passTime } from '../../test/support/virtual-time.ts';
import { type Clock, silentLogger, VirtualClock } from '../base/index.ts';
import { memoryLink, type Peer } from '../link/index.ts';
import { Heartbeat } from './heartbeat.ts';
import type { ProcessFacts } from './process-facts.ts';

const peer = (id: string): Peer => ({ role: 'switch', id, pid: 7, startTime: 1 });

const ref = { role: 'switch', id: 'a1', pid: 7, startTime: 1 };

function watching(clock: VirtualClock, seenBy: Clock = clock, look?: () => ProcessFacts | undefined) {
  const link = memoryLink({ clock, left: peer('watcher'), right: peer('watched') });
  link.right.onFrame(() => ({ kind: 'ping', data: {} }));
  const silent: string[] = [];
  const heartbeat = new Heartbeat({
    clock: seenBy,
    log: silentLogger,
    onSilent: (name) => silent.push(name),
    look,
  });
  heartbeat.watch('switch a1', link.left, ref);
  heartbeat.start();
  return { link, silent, heartbeat };
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

it('does not ask a peer that speaks of its own accord, and misses it as soon', async () => {
  const clock = new VirtualClock();
  const { link, silent, heartbeat } = watching(clock);
  let asked = 0;
  link.right.onFrame(() => {
    asked++;
    return { kind: 'ping', data: {} };
  });
  for (let step = 0; step < 40; step++) {
    await passTime(clock, 250);
    heartbeat.heard('switch a1');
  }
  expect(asked).toBeLessThanOrEqual(1);
  link.cut();
  await passTime(clock, 1_400);
  expect(silent).toEqual([]);
  await passTime(clock, 700);
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

describe('a peer that does not answer', () => {
  /** How long it takes until a peer is named of which the machine says this `ms` after it fell silent. */
  async function namedAfterMs(facts: (ms: number) => ProcessFacts | undefined): Promise<number> {
    const clock = new VirtualClock();
    const fellSilentMs = clock.nowMs() + 1_000;
    const { link, silent } = watching(clock, clock, () => facts(clock.nowMs() - fellSilentMs));
    await passTime(clock, 1_000);
    link.cut();
    while (silent.length === 0) {
      await passTime(clock, 100);
      expect(clock.nowMs() - fellSilentMs, 'named at all').toBeLessThan(20_000);
    }
    return clock.nowMs() - fellSilentMs;
  }
  const idle = { ranMs: 500, waitedMs: 20 };

  it('is named within two seconds when it is stopped, whatever it did before', async () => {
    expect(await namedAfterMs((ms) => ({ state: 'T', ranMs: ms / 2, waitedMs: ms / 2 }))).toBeLessThanOrEqual(
      2_000,
    );
  });

  it('is named within two seconds when it sleeps', async () => {
    expect(await namedAfterMs(() => ({ state: 'S', ...idle }))).toBeLessThanOrEqual(2_000);
  });

  it('is named within two seconds when nothing is known of it', async () => {
    expect(await namedAfterMs(() => undefined)).toBeLessThanOrEqual(2_000);
  });

  it('is given time when it wants to run and may not', async () => {
    const tookMs = await namedAfterMs((ms) => ({ state: 'R', ranMs: ms / 20, waitedMs: ms }));
    expect(tookMs).toBeGreaterThan(5_500);
    expect(tookMs).toBeLessThanOrEqual(6_600);
  });

  it('is given time when its group may not run at all', async () => {
    expect(await namedAfterMs(() => ({ state: 'R', ...idle }))).toBeGreaterThan(5_500);
  });

  it('is given less when it does nothing but compute', async () => {
    const tookMs = await namedAfterMs((ms) => ({ state: 'R', ranMs: ms, waitedMs: ms / 20 }));
    expect(tookMs).toBeGreaterThan(2_500);
    expect(tookMs).toBeLessThanOrEqual(3_600);
  });

  it('is named soon when it was starved and is stopped then', async () => {
    const tookMs = await namedAfterMs((ms) => ({ state: ms < 2_500 ? 'R' : 'T', ranMs: 0, waitedMs: ms }));
    expect(tookMs).toBeLessThanOrEqual(3_100);
  });
});
