import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JitterBuffer } from './jitter-buffer.ts';

const SSRC = 7;

/** One receiver that plays 20 ms at a time; each packet's first two octets are the number of its first 10 ms. */
class Receiver {
  readonly buffer = new JitterBuffer();
  /** What was played, in pieces of 10 ms: the piece's number, or what stood in for it. */
  readonly played: (number | 'lost' | 'pause' | 'nothing')[] = [];
  #ahead: (number | 'lost' | 'pause')[] = [];
  nextSequence = 65_520;
  nextPiece = 0;
  shift = 4_294_960_000;
  ssrc = SSRC;

  packet(ptimeMs = 20): { sequence: number; timestamp: number; piece: number; pieces: number; ssrc: number } {
    const pieces = ptimeMs / 10;
    const piece = this.nextPiece;
    this.nextPiece += pieces;
    const sequence = this.nextSequence++ & 0xffff;
    return { sequence, timestamp: (this.shift + piece * 80) >>> 0, piece, pieces, ssrc: this.ssrc };
  }

  hear(packet: ReturnType<Receiver['packet']>, nowMs: number): void {
    const bytes = Buffer.alloc(12 + packet.pieces * 80);
    bytes.writeUInt16BE(packet.piece, 12);
    const { ssrc, sequence, timestamp } = packet;
    this.buffer.insert(ssrc, 0, 8000, sequence, timestamp, bytes, 12, bytes.length, nowMs);
  }

  tick(nowMs: number): void {
    while (this.#ahead.length < 2) {
      const { buffer } = this;
      switch (buffer.pull(nowMs, this.#ahead.length * 10)) {
        case 'packet': {
          const first = buffer.payload.readUInt16BE(0);
          const pieces = buffer.payloadLength / 80;
          for (let i = 0; i < pieces; i++) this.#ahead.push(first + i);
          buffer.took(pieces * 80);
          break;
        }
        case 'lost':
          for (let i = 0; i < buffer.units / 80; i++) this.#ahead.push('lost');
          break;
        case 'pause':
          for (let i = 0; i < buffer.units / 80; i++) this.#ahead.push('pause');
          break;
        case 'nothing':
          this.played.push(...this.#ahead, ...new Array(2 - this.#ahead.length).fill('nothing'));
          this.#ahead = [];
          return;
      }
    }
    this.played.push(...this.#ahead.splice(0, 2));
  }

  get sound(): (number | 'lost' | 'pause')[] {
    return this.played.filter((each) => each !== 'nothing');
  }
}

/** Packets by the moment at which they come, then a tick each 20 ms until all were played. */
function run(receiver: Receiver, arrivals: { atMs: number; packet: ReturnType<Receiver['packet']> }[]): void {
  const inOrder = arrivals.toSorted((a, b) => a.atMs - b.atMs);
  const endMs = (inOrder.at(-1)?.atMs ?? 0) + 1000;
  let at = 0;
  for (let nowMs = 7; nowMs < endMs; nowMs += 20) {
    for (; at < inOrder.length && inOrder[at]!.atMs <= nowMs; at++)
      receiver.hear(inOrder[at]!.packet, inOrder[at]!.atMs);
    receiver.tick(nowMs);
  }
}

const pieces = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('packets that come in time', () => {
  test.each([10, 20, 30, 40, 60])(
    'of %i ms are played once each, in order, across the wrap of both numbers',
    (ptimeMs) => {
      const receiver = new Receiver();
      const count = 2400 / ptimeMs;
      run(
        receiver,
        Array.from({ length: count }, (_, i) => ({ atMs: i * ptimeMs, packet: receiver.packet(ptimeMs) })),
      );
      expect(receiver.sound.filter((each) => each !== 'lost')).toEqual(pieces(0, 240));
      expect(receiver.sound.indexOf('lost')).toBe(240);
      expect(receiver.buffer.counts).toMatchObject({ late: 0, duplicate: 0, dropped: 0 });
    },
  );

  test('reordered and repeated ones too; what came twice is counted', () => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 100 }, (_, i) => ({ atMs: i * 20, packet: receiver.packet() }));
    for (let i = 1; i < 100; i += 3) {
      arrivals[i]!.atMs += 25;
      arrivals.push({ atMs: i * 20 + 5, packet: arrivals[i - 1]!.packet });
    }
    run(receiver, arrivals);
    expect(receiver.sound.filter((each) => typeof each === 'number')).toEqual(pieces(0, 200));
    expect(receiver.buffer.counts.duplicate + receiver.buffer.counts.late).toBe(33);
  });
});

