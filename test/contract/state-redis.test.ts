import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type AccountId,
  type BundleId,
  type SwitchId,
  silentLogger,
  VirtualClock,
  type ZoneId,
} from '../../src/base/index.ts';
import { systemRandom } from '../../src/native/index.ts';
import {
  openRedisReader,
  openRedisState,
  type RedisCredentials,
  type RedisState,
  type Write,
} from '../../src/state/index.ts';
import { hasRedis, RedisServer, restored } from '../support/redis.ts';

const A = 'a' as ZoneId;
const B = 'b' as ZoneId;
const demo = 'demo' as AccountId;
const bundle = '0123456789' as BundleId;
const a1 = 'a1' as SwitchId;
const volatile = { durability: 'volatile' } as const;
const durable = { durability: 'durable' } as const;
const call = (id: string) => ({ account: demo, kind: 'call' as const, id: `${bundle}/${id}` });
const registration = (id: string) => ({ account: demo, kind: 'registration' as const, id });
const put = (key: Write['key'], value: unknown): Write => ({ op: 'put', key, value });

const clock = new VirtualClock();
const closing: { close(): Promise<unknown> | unknown }[] = [];

async function open(port: number, zone = A, credentials?: RedisCredentials): Promise<RedisState> {
  const place = { server: { host: '127.0.0.1', port } };
  const state = await openRedisState({
    place,
    zone,
    twin: zone === A ? B : A,
    clock,
    random: systemRandom,
    log: silentLogger,
    openWithinMs: 2000,
    ...(credentials && { credentials }),
  });
  closing.push(state);
  return state;
}

afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close();
});

