import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTopology } from './topology.ts';

let dir: string;
let file: string;
let local: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-topology-'));
  file = join(dir, 'topology.yaml');
  local = await readFile('sip-zones/local.yaml', 'utf8');
});
afterAll(() => rm(dir, { recursive: true }));

/** What a topology says of the state, or its problems with their lines counted from `state:`. */
async function read(...lines: string[]) {
  await writeFile(file, `${local}\nstate:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  const first = local.split('\n').length + 1;
  const topology = await readTopology(file);
  if (topology.ok) return topology.value.state;
  return topology.error.map(({ line, message }) => `${line - first}: ${message}`);
}

describe('the state in a topology', () => {
  test('is in LMDB when nothing is said, or when that is said', async () => {
    const silent = await readTopology('sip-zones/local.yaml');
    expect(silent.ok && silent.value.state).toEqual({ engine: 'lmdb' });
    expect(await read('engine: lmdb')).toEqual({ engine: 'lmdb' });
  });

  test('may be told not to keep running calls, to measure what that costs', async () => {
    expect(await read('engine: lmdb', 'checkpoints: no')).toEqual({ engine: 'lmdb', checkpoints: false });
    expect(await read('engine: lmdb', 'checkpoints: yes')).toEqual({ engine: 'lmdb' });
    expect(await read('engine: redis', 'url: redis://127.0.0.1:1', 'checkpoints: no')).toMatchObject({
      engine: 'redis',
      checkpoints: false,
    });
  });

  test('sip-zones/local-redis.yaml is one Redis on this machine', async () => {
    const example = await readTopology('sip-zones/local-redis.yaml');
    expect(example.ok && example.value.state).toEqual({
      engine: 'redis',
      place: { server: { host: '127.0.0.1', port: 6379 } },
    });
  });

  test('an address with TLS and a database, a user, and a password from a file beside the topology', async () => {
    expect(
      await read(
        'engine: redis',
        'url: rediss://[::1]:7000/2',
        'username: tw',
        'password-file: redis.secret',
      ),
    ).toEqual({
      engine: 'redis',
      place: { server: { host: '::1', port: 7000 }, database: 2, tls: true },
      username: 'tw',
      password: { file: join(dir, 'redis.secret') },
    });
  });

  test('sentinels and what they call the master', async () => {
    expect(
      await read(
        'engine: redis',
        'sentinels: [10.0.0.1, 10.0.0.2:26380, "[::1]:26381"]',
        'name: twinline',
        'database: 3',
        'password-env: REDIS_PASSWORD',
        'sentinel-password-env: SENTINEL_PASSWORD',
      ),
    ).toEqual({
      engine: 'redis',
      place: {
        sentinels: [
          { host: '10.0.0.1', port: 26_379 },
          { host: '10.0.0.2', port: 26_380 },
          { host: '::1', port: 26_381 },
        ],
        name: 'twinline',
        database: 3,
      },
      password: { env: 'REDIS_PASSWORD' },
      sentinelPassword: { env: 'SENTINEL_PASSWORD' },
    });
  });

  test.each<[string, string[], string[]]>([
    ['no engine', ['url: redis://h'], ['0: "engine" is missing']],
    ['an engine nobody knows', ['engine: etcd'], ['1: "engine" must be lmdb or redis, not "etcd"']],
    [
      'neither a server nor sentinels',
      ['engine: redis'],
      ['1: engine redis needs either "url" (redis://127.0.0.1:6379) or "sentinels" and "name", not both'],
    ],
    [
      'both',
      ['engine: redis', 'url: redis://h', 'sentinels: [h]', 'name: n'],
      ['3: engine redis needs either "url" (redis://127.0.0.1:6379) or "sentinels" and "name", not both'],
    ],
    [
      'a password in the address',
      ['engine: redis', 'url: redis://user:secret@h'],
      ['2: "url" must hold no user or password: give "username", and "password-file" or "password-env"'],
    ],
    [
      'another scheme',
      ['engine: redis', 'url: http://h'],
      ['2: "url" must begin with redis:// or, with TLS, rediss://'],
    ],
    [
      'no address',
      ['engine: redis', 'url: h'],
      ['2: "url" must be an address such as redis://127.0.0.1:6379'],
    ],
    [
      'a database that is no number',
      ['engine: redis', 'url: redis://h/x'],
      ['2: "url" must end with the number of a database, if anything'],
    ],
    [
      'a sentinel that is none, and no name',
      ['engine: redis', 'sentinels: [good, "ba d:1", "h:99999"]'],
      [
        '2: "name" is missing: what the sentinels call the master',
        '2: "ba d:1" is no address of a sentinel such as 10.0.0.1:26379',
        '2: "h:99999" is no address of a sentinel such as 10.0.0.1:26379',
      ],
    ],
    [
      'settings of Redis for LMDB',
      ['engine: lmdb', 'url: redis://h'],
      ['2: "url" is not a setting of engine lmdb, only of redis'],
    ],
    [
      'what only sentinels have, beside an address',
      ['engine: redis', 'url: redis://h', 'database: 1'],
      ['3: "database" goes with "sentinels"; a "url" says it itself (rediss:// for TLS, /1 for database 1)'],
    ],
    [
      'two places for one password',
      ['engine: redis', 'url: redis://h', 'password-env: A', 'password-file: b'],
      ['4: give "password-env" or "password-file", not both'],
    ],
    [
      'a password itself',
      ['engine: redis', 'url: redis://h', 'password: x'],
      ['3: "password" is not a setting here'],
    ],
  ])('a mistake: %s', async (_, lines, problems) => {
    expect(await read(...lines)).toEqual(problems);
  });
});