describe('packets that do not come', () => {
  test('are concealed in their place, and the one behind them is offered for its FEC', () => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 50 }, (_, i) => ({ atMs: i * 20, packet: receiver.packet() }));
    arrivals.splice(30, 2);
    run(receiver, arrivals);
    const expected = pieces(0, 100).map((piece) => (piece >= 60 && piece < 64 ? 'lost' : piece));
    expect(receiver.sound.slice(0, 100)).toEqual(expected);

    const { buffer } = new Receiver();
    const bytes = Buffer.from([...new Array(12).fill(0), 1, 2, 3]);
    for (const [sequence, atMs] of [
      [1, 0],
      [3, 40],
    ] as const)
      buffer.insert(1, 9, 8000, sequence, sequence * 160, bytes, 12, 15, atMs);
    expect([buffer.pull(40, 0), buffer.took(160)]).toEqual(['packet', undefined]);
    expect(buffer.pull(60, 0)).toBe('lost');
    expect([buffer.payloadLength, buffer.payloadType, buffer.units]).toEqual([3, 9, 160]);
  });

  test('a way that gets slower is waited for: nothing is lost, and the wait is longer then', () => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 200 }, (_, i) => ({
      atMs: i * 20 + (i >= 100 ? 80 : 0),
      packet: receiver.packet(),
    }));
    run(receiver, arrivals);
    expect(receiver.sound.filter((each) => typeof each === 'number')).toEqual(pieces(0, 400));
  });

  test('a pause of the sender is no loss; the next spurt waits as long as it should', () => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 40 }, (_, i) => ({ atMs: i * 20, packet: receiver.packet() }));
    receiver.nextPiece += 100;
    for (let i = 0; i < 40; i++) arrivals.push({ atMs: 1800 + i * 20, packet: receiver.packet() });
    run(receiver, arrivals);
    expect(receiver.sound.filter((each) => typeof each === 'number')).toEqual([
      ...pieces(0, 80),
      ...pieces(180, 260),
    ]);
    expect(receiver.buffer.counts.concealments).toBe(2);
  });

  test('telephone events in between are a pause and no loss', () => {
    const { buffer } = new Receiver();
    const bytes = Buffer.alloc(172);
    const played: string[] = [];
    for (let i = 0; i < 30; i++) {
      const nowMs = i * 20;
      if (i >= 10 && i < 15) buffer.skip(1, 8000, i, 10 * 160, nowMs);
      else buffer.insert(1, 0, 8000, i, i * 160, bytes, 12, 172, nowMs);
      const pull = buffer.pull(nowMs + 1, 0);
      if (pull === 'packet') buffer.took(160);
      played.push(pull);
    }
    const said = played.slice(played.indexOf('packet'));
    expect(said.filter((each) => each === 'packet').length).toBeGreaterThan(20);
    // Only what was concealed before the pause was known to be one.
    expect(buffer.counts.late + buffer.counts.dropped).toBe(0);
  });
});

