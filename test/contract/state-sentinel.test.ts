import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AccountId,
  type BundleId,
  type SwitchId,
  silentLogger,
  type ZoneId,
} from '../../src/base/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import { openRedisState, type RedisState } from '../../src/state/index.ts';
import { hasRedis, RedisGroup, restored, until } from '../support/redis.ts';

const A = 'a' as ZoneId;
const B = 'b' as ZoneId;
const demo = 'demo' as AccountId;
const NAME = 'twinline';
const bundleNamed = (at: number) => `bundle${String(at).padStart(4, '0')}` as BundleId;
const callIn = (bundle: BundleId, id = 'c') => ({
  account: demo,
  kind: 'call' as const,
  id: `${bundle}/${id}`,
});
const registration = (id: string) => ({ account: demo, kind: 'registration' as const, id });

describe.skipIf(!hasRedis)('a master, two replicas and three sentinels', () => {
  let group: RedisGroup;
  const ports: RedisState[] = [];
  const open = async (zone: ZoneId): Promise<RedisState> => {
    const state = await openRedisState({
      place: { sentinels: group.sentinelPorts.map((port) => ({ host: '127.0.0.1', port })), name: NAME },
      zone,
      twin: zone === A ? B : A,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    });
    ports.push(state);
    return state;
  };
  beforeAll(async () => {
    group = await RedisGroup.start(NAME);
  }, 60_000);
  afterAll(async () => {
    for (const port of ports) await port.close();
    await group?.close();
  });

  test('an unknown name of a master is said so', async () => {
    const place = {
      sentinels: group.sentinelPorts.map((port) => ({ host: '127.0.0.1', port })),
      name: 'another',
    };
    await expect(
      openRedisState({
        place,
        zone: A,
        twin: B,
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
        openWithinMs: 1000,
      }),
    ).rejects.toThrow(
      /^Redis "another" of the sentinels 127\.0\.0\.1:\d+, .* cannot be reached: start the sentinels and the master, or correct "sentinels" and "name"/,
    );
  });

  test.each(['killed', 'frozen'] as const)(
    'the master is %s while two zones grant and write: no epoch comes twice, what a replica acknowledged is there, the fenced stay fenced',
    async (how) => {
      const [a, b] = [await open(A), await open(B)];
      const old = await group.master(NAME);
      const bundles = Array.from({ length: 40 }, (_, at) => bundleNamed(how === 'killed' ? at : 100 + at));
      const granted = new Map<BundleId, number[]>();
      const note = (bundle: BundleId, epoch: number): void => {
        granted.set(bundle, [...(granted.get(bundle) ?? []), epoch]);
      };
      // Every bundle was a's and is b's: a is the fenced owner.
      const stale = new Map<BundleId, number>();
      for (const bundle of bundles) {
        const first = await a.grant(bundle, 'a1' as SwitchId, A);
        stale.set(bundle, first.epoch);
        note(bundle, first.epoch);
        note(bundle, (await b.grant(bundle, 'b1' as SwitchId, B)).epoch);
      }
      for (const bundle of bundles) {
        await b.commit([{ op: 'put', key: callIn(bundle), value: 'by b' }], {
          durability: 'volatile',
          fence: { bundle, epoch: granted.get(bundle)!.at(-1)! },
        });
      }
      await a.commit([{ op: 'put', key: registration(how), value: 1 }], { durability: 'durable' });
      await a.append(demo, how, 'before');

      const back = Promise.all([restored(a), restored(b)]);
      if (how === 'killed') await old.kill();
      else old.freeze();
      // Grants go on being asked for all through the fail-over.
      let over = false;
      let refused = 0;
      const granting = (async () => {
        for (let at = 0; !over; at++) {
          const bundle = bundles[at % bundles.length]!;
          const [state, zone, owner] = at % 2 === 0 ? ([a, A, 'a1'] as const) : ([b, B, 'b1'] as const);
          try {
            note(bundle, (await state.grant(bundle, owner as SwitchId, zone)).epoch);
          } catch {
            refused++;
            // Refused without waiting: asking again at once would keep the loop from hearing that somebody is there.
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }
      })();
      await back;
      // The sentinel that is asked may hear of the election a moment after the two who write.
      await expect.poll(async () => (await group.master(NAME)).port, { timeout: 20_000 }).not.toBe(old.port);
      over = true;
      await granting;
      expect(refused).toBeLessThan(1000);

      for (const [bundle, epochs] of granted) {
        const after = await a.grant(bundle, 'a1' as SwitchId, A);
        note(bundle, after.epoch);
        expect(Math.max(...epochs)).toBeLessThan(after.epoch);
        await expect(
          a.commit([{ op: 'put', key: callIn(bundle), value: 'stale' }], {
            durability: 'volatile',
            fence: { bundle, epoch: stale.get(bundle)! },
          }),
        ).rejects.toMatchObject({ code: 'fenced' });
        expect((await b.get(callIn(bundle)))?.value).toBe('by b');
      }
      for (const epochs of granted.values()) expect(new Set(epochs).size).toBe(epochs.length);
      expect((await b.get(registration(how)))?.value).toBe(1);
      expect((await b.read(demo, how, undefined, 10)).map(({ entry }) => entry)).toEqual(['before']);

      // The old master comes back as a replica, and nobody takes it for more.
      if (how === 'killed') await old.start();
      else old.thaw();
      await until(
        'the old master follows the new one',
        async () => (await old.ask('INFO', 'replication')).includes('role:slave'),
        30_000,
      );
      const late = await b.grant(bundles[0]!, 'b1' as SwitchId, B);
      expect(await a.lease(bundles[0]!)).toEqual(late);
    },
    90_000,
  );
});
