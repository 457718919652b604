import { expect, test } from 'vitest';
import { silentLogger, VirtualClock } from '../base/index.ts';
import type { Frame, Peer } from './channel.ts';
import { Connection } from './connection.ts';
import type { Wire } from './wire.ts';

const peer = (id: string): Peer => ({ role: 'zone', id, pid: 1, startTime: 1 });

/** Two ends whose chunks arrive at once; how many the right end wrote. */
function world(window = { frames: 100, bytes: 1 << 20 }) {
  const clock = new VirtualClock();
  const [leftWire, rightWire] = [new CountingWire(clock), new CountingWire(clock)];
  leftWire.other = rightWire;
  rightWire.other = leftWire;
  const options = { clock, log: silentLogger, window, acknowledgeMs: 5 };
  const left = new Connection(leftWire, { ...options, self: peer('a'), peer: peer('b') });
  const right = new Connection(rightWire, { ...options, self: peer('b'), peer: peer('a') });
  right.onFrame(() => undefined);
  left.onFrame(() => undefined);
  return { clock, left, right, writes: () => rightWire.writes };
}

test('acknowledgements ride on the data that leaves next', () => {
  const { clock, left, right, writes } = world();
  for (let data = 0; data < 3; data++) {
    left.send({ kind: 'ask', data });
    clock.advance(0);
    right.send({ kind: 'answer', data });
    clock.advance(1);
  }
  expect(left.unacknowledged()).toEqual([]);
  expect(writes()).toBe(3);
});

test('without company they leave together, within 10 ms', () => {
  const { clock, left, writes } = world();
  for (let data = 0; data < 6; data++) {
    left.send({ kind: 'n', data });
    clock.advance(1);
  }
  expect(writes()).toBeLessThanOrEqual(1);
  clock.advance(5);
  expect(left.unacknowledged()).toEqual([]);
  expect(writes()).toBeLessThanOrEqual(2);
});

test('nothing stays unacknowledged for more than 10 ms, whenever it came', () => {
  const { clock, left, right } = world();
  const sentMs = new Map<Frame, number>();
  for (let step = 0; step < 200; step++) {
    const frame = { kind: 'n', data: step };
    if (step % 3 !== 0) left.send(frame);
    sentMs.set(frame, clock.nowMs());
    if (step % 17 === 0) right.send({ kind: 'm', data: step });
    clock.advance(1);
    for (const owed of left.unacknowledged())
      expect(clock.nowMs() - sentMs.get(owed)!).toBeLessThanOrEqual(10);
  }
});

test('an idle connection has no timer', () => {
  const { clock, left } = world();
  left.send({ kind: 'n', data: 1 });
  clock.advance(20);
  expect(clock.nextDueMs()).toBeUndefined();
});

test('a quarter of the window is acknowledged at once, counted in frames or bytes', () => {
  const { clock, left } = world({ frames: 8, bytes: 1000 });
  left.send({ kind: 'n', data: 1 });
  clock.advance(0);
  expect(left.unacknowledged()).toHaveLength(1);
  left.send({ kind: 'n', data: 2 });
  clock.advance(0);
  expect(left.unacknowledged()).toEqual([]);
  left.send({ kind: 'n', data: 3, body: new Uint8Array(300) });
  clock.advance(0);
  expect(left.unacknowledged()).toEqual([]);
});

class CountingWire implements Wire {
  readonly #clock: VirtualClock;
  #chunks: Uint8Array[] = [];
  other!: CountingWire;
  writes = 0;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onDrain = (): void => {};
  onEnd = (): void => {};

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  soon(flush: () => void): void {
    this.#clock.after(0, flush);
  }

  send(chunk: Uint8Array): boolean {
    this.#chunks.push(chunk);
    return true;
  }

  flush(): void {
    if (this.#chunks.length === 0) return;
    this.writes++;
    const bytes = Buffer.concat(this.#chunks.splice(0));
    this.#clock.after(0, () => this.other.onBytes(bytes));
  }

  end(): void {}
  destroy(): void {}
}
