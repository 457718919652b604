import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { silentLogger, VirtualClock, type ZoneId } from '../../src/base/index.ts';
import { systemRandom } from '../../src/native/index.ts';
import { MemoryZones, openRedisState, type RedisState, type ZoneLeases } from '../../src/state/index.ts';
import { hasRedis, RedisServer } from '../support/redis.ts';

const [A, B] = ['a', 'b'] as [ZoneId, ZoneId];

/** What every engine must keep of the promises of `ZoneLeases`. */
function zonesContract(name: string, make: () => Promise<{ a: ZoneLeases; b: ZoneLeases }>): void {
  describe(`who may speak, in ${name}`, () => {
    test('each sees how far the other has counted', async () => {
      const { a, b } = await make();
      expect(await a.begin('a-1')).toBe('begun');
      expect(await a.renew('a-1', 1)).toEqual({ twin: undefined });
      expect(await b.begin('b-1')).toBe('begun');
      expect(await b.renew('b-1', 7)).toEqual({ twin: { holder: 'a-1', count: 1 } });
      expect(await a.renew('a-1', 2)).toEqual({ twin: { holder: 'b-1', count: 7 } });
    });

    test('a lease is taken only as it was seen, and only by a zone that was not taken', async () => {
      const { a, b } = await make();
      await a.begin('a-1');
      await b.begin('b-1');
      await a.renew('a-1', 1);
      await a.renew('a-1', 2);
      expect(await b.claim('b-1', { holder: 'a-1', count: 1 })).toBe('changed');
      expect(await b.claim('b-1', { holder: 'a-0', count: 2 })).toBe('changed');
      expect(await b.claim('b-0', { holder: 'a-1', count: 2 })).toBe('lost');
      expect(await b.claim('b-1', { holder: 'a-1', count: 2 })).toBe('claimed');
      expect(await b.claim('b-1', { holder: 'a-1', count: 2 })).toBe('claimed');
      expect(await a.renew('a-1', 3)).toBe('lost');
      expect(await a.claim('a-1', { holder: 'b-1', count: 0 })).toBe('lost');
      expect(await b.renew('b-1', 1)).toEqual({ twin: { holder: 'a-1', count: 2, takenBy: 'b-1' } });
    });

    test('a new life begins when the former was taken, or is known to be over', async () => {
      const { a, b } = await make();
      await a.begin('a-1');
      await a.renew('a-1', 5);
      await b.begin('b-1');
      expect(await a.begin('a-2')).toEqual({ holder: 'a-1', count: 5 });
      expect(await a.begin('a-2', { holder: 'a-1', count: 4 })).toEqual({ holder: 'a-1', count: 5 });
      expect(await a.begin('a-2', { holder: 'a-1', count: 5 })).toBe('begun');
      expect(await a.renew('a-1', 6)).toBe('lost');
      expect(await b.claim('b-1', { holder: 'a-2', count: 0 })).toBe('claimed');
      expect(await a.begin('a-3')).toBe('begun');
      expect(await b.renew('b-1', 1)).toEqual({ twin: { holder: 'a-3', count: 0 } });
    });

    test('a life that has ended for certain: its twin sees it, and it holds nothing any more', async () => {
      const { a, b } = await make();
      expect(await a.own()).toBeUndefined();
      await a.begin('a-1');
      await b.begin('b-1');
      await a.renew('a-1', 3);
      await a.ended('a-0');
      expect(await a.own()).toEqual({ holder: 'a-1', count: 3 });
      await a.ended('a-1');
      const over = { holder: 'a-1', count: 3, ended: true };
      expect(await a.own()).toEqual(over);
      expect(await b.renew('b-1', 1)).toEqual({ twin: over });
      expect(await a.renew('a-1', 4)).toBe('lost');
      expect(await a.claim('a-1', { holder: 'b-1', count: 1 })).toBe('lost');
      expect(await a.begin('a-2')).toMatchObject({ holder: 'a-1', count: 3 });
      expect(await b.claim('b-1', { holder: 'a-1', count: 3 })).toBe('claimed');
      expect(await a.begin('a-2')).toBe('begun');
      expect(await a.own()).toEqual({ holder: 'a-2', count: 0 });
    });

    test('a lease that was never there is not taken at once: who holds it may be about to put it back', async () => {
      const { b } = await make();
      await b.begin('b-1');
      expect(await b.claim('b-1', { holder: 'a-1', count: 3 })).toBe('changed');
      expect(await b.claim('b-1', { holder: 'a-1', count: 3 })).toBe('claimed');
    });
  });
}

zonesContract('memory', async () => {
  const zones = new MemoryZones();
  return { a: zones.open(A, B), b: zones.open(B, A) };
});

describe.skipIf(!hasRedis)('with a server', () => {
  let server: RedisServer | undefined;
  const opened: RedisState[] = [];
  afterEach(async () => {
    for (const state of opened.splice(0)) await state.close();
  });
  afterAll(() => server?.close());
  const open = async (zone: ZoneId, twin: ZoneId): Promise<ZoneLeases> => {
    const place = { server: { host: '127.0.0.1', port: server!.port } };
    const more = { clock: new VirtualClock(), random: systemRandom, log: silentLogger };
    const state = await openRedisState({ place, zone, twin, ...more });
    opened.push(state);
    return state.zones!;
  };
  zonesContract('Redis', async () => {
    server ??= await RedisServer.start();
    await server.ask('FLUSHALL');
    return { a: await open(A, B), b: await open(B, A) };
  });
});