describe('another source', () => {
  test.each([
    ['another SSRC', (receiver: Receiver) => (receiver.ssrc = 99)],
    ['another numbering', (receiver: Receiver) => (receiver.nextSequence += 20_000)],
    ['timestamps that jump ahead', (receiver: Receiver) => (receiver.shift += 8000 * 3600)],
    ['timestamps that jump back', (receiver: Receiver) => (receiver.shift -= 8000 * 3600)],
  ])('%s goes on without a gap', (_, change) => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 50 }, (_, i) => ({ atMs: i * 20, packet: receiver.packet() }));
    change(receiver);
    for (let i = 50; i < 100; i++) arrivals.push({ atMs: i * 20, packet: receiver.packet() });
    run(receiver, arrivals);
    expect(receiver.sound.slice(0, 200)).toEqual(pieces(0, 200));
  });
});

describe('a bad network', () => {
  test('what is played is in order and each piece once, whatever comes; nothing is concealed for long that was there', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            lost: fc.boolean(),
            alsoLost: fc.boolean(),
            jitterMs: fc.nat(60),
            twice: fc.boolean(),
          }),
          {
            minLength: 50,
            maxLength: 300,
          },
        ),
        fc.constantFrom(10, 20, 30, 40, 60),
        (fates, ptimeMs) => {
          const receiver = new Receiver();
          const arrivals: { atMs: number; packet: ReturnType<Receiver['packet']> }[] = [];
          fates.forEach(({ lost, alsoLost, jitterMs, twice }, i) => {
            const packet = receiver.packet(ptimeMs);
            const atMs = i * ptimeMs + jitterMs;
            if (lost && alsoLost) return;
            arrivals.push({ atMs, packet });
            if (twice) arrivals.push({ atMs: atMs + 3, packet });
          });
          run(receiver, arrivals);
          const numbers = receiver.sound.filter((each) => typeof each === 'number');
          expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
          expect(receiver.buffer.waiting).toBe(0);
          const { late, dropped } = receiver.buffer.counts;
          const came = new Set(arrivals.map(({ packet }) => packet.sequence)).size * (ptimeMs / 10);
          expect(numbers.length).toBeGreaterThanOrEqual(came - (late + dropped) * (ptimeMs / 10));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('jitter of 60 ms: after a second the wait covers it and nearly nothing is late', () => {
    const receiver = new Receiver();
    let state = 1;
    const random = (most: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % most;
    };
    const arrivals = Array.from({ length: 1500 }, (_, i) => ({
      atMs: i * 20 + random(60),
      packet: receiver.packet(),
    }));
    run(receiver, arrivals);
    expect(receiver.buffer.targetMs).toBeGreaterThanOrEqual(60);
    expect(receiver.buffer.targetMs).toBeLessThanOrEqual(70);
    const settled = receiver.played.slice(200, 3000);
    expect(settled.filter((each) => typeof each !== 'number').length).toBeLessThan(30);
  });

  test('after a second of standstill what is too old is left out, and the wait is short again', () => {
    const receiver = new Receiver();
    const arrivals = Array.from({ length: 150 }, (_, i) => ({
      atMs: i >= 50 && i < 95 ? 1900 + (i - 50) * 0.1 : i * 20,
      packet: receiver.packet(),
    }));
    run(receiver, arrivals);
    const numbers = receiver.sound.filter((each) => typeof each === 'number');
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.at(-1)).toBe(299);
    expect(receiver.buffer.counts.dropped).toBeGreaterThan(20);
  });

  test('no numbers make it throw or grow', () => {
    const buffer = new JitterBuffer();
    const bytes = Buffer.alloc(2000);
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.nat(0xffffffff),
        fc.constantFrom(8000, 48_000, 8000, 8000),
        fc.nat(3),
        fc.integer({ min: -5, max: 2100 }),
        (sequence, timestamp, clockRateHz, ssrc, end) => {
          buffer.insert(ssrc, 0, clockRateHz, sequence, timestamp >>> 0, bytes, 12, end, sequence);
          buffer.skip(ssrc, clockRateHz, sequence + 1, timestamp, sequence);
          if (buffer.pull(sequence, 0) === 'packet') buffer.took(160);
          expect(buffer.waiting).toBeLessThanOrEqual(64);
          expect(buffer.units).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
