import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { AccountId, BundleId, SwitchId, VirtualClock, ZoneId } from '../../src/base/index.ts';
import type { StateKey, StateKind, StatePort, Write } from '../../src/state/index.ts';

/** One installation's state, seen by any number of processes, on virtual time. */
export interface StateUnderTest {
  readonly clock: VirtualClock;
  /** A port as a process of `zone` has it. */
  open(zone: ZoneId, twin: ZoneId): Promise<StatePort>;
  /** Sweeps everything of a zone once. */
  sweep(port: StatePort): Promise<void>;
  dispose(): Promise<void>;
}

const A = 'a' as ZoneId;
const B = 'b' as ZoneId;
const demo = 'demo' as AccountId;
const bundle = '0123456789' as BundleId;
const a1 = 'a1' as SwitchId;
const b1 = 'b1' as SwitchId;
const volatile = { durability: 'volatile' } as const;
const durable = { durability: 'durable' } as const;

const call = (id: string, account = demo): StateKey => ({ account, kind: 'call', id });
const registration = (id: string, account = demo): StateKey => ({ account, kind: 'registration', id });
const put = (key: StateKey, value: unknown, more: object = {}): Write => ({ op: 'put', key, value, ...more });

/** What every engine must keep of `StatePort`'s promises. */
export function stateContract(name: string, make: () => Promise<StateUnderTest>): void {
  describe(`state in ${name}`, () => {
    const made: StateUnderTest[] = [];
    const both = async (): Promise<{ state: StateUnderTest; a: StatePort; b: StatePort }> => {
      const state = await make();
      made.push(state);
      return { state, a: await state.open(A, B), b: await state.open(B, A) };
    };
    afterEach(async () => {
      for (const state of made.splice(0)) await state.dispose();
    });

    describe('values', () => {
      test('what was committed is found by both zones, with who wrote it and when', async () => {
        const { state, a, b } = await both();
        await a.commit([put(registration('1001'), { v: 1, contact: 'sip:1001@192.0.2.1' })], durable);
        const expected = {
          key: registration('1001'),
          value: { v: 1, contact: 'sip:1001@192.0.2.1' },
          zone: A,
          epoch: 0,
          updatedUtcMs: state.clock.utcMs(),
        };
        expect(await a.get(registration('1001'))).toEqual(expected);
        expect(await b.get(registration('1001'))).toEqual(expected);
        expect(await b.get(registration('1002'))).toBeUndefined();
      });

      test('a call and what opens it are written and deleted as one, and listed by their bundle', async () => {
        const { a, b } = await both();
        const bundle = 'bundle0001' as BundleId;
        const { epoch } = await a.grant(bundle, a1, A);
        const of = (kind: 'call' | 'call-key'): StateKey => ({ account: demo, kind, id: `${bundle}/one` });
        const writes = [put(of('call'), Buffer.from('sealed')), put(of('call-key'), Buffer.from('secret'))];
        await a.commit(writes, { ...volatile, fence: { bundle, epoch } });
        const [found] = await b.list<Uint8Array>(demo, 'call-key', `${bundle}/`);
        expect([found?.key.id, Buffer.from(found!.value).toString()]).toEqual([`${bundle}/one`, 'secret']);
        expect(await b.list(demo, 'call-key', 'bundle0002/')).toEqual([]);
        const gone = [of('call'), of('call-key')].map((key): Write => ({ op: 'delete', key }));
        await a.commit(gone, { ...volatile, fence: { bundle, epoch } });
        expect(await b.list(demo, 'call-key', `${bundle}/`)).toEqual([]);
      });

      test('another process of the same zone finds it too', async () => {
        const { state, a } = await both();
        const sibling = await state.open(A, B);
        await a.commit([put(call('c1'), { v: 1 })], volatile);
        expect((await sibling.get(call('c1')))?.value).toEqual({ v: 1 });
      });

      test('bytes are stored as bytes, and belong to who reads them', async () => {
        const { a, b } = await both();
        const sealed = Uint8Array.from({ length: 300 }, (_, at) => at & 0xff);
        await a.commit([put(call('c1'), sealed)], volatile);
        const read = (await b.get<Uint8Array>(call('c1')))?.value;
        expect(read).toBeInstanceOf(Uint8Array);
        expect([...read!]).toEqual([...sealed]);
        read!.fill(0);
        expect([...(await a.get<Uint8Array>(call('c1')))!.value]).toEqual([...sealed]);
        expect((await b.list<Uint8Array>(demo, 'call'))[0]?.value).toHaveLength(300);
      });

      test('a value changed after its commit was asked for is stored as it was', async () => {
        const { a } = await both();
        const value = { v: 1, legs: ['one'] };
        const done = a.commit([put(call('c1'), value)], volatile);
        value.legs.push('two');
        await done;
        expect((await a.get(call('c1')))?.value).toEqual({ v: 1, legs: ['one'] });
      });

      test('a list is merged from both zones in order of ids, of one account and kind alone', async () => {
        const { a, b } = await both();
        const other = 'demo2' as AccountId;
        await a.commit([put(registration('1001/x'), 'a'), put(registration('1003'), 'a')], durable);
        await b.commit([put(registration('1001/a'), 'b'), put(registration('1002'), 'b')], durable);
        await a.commit(
          [
            put(registration('1001/z', other), 'other'),
            put({ ...registration('1004'), kind: 'lockout' }, 'l'),
          ],
          durable,
        );
        const ids = async (prefix?: string) =>
          (await b.list(demo, 'registration', prefix)).map(({ key, zone }) => `${key.id} ${zone}`);
        expect(await ids()).toEqual(['1001/a b', '1001/x a', '1002 b', '1003 a']);
        expect(await ids('1001/')).toEqual(['1001/a b', '1001/x a']);
        expect(await ids('2')).toEqual([]);
      });

      test('ids and accounts may hold any characters', async () => {
        const { a, b } = await both();
        await fc.assert(
          fc.asyncProperty(
            fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
            fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
            fc.jsonValue(),
            async (account, id, value) => {
              const key = registration(id, account as AccountId);
              await a.commit([put(key, value)], { durability: 'volatile' });
              expect(await b.get(key)).toMatchObject({ key, value: JSON.parse(JSON.stringify(value)) });
              expect(
                (await b.list(account as AccountId, 'registration', id)).map((found) => found.key),
              ).toContainEqual(key);
              await a.commit([{ op: 'delete', key }], { durability: 'volatile' });
              expect(await b.get(key)).toBeUndefined();
            },
          ),
          { numRuns: 60 },
        );
        for (const id of [
          '/',
          '%',
          '%2f',
          '\u0000',
          '\u0000\u0000',
          '\u001f',
          '\ud800',
          'ü/%',
          '😀',
          '%ud800',
        ]) {
          await a.commit([put(registration(id), { id })], volatile);
        }
        const found = await b.list<{ id: string }>(demo, 'registration');
        expect(found).toHaveLength(10);
        for (const { key, value } of found) expect(value.id).toBe(key.id);
      });

      test('an account never sees what another stores under a likely name', async () => {
        const { a } = await both();
        await a.commit([put(registration('x', 'one/registration' as AccountId), 1)], volatile);
        expect(await a.list('one' as AccountId, 'registration')).toEqual([]);
      });

      test('a key beyond the limit and a value that is no JSON are refused with their codes', async () => {
        const { a } = await both();
        await expect(a.commit([put(call('x'.repeat(2000)), 1)], volatile)).rejects.toMatchObject({
          code: 'state_key_too_long',
        });
        await expect(a.commit([put(call('c'), 1n)], volatile)).rejects.toMatchObject({
          code: 'state_value_unfit',
        });
        await expect(a.commit([put(call('c'), undefined)], volatile)).rejects.toMatchObject({
          code: 'state_value_unfit',
        });
      });

      test('calls cannot be committed together with durable kinds', async () => {
        const { a } = await both();
        const mixed = [put(call('c'), 1), put(registration('r'), 1)];
        await expect(a.commit(mixed, volatile)).rejects.toMatchObject({ code: 'state_mixed_commit' });
        await expect(a.commit([put(call('c'), 1)], durable)).rejects.toMatchObject({
          code: 'state_mixed_commit',
        });
        expect(await a.get(call('c'))).toBeUndefined();
      });

      test('a large value comes back whole', async () => {
        const { a, b } = await both();
        const value = { text: 'ü'.repeat(300_000) };
        await a.commit([put(call('big'), value)], volatile);
        expect((await b.get(call('big')))?.value).toEqual(value);
      });

      test('many at once: a list of thousands', async () => {
        const { a, b } = await both();
        for (let from = 0; from < 2500; from += 500) {
          await a.commit(
            Array.from({ length: 500 }, (_, i) => put(registration(String(10_000 + from + i)), from + i)),
            volatile,
          );
        }
        const list = await b.list<number>(demo, 'registration');
        expect(list.map(({ value }) => value)).toEqual([...Array(2500).keys()]);
      });
    });

    describe('two versions of one value', () => {
      test.each<[StateKind, string]>([
        ['registration', 'later'],
        ['directory', 'later'],
      ])('of a %s the %s counts, whichever zone wrote it', async (kind) => {
        const { state, a, b } = await both();
        const key = { account: demo, kind, id: 'x' };
        await a.commit([put(key, 'first')], durable);
        state.clock.advance(10);
        await b.commit([put(key, 'second')], durable);
        for (const port of [a, b]) expect((await port.get(key))?.value).toBe('second');
        state.clock.advance(10);
        await a.commit([put(key, 'third')], durable);
        for (const port of [a, b]) expect((await port.get(key))?.value).toBe('third');
        for (const port of [a, b]) expect(await port.list(demo, kind)).toHaveLength(1);
      });

      test('written in the same millisecond: the later write counts all the same', async () => {
        const { a, b } = await both();
        await a.commit([put(registration('x'), 1)], durable);
        await b.commit([put(registration('x'), 2)], durable);
        await a.commit([put(registration('x'), 3)], durable);
        for (const port of [a, b]) expect((await port.get(registration('x')))?.value).toBe(3);
      });

      test('given times decide, and when they are equal both zones see the same', async () => {
        const { a, b } = await both();
        await a.commit([put(registration('x'), 'a', { updatedUtcMs: 2000 })], durable);
        await b.commit([put(registration('x'), 'b', { updatedUtcMs: 1000 })], durable);
        for (const port of [a, b])
          expect(await port.get(registration('x'))).toMatchObject({ value: 'a', updatedUtcMs: 2000 });
        await b.commit([put(registration('x'), 'b', { updatedUtcMs: 2000 })], durable);
        expect(await a.get(registration('x'))).toEqual(await b.get(registration('x')));
      });

      test('of a call the higher epoch counts, though it be older', async () => {
        const { a, b } = await both();
        const low = await a.grant(bundle, a1, A);
        await a.commit([put(call('c'), 'a', { updatedUtcMs: 2000 })], { ...volatile, fence: low });
        const high = await b.grant(bundle, b1, B);
        await b.commit([put(call('c'), 'b', { updatedUtcMs: 1000 })], { ...volatile, fence: high });
        for (const port of [a, b]) {
          expect(await port.get(call('c'))).toMatchObject({ value: 'b', epoch: high.epoch, zone: B });
        }
      });
    });

    describe('deletion and expiry', () => {
      test('a deleted value is gone for both zones, and may be written anew', async () => {
        const { state, a, b } = await both();
        await a.commit([put(registration('x'), 1)], durable);
        state.clock.advance(5);
        await b.commit([{ op: 'delete', key: registration('x') }], durable);
        for (const port of [a, b]) {
          expect(await port.get(registration('x'))).toBeUndefined();
          expect(await port.list(demo, 'registration')).toEqual([]);
        }
        state.clock.advance(5);
        await a.commit([put(registration('x'), 2)], durable);
        for (const port of [a, b]) expect((await port.get(registration('x')))?.value).toBe(2);
      });

      test("an adopter's deletion hides the call that the dead zone left behind", async () => {
        const { state, a, b } = await both();
        await a.commit([put(call('c'), 'a')], { ...volatile, fence: await a.grant(bundle, a1, A) });
        const adopted = await b.grant(bundle, b1, B);
        await b.commit([{ op: 'delete', key: call('c') }], { ...volatile, fence: adopted });
        expect(await b.list(demo, 'call')).toEqual([]);
        state.clock.advance(3600_000);
        await state.sweep(b);
        await state.sweep(b);
        for (const port of [a, b]) expect(await port.get(call('c'))).toBeUndefined();
        await state.sweep(a);
        await state.sweep(b);
        for (const port of [a, b]) expect(await port.get(call('c'))).toBeUndefined();
      });

      test('what expires is invisible from that millisecond on', async () => {
        const { state, a, b } = await both();
        const expiresUtcMs = state.clock.utcMs() + 60_000;
        await a.commit([put(registration('x'), 1, { expiresUtcMs })], durable);
        state.clock.advance(59_999);
        expect(await b.list(demo, 'registration')).toHaveLength(1);
        state.clock.advance(1);
        for (const port of [a, b]) {
          expect(await port.get(registration('x'))).toBeUndefined();
          expect(await port.list(demo, 'registration')).toEqual([]);
        }
      });

      test('an expired refresh does not let the older registration come back', async () => {
        const { state, a, b } = await both();
        const now = state.clock.utcMs();
        await a.commit([put(registration('x'), 'long', { expiresUtcMs: now + 3600_000 })], durable);
        state.clock.advance(10);
        await b.commit([put(registration('x'), 'short', { expiresUtcMs: now + 1000 })], durable);
        state.clock.advance(2000);
        await state.sweep(b);
        for (const port of [a, b]) expect(await port.get(registration('x'))).toBeUndefined();
      });

      test('sweeping takes nothing that is alive', async () => {
        const { state, a, b } = await both();
        const expiresUtcMs = state.clock.utcMs() + 10 * 60_000;
        await a.commit(
          [put(registration('alive'), 1, { expiresUtcMs }), put(registration('for ever'), 1)],
          durable,
        );
        await a.commit([put(registration('dies'), 1, { expiresUtcMs: state.clock.utcMs() + 1 })], durable);
        state.clock.advance(9 * 60_000);
        await state.sweep(a);
        await state.sweep(b);
        expect((await b.list(demo, 'registration')).map(({ key }) => key.id)).toEqual(['alive', 'for ever']);
      });
    });

    describe('leases', () => {
      test('each grant is above every epoch seen, in either zone and by anyone', async () => {
        const { a, b } = await both();
        const first = await a.grant(bundle, a1, A);
        expect(first).toMatchObject({ bundle, owner: a1, zone: A });
        expect(first.epoch).toBeGreaterThan(0);
        const second = await b.grant(bundle, b1, B);
        expect(second.epoch).toBeGreaterThan(first.epoch);
        const third = await a.grant(bundle, a1, A, 1000);
        expect(third.epoch).toBeGreaterThan(1000);
        for (const port of [a, b]) expect(await port.lease(bundle)).toEqual(third);
      });

      test('two zones that grant at the same moment give different epochs', async () => {
        const { a, b } = await both();
        for (let round = 0; round < 10; round++) {
          const [one, other] = await Promise.all([a.grant(bundle, a1, A), b.grant(bundle, b1, B)]);
          expect(one.epoch).not.toBe(other.epoch);
          const winner = one.epoch > other.epoch ? one : other;
          for (const port of [a, b]) expect(await port.lease(bundle)).toEqual(winner);
        }
      });

      test('two processes of one zone that grant at once give different epochs', async () => {
        const { state, a } = await both();
        const sibling = await state.open(A, B);
        const leases = await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            (i % 2 === 0 ? a : sibling).grant(bundle, `s${i}` as SwitchId, A),
          ),
        );
        expect(new Set(leases.map(({ epoch }) => epoch)).size).toBe(20);
      });

      test('a zone does not grant for the other', async () => {
        const { a } = await both();
        await expect(a.grant(bundle, b1, B)).rejects.toMatchObject({ code: 'state_wrong_zone' });
      });

      test('leases are listed from both zones', async () => {
        const { a, b } = await both();
        const one = await a.grant('aaaaaaaaaa' as BundleId, a1, A);
        const two = await b.grant('bbbbbbbbbb' as BundleId, b1, B);
        expect(await a.leases()).toEqual([one, two]);
        expect(await b.leases()).toEqual([one, two]);
        expect(await b.lease('cccccccccc' as BundleId)).toBeUndefined();
      });

      test('a commit under the present epoch passes and carries it', async () => {
        const { a, b } = await both();
        const lease = await a.grant(bundle, a1, A);
        await a.commit([put(call('c'), 1)], { ...volatile, fence: lease });
        expect((await b.get(call('c')))?.epoch).toBe(lease.epoch);
      });

      test('a former owner in the same zone is fenced, and writes nothing at all', async () => {
        const { state, a } = await both();
        const stale = await a.grant(bundle, a1, A);
        const sibling = await state.open(A, B);
        await sibling.grant(bundle, 'a2' as SwitchId, A);
        for (const [key, how] of [
          [call('c1'), volatile],
          [registration('r1'), durable],
        ] as const) {
          const late = a.commit([put(key, 1), put({ ...key, id: 'second' }, 1)], { ...how, fence: stale });
          await expect(late).rejects.toMatchObject({ code: 'fenced' });
          expect(await a.list(demo, key.kind)).toEqual([]);
        }
      });

      test('a commit under an epoch that was never given is fenced', async () => {
        const { a } = await both();
        await expect(
          a.commit([put(call('c'), 1)], { ...volatile, fence: { bundle, epoch: 7 } }),
        ).rejects.toMatchObject({
          code: 'fenced',
        });
      });

      test('a former owner is fenced by a grant in the twin zone', async () => {
        const { a, b } = await both();
        const stale = await a.grant(bundle, a1, A);
        await b.grant(bundle, b1, B);
        const late = a.commit([put(call('c'), 1)], { ...volatile, fence: stale });
        await expect(late).rejects.toMatchObject({ code: 'fenced' });
      });

      test('durable writes obey the fence too', async () => {
        const { a } = await both();
        const lease = await a.grant(bundle, a1, A);
        await a.commit([put(registration('r'), 1)], { ...durable, fence: lease });
        expect((await a.get(registration('r')))?.epoch).toBe(lease.epoch);
      });

      test('a released bundle has no lease, its epochs stay used, its owner is fenced', async () => {
        const { a, b } = await both();
        const lease = await a.grant(bundle, a1, A);
        await a.release(lease);
        for (const port of [a, b]) {
          expect(await port.lease(bundle)).toBeUndefined();
          expect(await port.leases()).toEqual([]);
        }
        await expect(a.commit([put(call('c'), 1)], { ...volatile, fence: lease })).rejects.toMatchObject({
          code: 'fenced',
        });
        await expect(a.release(lease)).rejects.toMatchObject({ code: 'fenced' });
        expect((await b.grant(bundle, b1, B)).epoch).toBeGreaterThan(lease.epoch);
      });

      test('who no longer holds a bundle cannot release it', async () => {
        const { a, b } = await both();
        const lease = await a.grant(bundle, a1, A);
        const adopted = await b.grant(bundle, b1, B);
        await expect(a.release(lease)).rejects.toMatchObject({ code: 'fenced' });
        expect(await a.lease(bundle)).toEqual(adopted);
      });
    });

    describe('logs', () => {
      const entriesOf = (page: { entry: unknown }[]): unknown[] => page.map(({ entry }) => entry);

      test('entries come back in the order of their times, from both zones', async () => {
        const { state, a, b } = await both();
        for (let i = 0; i < 6; i++) {
          await (i % 2 === 0 ? a : b).append(demo, 'records', { i });
          state.clock.advance(1);
        }
        for (const port of [a, b]) {
          expect(entriesOf(await port.read(demo, 'records', undefined, 100))).toEqual(
            [0, 1, 2, 3, 4, 5].map((i) => ({ i })),
          );
        }
        expect(await a.read(demo, 'queue', undefined, 100)).toEqual([]);
        expect(await a.read('demo2' as AccountId, 'records', undefined, 100)).toEqual([]);
      });

      test('reading goes on behind a position, page by page', async () => {
        const { state, a, b } = await both();
        for (let i = 0; i < 25; i++) {
          await (i % 3 === 0 ? a : b).append(demo, 'records', i);
          state.clock.advance(1);
        }
        const seen: unknown[] = [];
        let after: string | undefined;
        for (;;) {
          const page = await a.read(demo, 'records', after, 4);
          if (page.length === 0) break;
          seen.push(...entriesOf(page));
          after = page.at(-1)!.position;
        }
        expect(seen).toEqual([...Array(25).keys()]);
        await b.append(demo, 'records', 'more');
        expect(entriesOf(await a.read(demo, 'records', after, 4))).toEqual(['more']);
      });

      test('an entry of the twin that appears late is not skipped, though its time lies before the position', async () => {
        const { state, a, b } = await both();
        await a.append(demo, 'records', 'a1');
        state.clock.advance(100);
        await a.append(demo, 'records', 'a2');
        const after = (await a.read(demo, 'records', undefined, 10)).at(-1)!.position;
        state.clock.advance(-50);
        await b.append(demo, 'records', 'late');
        expect(entriesOf(await a.read(demo, 'records', after, 10))).toEqual(['late']);
      });

      test('an append resolves with a position from which reading goes on in its zone', async () => {
        const { a } = await both();
        const first = await a.append(demo, 'records', 1);
        await a.append(demo, 'records', 2);
        expect(entriesOf(await a.read(demo, 'records', first, 10))).toEqual([2]);
      });

      test('several processes of a zone append at once: none is lost, each keeps its order', async () => {
        const { state, a, b } = await both();
        const sibling = await state.open(A, B);
        await Promise.all(
          [a, sibling, b].flatMap((port, who) =>
            Array.from({ length: 50 }, (_, i) => port.append(demo, 'records', { who, i })),
          ),
        );
        const entries = entriesOf(await b.read(demo, 'records', undefined, 1000)) as {
          who: number;
          i: number;
        }[];
        expect(entries).toHaveLength(150);
        for (const who of [0, 1, 2]) {
          expect(entries.filter((entry) => entry.who === who).map(({ i }) => i)).toEqual([
            ...Array(50).keys(),
          ]);
        }
      });
    });
  });
}
