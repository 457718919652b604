import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import { freePort, hasRedis, RedisGroup, RedisServer } from '../support/redis.ts';
import { callAndTalk, hearEachOther, registeredPhone, type Talk } from '../support/talk.ts';

interface Status {
  zones: { id: string; state: string; switches: { id: string; calls: number }[] }[];
  calls: number;
}

const USERS = ['1001', '1002', '1003', '1004', '1005', '1006', '1007', '1008', '1009', '1010'];

describe.skipIf(!hasRedis)('the state is in Redis', () => {
  let directory: string;
  let server: RedisServer;
  let twinline: Installation | undefined;
  let phones: Phone[] = [];
  const closing: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twinline-redis-'));
    server = await RedisServer.start();
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) await phone.close();
    await twinline?.stop();
    twinline = undefined;
    await server?.close();
    for (const one of closing.splice(0)) await one.close();
    await rm(directory, { recursive: true });
  });

  /** sip-zones/local-redis.yaml with other lines below `engine: redis`. */
  async function topology(...lines: string[]): Promise<string> {
    const file = join(directory, 'topology.yaml');
    const text = await readFile('sip-zones/local-redis.yaml', 'utf8');
    const url = '  url: redis://127.0.0.1:6379\n';
    expect(text).toContain(url);
    await writeFile(file, text.replace(url, lines.map((line) => `  ${line}\n`).join('')));
    return file;
  }

  const start = async (...lines: string[]): Promise<Installation> => {
    twinline = await Installation.start({ topology: await topology(...lines) });
    return twinline;
  };

  async function talking(at: Installation, calls: number): Promise<Talk[]> {
    phones = await Promise.all(USERS.map((user) => registeredPhone(at, user)));
    const talks: Talk[] = [];
    for (let call = 0; call < calls; call++) {
      const pair = call % 5;
      talks.push(await callAndTalk(phones[2 * pair]!, phones[2 * pair + 1]!));
    }
    return talks;
  }

  const allHear = (talks: readonly Talk[], packets = 50): Promise<unknown> =>
    Promise.all(talks.map((talk) => hearEachOther(talk, packets, 10_000)));

  async function holdAndResume(talks: readonly Talk[]): Promise<void> {
    for (const talk of talks) {
      expect((await talk.caller.hold()).status).toBe(200);
      await talk.caller.resume();
      await hearEachOther(talk, 3);
    }
  }

  async function endAll(talks: readonly Talk[]): Promise<void> {
    for (const talk of talks) {
      await talk.callee.bye();
      expect((await talk.caller.ended()).how).toBe('bye');
    }
  }

  async function statusWhen(what: string, wished: (status: Status) => boolean): Promise<void> {
    const endMs = performance.now() + 20_000;
    for (;;) {
      const status = await twinline!.twinline<Status>('status');
      if (wished(status)) return;
      if (performance.now() > endMs) throw new Error(`not within 20 s: ${what}; ${JSON.stringify(status)}`);
    }
  }

  const callsIn = (status: Status, zone: string): number =>
    status.zones.find(({ id }) => id === zone)!.switches.reduce((sum, { calls }) => sum + calls, 0);

  it('phones talk, a zone dies, all go on and are served by the twin', async () => {
    const at = await start(`url: ${server.url}`);
    const talks = await talking(at, 10);
    await at.twinline('kill', 'zone', 'a');
    await allHear(talks);
    expect((await at.twinline<Status>('status')).calls).toBe(talks.length);
    await holdAndResume(talks);
    await endAll(talks);
  });

  it('Redis is restarted in the middle of calls: none is lost, they are served meanwhile, new ones come, a zone may die after it', async () => {
    const at = await start(`url: ${server.url}`);
    const talks = await talking(at, 10);
    await server.kill();
    await holdAndResume(talks.slice(0, 3));
    await server.start();
    await allHear(talks);
    talks.push(await callAndTalk(phones[0]!, phones[3]!));
    // The status tells what each switch said last, once a second.
    await statusWhen('every call is there', ({ calls }) => calls === talks.length);
    await at.twinline('kill', 'zone', 'a');
    await allHear(talks);
    await statusWhen('the twin has every call', (status) => callsIn(status, 'b') === talks.length);
    await holdAndResume(talks);
    await endAll(talks);
  });

  it('Redis comes back with nothing: leases, calls and registrations are written again, and survive a zone', async () => {
    const at = await start(`url: ${server.url}`);
    const talks = await talking(at, 10);
    await server.ask('CONFIG', 'SET', 'appendonly', 'no');
    await server.kill();
    await rm(join(server.directory, 'appendonlydir'), { recursive: true });
    await server.start();
    const endMs = performance.now() + 10_000;
    for (;;) {
      const keys = await server.ask('EVAL', "return #redis.call('KEYS', '{*}1/demo/call/*')", '0');
      if (keys === `:${talks.length}\r\n`) break;
      if (performance.now() > endMs) throw new Error(`calls written again: ${keys}`);
    }
    await at.twinline('kill', 'zone', 'a');
    await allHear(talks);
    await statusWhen('the twin has every call', (status) => callsIn(status, 'b') === talks.length);
    await holdAndResume(talks);
    await endAll(talks);
  });

  it('Redis is away when a zone dies: nobody adopts, all hear each other; when it is back the twin has the calls', async () => {
    const at = await start(`url: ${server.url}`);
    const talks = await talking(at, 10);
    await server.kill();
    await at.twinline('kill', 'zone', 'a');
    await allHear(talks);
    expect(callsIn(await at.twinline<Status>('status'), 'b')).toBeLessThan(talks.length);
    await server.start();
    await statusWhen('the twin has every call', (status) => callsIn(status, 'b') === talks.length);
    await holdAndResume(talks);
    await endAll(talks);
  });

  it('the master behind Sentinel dies in the middle of calls: none is lost, new ones come, a zone may die after it', async () => {
    const group = await RedisGroup.start('twinline');
    closing.push(group);
    const at = await start(
      `sentinels: [${group.sentinelPorts.map((port) => `127.0.0.1:${port}`).join(', ')}]`,
      'name: twinline',
    );
    const talks = await talking(at, 10);
    const old = await group.master('twinline');
    await old.kill();
    await holdAndResume(talks.slice(0, 2));
    const endMs = performance.now() + 20_000;
    while ((await group.masterPort('twinline')) === old.port)
      if (performance.now() > endMs) throw new Error('no fail-over within 20 s');
    talks.push(await callAndTalk(phones[0]!, phones[3]!));
    await at.twinline('kill', 'zone', 'a');
    await allHear(talks);
    await statusWhen('the twin has every call', (status) => callsIn(status, 'b') === talks.length);
    await holdAndResume(talks);
    await endAll(talks);
  });

  it('a password comes from the environment and is written nowhere', async () => {
    await server.ask('CONFIG', 'SET', 'requirepass', 'a-secret-of-redis');
    process.env['TWINLINE_TEST_REDIS_PASSWORD'] = 'a-secret-of-redis';
    try {
      const at = await start(`url: ${server.url}`, 'password-env: TWINLINE_TEST_REDIS_PASSWORD');
      expect(await readFile(join(at.data, 'run', 'plan.json'), 'utf8')).not.toContain('a-secret');
      expect(JSON.stringify(at.logs())).not.toContain('a-secret');
      expect(at.output).not.toContain('a-secret');
    } finally {
      delete process.env['TWINLINE_TEST_REDIS_PASSWORD'];
    }
  });

  describe('up says in one sentence what keeps it from starting', () => {
    const refusal = async (...lines: string[]): Promise<string> => {
      const file = await topology(...lines);
      return Installation.start({ topology: file }).then(
        async (at) => {
          await at.stop();
          return 'started';
        },
        (error: Error) => error.message,
      );
    };

    it('no Redis there', async () => {
      const port = await freePort();
      expect(await refusal(`url: redis://127.0.0.1:${port}`)).toContain(
        `Redis at 127.0.0.1:${port} cannot be reached: start it, or correct "state" in the topology`,
      );
    });

    it('a password that is not set', async () => {
      expect(await refusal(`url: ${server.url}`, 'password-env: TWINLINE_TEST_NOT_SET')).toContain(
        'the environment variable TWINLINE_TEST_NOT_SET, which "state" names for a password of Redis, is not set',
      );
    });

    it('the state of another installation', async () => {
      await (await start(`url: ${server.url}`)).stop();
      expect(await refusal(`url: ${server.url}`)).toContain('holds the state of another installation');
      expect(await refusal(`url: ${server.url}/1`)).toBe('started');
    });
  });
});