describe('opening', () => {
  const failureOf = (port: number, credentials?: RedisCredentials): Promise<string> =>
    open(port, A, credentials).then(
      () => 'opened',
      (error: Error & { code: string }) => `${error.code}: ${error.message}`,
    );

  const listening = async (onConnection: (write: (text: string) => void) => void): Promise<number> => {
    const server: Server = createServer((socket) => {
      socket.on('error', () => {});
      onConnection((text) => socket.write(text));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push({ close: () => server.close() });
    return (server.address() as { port: number }).port;
  };

  test('nobody there: where, and what to do', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    expect(await failureOf(port)).toBe(
      `state_unusable: Redis at 127.0.0.1:${port} cannot be reached: start it, or correct "state" in the topology`,
    );
  });

  test('something else listens there', async () => {
    const port = await listening((write) => write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await failureOf(port)).toBe(
      `state_unusable: Redis at 127.0.0.1:${port} is no Redis: something else listens there; correct "state" in the topology`,
    );
  });

  test('what takes connections and says nothing', async () => {
    const port = await listening(() => {});
    expect(await failureOf(port)).toMatch(
      new RegExp(`^state_unusable: Redis at 127.0.0.1:${port} does not answer: is it frozen, or no Redis\\?`),
    );
  });

  test.skipIf(!hasRedis)('a password is needed, is wrong, is right', async () => {
    const server = await RedisServer.start('--requirepass', 'right', '--masterauth', 'right');
    closing.push(server);
    const refused = `state_unusable: Redis at 127.0.0.1:${server.port} refuses our user or password: correct "username", "password-file" or "password-env" of "state"`;
    expect(await failureOf(server.port)).toBe(refused);
    expect(await failureOf(server.port, { password: 'wrong' })).toBe(refused);
    expect(await failureOf(server.port, { password: 'right' })).toBe('opened');
  });

  test.skipIf(!hasRedis)('a replica: the master is named', async () => {
    const master = await RedisServer.start();
    closing.push(master);
    const replica = await RedisServer.start('--replicaof', '127.0.0.1', String(master.port));
    closing.push(replica);
    expect(await failureOf(replica.port)).toBe(
      `state_unusable: Redis at 127.0.0.1:${replica.port} is a replica of 127.0.0.1:${master.port}: name the master, or the sentinels`,
    );
  });
});

describe.skipIf(!hasRedis)('a server that fails', () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => server?.close());
  afterAll(() => server?.close());

  test('gone: calls are refused at once, what is read waits; back: all goes on, and listeners hear of it', async () => {
    const state = await open(server.port);
    const lease = await state.grant(bundle, a1, A);
    await state.commit([put(call('c'), 1)], { ...volatile, fence: lease });
    const back = restored(state);
    await server.kill();
    await expect(state.commit([put(call('c'), 2)], { ...volatile, fence: lease })).rejects.toMatchObject({
      code: 'state_away',
    });
    const reading = state.lease(bundle);
    await server.start();
    await back;
    expect(await reading).toEqual(lease);
    await state.commit([put(call('c'), 3)], { ...volatile, fence: lease });
    expect((await state.get(call('c')))?.value).toBe(3);
  });

  test('gone for long: what waits is refused after its time, with where and why', async () => {
    const state = await open(server.port);
    await server.kill();
    const waiting = Array.from({ length: 1200 }, () =>
      state.get(call('c')).then(
        () => 'read',
        (error: Error & { code: string }) => error.code,
      ),
    );
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['state_away']));
    await expect(state.grant(bundle, a1, A)).rejects.toThrow(
      new RegExp(`^Redis at 127.0.0.1:${server.port} cannot be reached`),
    );
  });

  test('lost everything: leases, registrations and log entries of the last seconds are said again, the owner is not fenced', async () => {
    await server.ask('CONFIG', 'SET', 'appendonly', 'no');
    const [a, b] = [await open(server.port, A), await open(server.port, B)];
    const before = await a.grant(bundle, a1, A);
    const lease = await b.grant(bundle, 'b1' as SwitchId, B);
    await b.commit([put(call('c'), 1)], { ...volatile, fence: lease });
    await a.commit([put(registration('1001'), 'here')], durable);
    await a.commit([put(registration('1002'), 'here')], durable);
    await b.commit([{ op: 'delete', key: registration('1002') }], durable);
    await a.append(demo, 'records', 'one');
    await b.append(demo, 'records', 'two');
    const back = Promise.all([restored(a), restored(b)]);
    await server.kill();
    await server.start();
    await back;
    expect(await server.ask('DBSIZE')).not.toMatch(/^:0/);
    await b.commit([put(call('c'), 2)], { ...volatile, fence: lease });
    await expect(a.commit([put(call('c'), 9)], { ...volatile, fence: before })).rejects.toMatchObject({
      code: 'fenced',
    });
    expect(await a.get(call('c'))).toMatchObject({ value: 2, epoch: lease.epoch });
    expect(await a.leases()).toEqual([lease]);
    expect((await b.list(demo, 'registration')).map(({ key }) => key.id)).toEqual(['1001']);
    expect((await a.read(demo, 'records', undefined, 10)).map(({ entry }) => entry).sort()).toEqual([
      'one',
      'two',
    ]);
  });

  test('lost nothing: saying it again changes nothing', async () => {
    const [a, b] = [await open(server.port, A), await open(server.port, A)];
    await a.commit([put(registration('1001'), 'first')], durable);
    await b.commit([put(registration('1001'), 'second')], durable);
    await a.append(demo, 'records', 'one');
    const back = Promise.all([restored(a), restored(b)]);
    await server.kill('SIGTERM');
    await server.start();
    await back;
    await a.append(demo, 'records', 'two');
    await b.append(demo, 'records', 'three');
    expect((await a.get(registration('1001')))?.value).toBe('second');
    expect((await a.read(demo, 'records', undefined, 10)).map(({ entry }) => entry)).toEqual([
      'one',
      'two',
      'three',
    ]);
  });

  test('emptied behind our back: the owner puts its lease back by itself', async () => {
    const state = await open(server.port);
    const lease = await state.grant(bundle, a1, A);
    await server.ask('FLUSHALL');
    await state.commit([put(call('c'), 1)], { ...volatile, fence: lease });
    expect(await state.lease(bundle)).toEqual(lease);
    await server.ask('FLUSHALL');
    await state.release(lease);
    expect(await state.leases()).toEqual([]);
    await expect(state.commit([put(call('c'), 1)], { ...volatile, fence: lease })).rejects.toMatchObject({
      code: 'fenced',
    });
  });

  test('a grant after everything was lost is above the one that nobody remembers', async () => {
    const forgetful = await open(server.port);
    const lost = await forgetful.grant(bundle, a1, A);
    await forgetful.close();
    await server.ask('FLUSHALL');
    const other = await open(server.port, B);
    const seenByAnEdge = lost.epoch;
    const after = await other.grant(bundle, 'b1' as SwitchId, B, seenByAnEdge);
    expect(after.epoch).toBeGreaterThan(lost.epoch);
  });

  test('its clock goes back: epochs go on from what is stored, the owner writes on', async () => {
    const state = await open(server.port);
    const first = await state.grant(bundle, a1, A);
    // As if it had been granted a day from now.
    const future = first.epoch + 86_400 * 2 ** 20;
    await server.ask('HSET', `{${bundle}}1//lease/${bundle}`, 'e', String(future));
    const owner = await open(server.port);
    await owner.commit([put(call('c'), 1)], { ...volatile, fence: { bundle, epoch: future } });
    await expect(state.commit([put(call('c'), 2)], { ...volatile, fence: first })).rejects.toMatchObject({
      code: 'fenced',
    });
    const next = await state.grant(bundle, a1, A);
    expect(next.epoch).toBeGreaterThan(future);
    expect(Number.isSafeInteger(next.epoch)).toBe(true);
  });

  test('frozen: a commit is refused within two seconds, and written when it thaws and it is tried again', async () => {
    const state = await open(server.port);
    const lease = await state.grant(bundle, a1, A);
    server.freeze();
    const startMs = performance.now();
    await expect(state.commit([put(call('c'), 1)], { ...volatile, fence: lease })).rejects.toMatchObject({
      code: 'state_timeout',
    });
    expect(performance.now() - startMs).toBeLessThan(2500);
    const back = restored(state);
    server.thaw();
    await back;
    await state.commit([put(call('c'), 2)], { ...volatile, fence: lease });
    expect((await state.get(call('c')))?.value).toBe(2);
  });

  test('a write that comes late, behind a newer one of its writer, is not taken', async () => {
    const { REDIS_SCRIPTS } = await import('../../src/state/redis-scripts.ts');
    const { Redis } = await import('ioredis');
    const raw = new Redis({ host: '127.0.0.1', port: server.port });
    closing.push({ close: () => raw.disconnect() });
    const state = await open(server.port);
    const key = `{${bundle}}1/demo/call/${bundle}/c`;
    await state.commit([put(call('c'), 'first')], volatile);
    const late = (await raw.getBuffer(key))!;
    await state.commit([put(call('c'), 'second')], volatile);
    const sent = ['', 'v', '', late, 'g', '', 'c'];
    await raw.evalsha(REDIS_SCRIPTS.commit.sha, 2, key, `{${bundle}}1/demo/call`, ...sent);
    expect((await state.get(call('c')))?.value).toBe('second');
    await state.commit([{ op: 'delete', key: call('c') }], volatile);
    await raw.evalsha(REDIS_SCRIPTS.commit.sha, 2, key, `{${bundle}}1/demo/call`, ...sent);
    expect(await state.get(call('c'))).toBeUndefined();
    expect(await state.list(demo, 'call', `${bundle}/`)).toEqual([]);
  });

  test('no memory left: refused with a code, reading goes on, and so does writing when there is room', async () => {
    const state = await open(server.port);
    await state.commit([put(registration('1001'), 1)], durable);
    await server.ask('CONFIG', 'SET', 'maxmemory', '1000');
    for (const write of [
      () => state.commit([put(registration('1002'), 1)], durable),
      () => state.append(demo, 'records', 1),
      () => state.grant(bundle, a1, A),
    ]) {
      await expect(write()).rejects.toMatchObject({
        code: 'state_full',
        message: `Redis at 127.0.0.1:${server.port} has no memory left for the state: raise its maxmemory`,
      });
    }
    expect((await state.get(registration('1001')))?.value).toBe(1);
    await server.ask('CONFIG', 'SET', 'maxmemory', '0');
    await state.commit([put(registration('1002'), 1)], durable);
  });

  test('it forgets its scripts: they are told anew', async () => {
    const state = await open(server.port);
    await server.ask('SCRIPT', 'FLUSH');
    await Promise.all([
      state.commit([put(registration('1'), 1)], durable),
      state.commit([put(registration('2'), 1)], durable),
    ]);
    expect(await state.list(demo, 'registration')).toHaveLength(2);
  });

  test('it becomes a replica: refused with a code, and tried anew until it takes writes', async () => {
    const other = await RedisServer.start();
    closing.push(other);
    const state = await open(server.port);
    await server.ask('REPLICAOF', '127.0.0.1', String(other.port));
    await expect(state.commit([put(registration('1'), 1)], durable)).rejects.toMatchObject({
      code: 'state_read_only',
    });
    const back = restored(state);
    await server.ask('REPLICAOF', 'NO', 'ONE');
    await back;
    await state.commit([put(registration('1'), 1)], durable);
  });

  test('what another program or release wrote under our keys: an error for it alone, never for its neighbours', async () => {
    const state = await open(server.port);
    await state.commit([put(registration('1001'), 'ours'), put(registration('1002'), 'ours')], durable);
    await server.ask('SET', '{demo}1/demo/registration/1002', 'no record of ours');
    await expect(state.get(registration('1002'))).rejects.toMatchObject({ code: 'state_unreadable' });
    await server.ask('DEL', '{demo}1/demo/registration/1002');
    await server.ask('LPUSH', '{demo}1/demo/registration/1002', 'another type');
    await expect(state.get(registration('1002'))).rejects.toMatchObject({ code: 'state_unreadable' });
    await expect(state.commit([put(registration('1002'), 1)], durable)).rejects.toMatchObject({
      code: 'state_unreadable',
    });
    expect((await state.list(demo, 'registration')).map(({ key }) => key.id)).toEqual(['1001']);
    // Of another schema: as if it were not there.
    await server.ask('SET', '{demo}2/demo/registration/1003', 'from the future');
    expect(await state.list(demo, 'registration')).toHaveLength(1);
  });

  test('a lease that cannot be read does not fence its owner: it goes on', async () => {
    const state = await open(server.port);
    const lease = await state.grant(bundle, a1, A);
    await server.ask('SET', `{${bundle}}1//lease/${bundle}`, 'garbage');
    await expect(state.commit([put(call('c'), 1)], { ...volatile, fence: lease })).rejects.toMatchObject({
      code: 'state_unreadable',
    });
  });

  test('an entry of a log that was lost: its position reads what came instead, rather than skip it', async () => {
    const state = await open(server.port);
    await state.append(demo, 'records', 'one');
    for (let time = 0; time < 8; time++) {
      const gone = await state.append(demo, 'records', 'gone');
      await server.ask('XDEL', '{demo}head/1/demo/records', gone);
    }
    const lost = await state.append(demo, 'records', 'two');
    await server.ask('XDEL', '{demo}head/1/demo/records', lost);
    await state.append(demo, 'records', 'three');
    const entries = (await state.read(demo, 'records', lost, 10)).map(({ entry }) => entry);
    expect(entries).toEqual(['one', 'three']);
    for (const position of ['', 'nonsense', '99-1', 'a.k3jd:17', '1', '1-2-3'])
      expect(await state.read(demo, 'records', position, 10)).toHaveLength(2);
  });

  test('a log entry that is no JSON is passed over, though it fill a page of its own', async () => {
    const state = await open(server.port);
    await server.ask('XADD', '{demo}head/1/demo/records', '1-5', 'e', '{broken');
    await state.append(demo, 'records', 'whole');
    expect((await state.read(demo, 'records', undefined, 1)).map(({ entry }) => entry)).toEqual(['whole']);
  });

  test('what expires leaves the server too, and the index after it', async () => {
    const state = await open(server.port);
    const expiresUtcMs = clock.utcMs() + 60_000;
    await state.commit([{ op: 'put', key: registration('1001'), value: 1, expiresUtcMs }], durable);
    const ttl = Number((await server.ask('PTTL', '{demo}1/demo/registration/1001')).slice(1).split('\r')[0]);
    expect(ttl).toBeGreaterThan(60_000);
    expect(ttl).toBeLessThanOrEqual(120_000);
    await server.ask('DEL', '{demo}1/demo/registration/1001');
    expect(await state.list(demo, 'registration')).toEqual([]);
    expect(await server.ask('ZCARD', '{demo}1/demo/registration')).toMatch(/^:0/);
  });

  test("a reader sees what is written and needs nobody's leave", async () => {
    const state = await open(server.port);
    const place = { server: { host: '127.0.0.1', port: server.port } };
    const reader = await openRedisReader({
      place,
      zone: A,
      twin: B,
      clock,
      random: systemRandom,
      log: silentLogger,
    });
    closing.push(reader);
    const key = { account: demo, kind: 'call-index' as const, id: 'call-id@host tag{1}' };
    await state.commit([put(key, bundle)], volatile);
    expect((await reader.get(key))?.value).toBe(bundle);
    expect(await reader.list(demo, 'call-index')).toHaveLength(1);
    expect(await reader.list(demo, 'call-index', 'other')).toEqual([]);
  });

  test('a change of the directory is told at once, in its account alone; and again after a reconnection', async () => {
    const [writer, listener] = [await open(server.port), await open(server.port, B)];
    const told = { demo: 0, other: 0 };
    const waiting: (() => void)[] = [];
    const next = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
    const connected = next();
    const stop = listener.onChanged(demo, 'directory', () => {
      told.demo++;
      for (const resolve of waiting.splice(0)) resolve();
    });
    listener.onChanged('other, one' as AccountId, 'directory', () => told.other++);
    await connected;
    await listener.commit(
      [put({ account: 'other, one' as AccountId, kind: 'directory', id: '0' }, 1)],
      durable,
    );
    const before = { ...told };
    const changed = next();
    await writer.commit([put(registration('1001'), 1)], durable);
    await writer.commit([put({ account: demo, kind: 'directory', id: '1' }, 1)], durable);
    await changed;
    expect(told.demo).toBe(before.demo + 1);
    const back = next();
    await server.kill();
    await server.start();
    await back;
    stop();
    const last = told.demo;
    await writer.commit([put({ account: demo, kind: 'directory', id: '2' }, 1)], durable);
    expect((await listener.get({ account: demo, kind: 'directory', id: '2' }))?.value).toBe(1);
    expect(told.demo).toBe(last);
    expect(told.other).toBeGreaterThan(0);
  });

  test('many commits of one turn leave in few packets', async () => {
    const state = await open(server.port);
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(await server.ask('INFO', 'stats'))![1]);
    const before = await reads();
    await Promise.all(
      Array.from({ length: 200 }, (_, at) => state.commit([put(call(`${at}`), at)], volatile)),
    );
    expect((await reads()) - before).toBeLessThan(20);
    expect(await state.list(demo, 'call', `${bundle}/`)).toHaveLength(200);
    expect(await state.list(demo, 'call')).toHaveLength(200);
  });
});
