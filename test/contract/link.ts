import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/index.ts';
import type { Channel, Frame } from '../../src/link/index.ts';

/** Two ends of one link, and how to let time or the kernel do their work. */
export interface LinkUnderTest {
  readonly left: Channel;
  readonly right: Channel;
  readonly clock: Clock;
  /** Waits for `outcome`, moving virtual time where there is such. */
  run<T>(outcome: Promise<T>): Promise<T>;
  /** Ends the left process without a word. */
  crashLeft(): void;
  dispose(): Promise<void>;
}

export interface LinkFactoryOptions {
  readonly window?: { readonly frames: number; readonly bytes: number };
}

/** What every carrier must keep of `Channel`'s promises. */
export function linkContract(
  name: string,
  open: (options?: LinkFactoryOptions) => Promise<LinkUnderTest>,
): void {
  describe(`link over ${name}`, () => {
    const opened: LinkUnderTest[] = [];
    const link = async (options?: LinkFactoryOptions): Promise<LinkUnderTest> => {
      const made = await open(options);
      opened.push(made);
      return made;
    };
    afterEach(async () => {
      for (const made of opened.splice(0)) await made.dispose();
    });

    test('a frame arrives whole: kind, data, body, epoch and trace', async () => {
      const { left, right, run, clock } = await link();
      const body = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) & 0xff);
      const sent: Frame = {
        kind: 'sip',
        data: { flow: 'f1', text: 'Grüße, 電話 😀', list: [1, null, true] },
        body,
        lane: 'priority',
        epoch: 2 ** 40 + 1,
        deadlineMs: clock.nowMs() + 60_000,
        trace: 'f81d4fae7dec11d0a76500a0c91e6bf6',
      };
      const arrived = nextFrames(right, 1);
      expect(left.send(sent)).toBe(true);
      const [frame] = await run(arrived);
      expect({ ...frame, body: undefined, deadlineMs: undefined }).toEqual({
        ...sent,
        body: undefined,
        deadlineMs: undefined,
      });
      expect(Buffer.compare(frame!.body!, body)).toBe(0);
      expect(Math.abs(frame!.deadlineMs! - sent.deadlineMs!)).toBeLessThan(2000);
    });

    test('each end knows who the other is', async () => {
      const { left, right } = await link();
      expect(left.peer).toMatchObject({ role: 'switch', id: 'a1' });
      expect(right.peer).toMatchObject({ role: 'edge', id: 'edge1' });
      expect(left.open && right.open).toBe(true);
    });

    test('frames of a lane keep their order, small and large alike', async () => {
      const { left, right, run } = await link();
      const arrived = nextFrames(right, 300);
      for (let i = 0; i < 300; i++) {
        const body = i % 50 === 0 ? new Uint8Array(50_000) : undefined;
        expect(left.send({ kind: 'n', data: i, ...(body && { body }) })).toBe(true);
      }
      expect((await run(arrived)).map(({ data }) => data)).toEqual([...Array(300).keys()]);
    });

    test('what is urgent overtakes what was queued before it', async () => {
      const { left, right, run } = await link();
      const arrived = nextFrames(right, 11);
      for (let i = 0; i < 10; i++) left.send({ kind: 'invite', data: i });
      left.send({ kind: 'bye', data: undefined, lane: 'priority' });
      expect((await run(arrived))[0]!.kind).toBe('bye');
    });

    test('a frame counts as unacknowledged until its handler has resolved', async () => {
      const { left, right, run } = await link();
      const gates = new Map<number, () => void>();
      const entered = event();
      right.onFrame(
        ({ data }) =>
          new Promise((resolve) => {
            gates.set(data as number, () => resolve(undefined));
            if (gates.size === 3) entered.happen();
          }),
      );
      for (const data of [1, 2, 3])
        left.send({ kind: 'n', data, ...(data === 2 && { lane: 'priority' as const }) });
      await run(entered.happened);
      expect(left.unacknowledged().map(({ data }) => data)).toEqual([1, 2, 3]);
      gates.get(2)!();
      await run(roundTrip(left, right));
      expect(left.unacknowledged().map(({ data }) => data)).toEqual([1, 3]);
      gates.get(1)!();
      gates.get(3)!();
      await run(roundTrip(left, right));
      expect(left.unacknowledged()).toEqual([]);
    });

    test('after a crash of the other end its unacknowledged frames can be said to the successor', async () => {
      const { left, right, run, crashLeft } = await link();
      left.onFrame(() => new Promise(() => {}));
      const closed = closing(right);
      for (let data = 0; data < 5; data++) right.send({ kind: 'n', data });
      const asked = right.request({ kind: 'ask', data: 1 }, 10_000);
      asked.catch(() => {});
      crashLeft();
      await run(closed);
      expect(right.open).toBe(false);
      expect(right.unacknowledged().map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
      await expect(asked).rejects.toMatchObject({ code: 'link_closed' });
      expect(right.send({ kind: 'n', data: 5 })).toBe(false);
      await expect(right.request({ kind: 'n', data: 5 }, 10)).rejects.toMatchObject({ code: 'link_closed' });
    });

    test('a request brings the reply, also out of order, with a body', async () => {
      const { left, right, run } = await link();
      const gate = event();
      right.onFrame(async ({ data }) => {
        if (data === 1) await gate.happened;
        return { kind: 'done', data: { got: data }, body: Uint8Array.of(data as number) };
      });
      const slow = left.request({ kind: 'ask', data: 1 }, 10_000);
      const quick = await run(left.request({ kind: 'ask', data: 2 }, 10_000));
      expect(quick).toMatchObject({ kind: 'done', data: { got: 2 } });
      expect([...quick.body!]).toEqual([2]);
      gate.happen();
      expect((await run(slow)).data).toEqual({ got: 1 });
      expect(left.unacknowledged()).toEqual([]);
    });

    test('a request may be answered with nothing', async () => {
      const { left, right, run } = await link();
      right.onFrame(() => undefined);
      expect((await run(left.request({ kind: 'ask', data: undefined }, 10_000))).data).toBeUndefined();
    });

    test("the peer's failure comes back with its code", async () => {
      const { left, right, run } = await link();
      const { TwinlineError } = await import('../../src/base/index.ts');
      right.onFrame(async ({ kind }) => {
        if (kind === 'known') throw new TwinlineError('fenced', 'another owner holds the bundle');
        throw new Error('boom');
      });
      await expect(run(left.request({ kind: 'known', data: 0 }, 10_000))).rejects.toMatchObject({
        code: 'fenced',
        message: 'another owner holds the bundle',
      });
      await expect(run(left.request({ kind: 'other', data: 0 }, 10_000))).rejects.toMatchObject({
        code: 'link_peer_failed',
      });
    });

    test('a handler that fails on a frame does not block the lane', async () => {
      const { left, right, run } = await link({ window: { frames: 4, bytes: 1 << 20 } });
      let seen = 0;
      right.onFrame(({ kind }) => {
        if (kind === 'poison') {
          seen++;
          throw new Error('cannot digest');
        }
        return undefined;
      });
      for (let round = 0; round < 10; round++) {
        expect(left.send({ kind: 'poison', data: round })).toBe(true);
        await run(left.request({ kind: 'ask', data: 0 }, 10_000));
      }
      expect(seen).toBe(10);
    });

    test('a request that nobody answers ends with link_timeout', async () => {
      const { left, right, run } = await link();
      right.onFrame(() => new Promise(() => {}));
      await expect(run(left.request({ kind: 'ask', data: 1 }, 20))).rejects.toMatchObject({
        code: 'link_timeout',
      });
      expect(left.open).toBe(true);
    });

    test('what comes after its deadline is dropped unhandled, and acknowledged', async () => {
      const { left, right, run, clock } = await link();
      const handled: unknown[] = [];
      right.onFrame(({ data }) => {
        handled.push(data);
        return undefined;
      });
      left.send({ kind: 'n', data: 'late', deadlineMs: clock.nowMs() - 1 });
      left.send({ kind: 'n', data: 'in time', deadlineMs: clock.nowMs() + 60_000 });
      await run(roundTripKeeping(left));
      expect(handled).toEqual(['in time', undefined]);
      await run(roundTripKeeping(left));
      expect(left.unacknowledged()).toEqual([]);
    });

    test('a full window refuses without queueing, a reserve is left for the urgent, room comes back', async () => {
      const { left, right, run } = await link({ window: { frames: 8, bytes: 1 << 20 } });
      const gate = event();
      right.onFrame(async ({ kind }) => {
        if (kind === 'wait') await gate.happened;
        return undefined;
      });
      for (let i = 0; i < 8; i++) expect(left.send({ kind: 'wait', data: i })).toBe(true);
      expect(left.send({ kind: 'wait', data: 8 })).toBe(false);
      expect(left.unacknowledged()).toHaveLength(8);
      await expect(left.request({ kind: 'wait', data: 8 }, 10_000)).rejects.toMatchObject({
        code: 'link_full',
      });
      const urgent = left.request({ kind: 'bye', data: 0, lane: 'priority' }, 10_000);
      await run(urgent);
      gate.happen();
      await run(left.request({ kind: 'bye', data: 0, lane: 'priority' }, 10_000));
      await run(left.request({ kind: 'bye', data: 0, lane: 'priority' }, 10_000));
      expect(left.send({ kind: 'n', data: 8 })).toBe(true);
    });

    test('the window counts bytes too', async () => {
      const { left, right } = await link({ window: { frames: 1000, bytes: 100_000 } });
      right.onFrame(() => new Promise(() => {}));
      let sent = 0;
      while (sent < 1000 && left.send({ kind: 'n', data: 0, body: new Uint8Array(10_000) })) sent++;
      expect(sent).toBe(10);
    });

    test('frames that came before the handler are kept for it', async () => {
      const { left, right, run } = await link();
      for (let data = 0; data < 5; data++) left.send({ kind: 'n', data });
      left.onFrame(() => undefined);
      await run(right.request({ kind: 'there?', data: 0 }, 10_000));
      const arrived = nextFrames(right, 5);
      expect((await run(arrived)).map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
    });

    test('closing says what was sent before, and why', async () => {
      const { left, right, run } = await link();
      const arrived = nextFrames(right, 100);
      const closed = closing(right);
      for (let data = 0; data < 100; data++) left.send({ kind: 'n', data, body: new Uint8Array(5000) });
      left.close('draining');
      expect(left.open).toBe(false);
      expect(await run(arrived)).toHaveLength(100);
      expect(await run(closed)).toBe('draining');
    });

    test('closing tells the own handler once', async () => {
      const { left } = await link();
      const reasons: string[] = [];
      left.onClose((reason) => reasons.push(reason));
      left.close('first');
      left.close('second');
      expect(reasons).toEqual(['first']);
    });

    test('a frame of a mebibyte is refused where it is sent', async () => {
      const { left, right, run } = await link();
      expect(() => left.send({ kind: 'n', data: 0, body: new Uint8Array(1 << 20) })).toThrow(/larger than/);
      expect(() => left.send({ kind: 'n', data: 1n })).toThrow(/no JSON/);
      right.onFrame(() => ({ kind: 'big', data: 'x'.repeat(1 << 20) }));
      await expect(run(left.request({ kind: 'ask', data: 0 }, 10_000))).rejects.toMatchObject({
        code: 'link_frame_unfit',
      });
      expect(left.open && right.open).toBe(true);
    });
  });
}

function nextFrames(channel: Channel, count: number): Promise<Frame[]> {
  const frames: Frame[] = [];
  return new Promise((resolve) => {
    channel.onFrame((frame) => {
      frames.push(frame);
      if (frames.length === count) resolve(frames);
      return undefined;
    });
  });
}

const closing = (channel: Channel): Promise<string> => new Promise((resolve) => channel.onClose(resolve));

function event(): { readonly happened: Promise<void>; happen(): void } {
  let happen = (): void => {};
  const happened = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return { happened, happen: () => happen() };
}

/** Two requests there and back: acknowledgements given before the second's answer have arrived by then. */
async function roundTrip(left: Channel, right: Channel): Promise<void> {
  left.onFrame(() => undefined);
  await right.request({ kind: 'round', data: 0 }, 10_000);
  await right.request({ kind: 'round', data: 0 }, 10_000);
}

const roundTripKeeping = (left: Channel): Promise<Frame> =>
  left.request({ kind: 'round', data: undefined }, 10_000);
