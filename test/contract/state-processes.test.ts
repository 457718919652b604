import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
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
  type LmdbState,
  loadOrCreateKeyFile,
  openLmdbReader,
  openLmdbState,
  sealer,
} from '../../src/state/index.ts';

const A = 'a' as ZoneId;
const B = 'b' as ZoneId;
const demo = 'demo' as AccountId;
const directoryOf = (id: string) => ({ account: demo, kind: 'directory' as const, id });
const callOf = (id: string) => ({ account: demo, kind: 'call' as const, id });

let directory: string;
const clock = new VirtualClock();
const children: ChildProcess[] = [];
const ports: LmdbState[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twinline-state-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const port of ports.splice(0)) await port.close();
  await rm(directory, { recursive: true });
});

async function open(zone: ZoneId, twin: ZoneId, bootId = 'boot-1'): Promise<LmdbState> {
  const port = await openLmdbState({ directory, zone, twin, clock, log: silentLogger, bootId, gatherMs: 0 });
  ports.push(port);
  clock.advance(1000);
  return port;
}

interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  /** The lines so far. */
  readonly lines: string[];
  /** Resolves when a line begins so. */
  says(prefix: string): Promise<string>;
  readonly ended: Promise<unknown>;
}

function child(zone: string, twin: string, task: string, limitKib?: number): Child {
  const loader = new URL('../support/typescript-loader.mjs', import.meta.url).href;
  const script = new URL('./state-child.ts', import.meta.url).pathname;
  const command = [process.execPath, '--import', loader, script, directory, zone, twin, task];
  const [program, ...args] =
    limitKib === undefined
      ? command
      : ['/bin/sh', '-c', `ulimit -f ${2 * limitKib}; exec "$0" "$@"`, ...command];
  const started = spawn(program!, args, {
    stdio: ['ignore', 'pipe', limitKib === undefined ? 'inherit' : 'ignore'],
  });
  children.push(started);
  const lines: string[] = [];
  const waiting: { prefix: string; resolve: (line: string) => void }[] = [];
  createInterface(started.stdout!).on('line', (line) => {
    lines.push(line);
    for (const entry of waiting) if (line.startsWith(entry.prefix)) entry.resolve(line);
  });
  return {
    pid: started.pid!,
    process: started,
    lines,
    says: (prefix) =>
      new Promise((resolve) => {
        const said = lines.find((line) => line.startsWith(prefix));
        if (said === undefined) waiting.push({ prefix, resolve });
        else resolve(said);
      }),
    ended: new Promise(
      (
        resolve, // After `exit` there may still be lines to read.
      ) => started.once('close', resolve),
    ),
  };
}

async function expectWholePairs(port: LmdbState): Promise<number> {
  const values = new Map(
    (await port.list<{ round: number; by: number }>(demo, 'call')).map(({ key, value }) => [key.id, value]),
  );
  for (const [id, value] of values) {
    if (!id.includes('/')) continue;
    const [pair] = id.split('/');
    expect(values.get(`${pair}/left`)).toEqual(values.get(`${pair}/right`));
    expect(value.round).toBeGreaterThan(0);
  }
  return values.size;
}

test('processes killed in the middle of writing harm nothing: commits stay whole, siblings write on', async () => {
  const sibling = await open(A, B);
  const twin = await open(B, A);
  for (let round = 0; round < 2; round++) {
    const writers = [child('a', 'b', 'pairs'), child('a', 'b', 'pairs')];
    for (const writer of writers) await writer.says(`round ${3 + round * 3}`);
    for (const writer of writers) writer.process.kill('SIGKILL');
    for (const writer of writers) await writer.ended;
    await sibling.commit([{ op: 'put', key: callOf(`alive/${round}`), value: 1 }], {
      durability: 'volatile',
    });
    await sibling.commit([{ op: 'delete', key: callOf(`alive/${round}`) }], { durability: 'volatile' });
    expect(await expectWholePairs(twin)).toBeGreaterThan(10);
  }
}, 120_000);

test('a zone frozen in the middle of writing does not hold up its twin, and after its kill its siblings go on', async () => {
  const twin = await open(B, A);
  const writer = child('a', 'b', 'pairs');
  await writer.says('round 5');
  for (let round = 0; round < 5; round++) {
    writer.process.kill('SIGSTOP');
    const lease = await twin.grant('0123456789' as BundleId, 'b1' as SwitchId, B);
    await twin.commit([{ op: 'put', key: callOf('adopted'), value: round }], {
      durability: 'volatile',
      fence: lease,
    });
    expect((await twin.get(callOf('adopted')))?.value).toBe(round);
    const seen = await twin.list(demo, 'call');
    expect(seen.length).toBeGreaterThan(10);
    await twin.append(demo, 'records', round);
    writer.process.kill('SIGCONT');
    const lines = writer.lines.length;
    await writer.says(`round ${6 + lines}`);
  }
  writer.process.kill('SIGSTOP');
  writer.process.kill('SIGKILL');
  await writer.ended;
  await child('a', 'b', 'pairs').says('round 5');
  expect(await expectWholePairs(twin)).toBeGreaterThan(10);
}, 120_000);

test('logs of several processes: every number once, each process in its order, though one is killed', async () => {
  const reader = await open(B, A);
  const writers = [child('a', 'b', 'append'), child('a', 'b', 'append'), child('b', 'a', 'append')];
  await writers[0]!.says('appended 20');
  writers[0]!.process.kill('SIGKILL');
  const killedAt = writers[0]!.lines.length - 1;
  for (const writer of writers) await writer.ended;
  const seen: { pid: number; i: number }[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await reader.read(demo, 'records', after, 37);
    if (page.length === 0) break;
    seen.push(...page.map(({ entry }) => entry as { pid: number; i: number }));
    after = page.at(-1)!.position;
  }
  const of = (pid: number): number[] => seen.filter((entry) => entry.pid === pid).map(({ i }) => i);
  const whole = Array.from({ length: 200 }, (_, i) => i + 1);
  expect(of(writers[1]!.pid)).toEqual(whole);
  expect(of(writers[2]!.pid)).toEqual(whole);
  const cut = of(writers[0]!.pid);
  expect(cut.length).toBeGreaterThanOrEqual(killedAt);
  expect(cut).toEqual(whole.slice(0, cut.length));
}, 120_000);

test('a reader that follows a log while others append misses nothing', async () => {
  const reader = await open(B, A);
  const writers = [child('a', 'b', 'append'), child('a', 'b', 'append')];
  const done = Promise.all(writers.map(({ ended }) => ended)).then(() => true);
  const seen = new Set<string>();
  let after: string | undefined;
  for (let ended = false; ; ) {
    clock.advance(500);
    const page = await reader.read(demo, 'records', after, 10);
    for (const { entry } of page) seen.add(JSON.stringify(entry));
    after = page.at(-1)?.position ?? after;
    if (page.length === 0 && ended) break;
    if (page.length === 0)
      ended = await Promise.race([done, new Promise<false>((go) => setImmediate(go, false))]);
  }
  expect(seen.size).toBe(400);
}, 120_000);

test('two processes of each zone grant one bundle: no epoch is given twice', async () => {
  const granters = ['a', 'a', 'b', 'b'].map((zone) => child(zone, zone === 'a' ? 'b' : 'a', 'grants'));
  for (const granter of granters) await granter.ended;
  const epochs = granters.flatMap(({ lines }) => lines.filter((line) => line.startsWith('epoch')));
  expect(epochs).toHaveLength(400);
  expect(new Set(epochs).size).toBe(400);
}, 120_000);

test('readers that come and go beside writers undo no commit of theirs', async () => {
  const granters = [child('a', 'b', 'grants'), child('a', 'b', 'grants')];
  await granters[0]!.says('epoch');
  const done = Promise.all(granters.map(({ ended }) => ended)).then(() => true);
  let opened = 0;
  for (let ended = false; !ended; opened++) {
    const reader = openLmdbReader({
      directory,
      zone: A,
      twin: B,
      clock,
      log: silentLogger,
      bootId: 'boot-1',
    });
    expect(await reader.leases()).toHaveLength(1);
    await reader.close();
    ended = await Promise.race([done, new Promise<false>((go) => setImmediate(go, false))]);
  }
  expect(opened).toBeGreaterThan(10);
  const epochs = granters.flatMap(({ lines }) => lines.filter((line) => line.startsWith('epoch')));
  expect(epochs).toHaveLength(200);
  expect(new Set(epochs).size).toBe(200);
}, 120_000);

test('an environment that another process made grow is read whole', async () => {
  const twin = await open(B, A);
  const own = await open(A, B);
  await own.commit([{ op: 'put', key: directoryOf('first'), value: 1 }], { durability: 'volatile' });
  expect((await twin.get(directoryOf('first')))?.value).toBe(1);
  const writer = child('a', 'b', 'large');
  await writer.says('written');
  for (const port of [own, twin]) {
    expect((await port.get<string>(directoryOf('39')))?.value).toHaveLength(1_000_000);
  }
  await own.commit([{ op: 'put', key: directoryOf('last'), value: 1 }], { durability: 'durable' });
  expect((await twin.get(directoryOf('last')))?.value).toBe(1);
}, 120_000);

test('a mere reader makes nothing, sees what comes, and opens and reads while a writer is frozen', async () => {
  const openReader = () =>
    openLmdbReader({ directory, zone: A, twin: B, clock, log: silentLogger, bootId: 'boot-1' });
  const reader = openReader();
  expect(await reader.list(demo, 'call')).toEqual([]);
  expect(await reader.leases()).toEqual([]);
  expect(await reader.read(demo, 'records', undefined, 10)).toEqual([]);
  expect(await readdir(directory)).toEqual([]);
  const writer = child('a', 'b', 'pairs');
  await writer.says('round 3');
  clock.advance(1000);
  for (let round = 0; round < 5; round++) {
    writer.process.kill('SIGSTOP');
    expect((await reader.list(demo, 'call')).length).toBeGreaterThan(10);
    const late = openReader();
    expect((await late.list(demo, 'call')).length).toBeGreaterThan(10);
    await late.close();
    writer.process.kill('SIGCONT');
    await writer.says(`round ${writer.lines.length + 1}`);
  }
  await reader.close();
}, 120_000);

test('a full disk is an error with a code; the process lives and reads on', async () => {
  const writer = child('a', 'b', 'full', 4096);
  // LMDB reports a write that was cut short as an I/O error, which ENOSPC is preceded by.
  expect(await writer.says('failed')).toMatch(/failed state_(full|write_failed) .*is there room on the disk/);
  expect(await writer.says('still reads')).toBe('still reads 500000');
  expect(await writer.ended).toBe(0);
}, 120_000);

test('the twin may come later, and may be made anew', async () => {
  const own = await open(A, B);
  expect(await own.get(directoryOf('x'))).toBeUndefined();
  const twin = await open(B, A);
  await twin.commit([{ op: 'put', key: directoryOf('x'), value: 'first life' }], { durability: 'durable' });
  await twin.append(demo, 'records', 'one');
  await twin.append(demo, 'records', 'two');
  expect((await own.get(directoryOf('x')))?.value).toBe('first life');
  const after = (await own.read(demo, 'records', undefined, 10)).at(-1)!.position;
  await ports.pop()!.close();
  await rename(join(directory, 'state', 'b'), join(directory, 'state', 'b.gone'));
  clock.advance(1000);
  expect(await own.get(directoryOf('x'))).toBeUndefined();
  const again = await open(B, A);
  await again.commit([{ op: 'put', key: directoryOf('x'), value: 'second life' }], { durability: 'durable' });
  await again.append(demo, 'records', 'after the new beginning');
  expect((await own.get(directoryOf('x')))?.value).toBe('second life');
  const entries = (await own.read(demo, 'records', after, 10)).map(({ entry }) => entry);
  expect(entries).toEqual(['after the new beginning']);
});

test('after a reboot calls and leases are gone, registrations and logs are there, epochs go on', async () => {
  const before = await open(A, B);
  const bundle = '0123456789' as BundleId;
  const lease = await before.grant(bundle, 'a1' as SwitchId, A);
  await before.commit([{ op: 'put', key: callOf('c'), value: 1 }], { durability: 'volatile', fence: lease });
  await before.commit([{ op: 'put', key: directoryOf('d'), value: 1 }], { durability: 'durable' });
  await ports.pop()!.close();
  const after = await open(A, B, 'boot-2');
  expect(await after.get(callOf('c'))).toBeUndefined();
  expect(await after.leases()).toEqual([]);
  expect((await after.get(directoryOf('d')))?.value).toBe(1);
  expect(await readdir(join(directory, 'state', 'a', 'volatile'))).toEqual(['boot-2']);
});

test("a sealed key is nowhere in the state's files, not even after it was changed and deleted", async () => {
  const port = await open(A, B);
  const { seal, open: unseal } = sealer(
    loadOrCreateKeyFile(join(directory, 'pair.key'), systemRandom),
    systemRandom,
  );
  const secret = 'WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz';
  for (const roc of [0, 1]) {
    const media = Buffer.from(seal({ suite: 'AES_CM_128_HMAC_SHA1_80', key: secret, roc })).toString(
      'base64',
    );
    await port.commit([{ op: 'put', key: callOf('c'), value: { v: 1, marker: 'plainly visible', media } }], {
      durability: 'volatile',
    });
  }
  const stored = await port.get<{ media: string }>(callOf('c'));
  expect(unseal(Buffer.from(stored!.value.media, 'base64'))).toMatchObject({ key: secret, roc: 1 });
  expect(await filesWith('plainly visible')).not.toEqual([]);
  expect(await filesWith(secret)).toEqual([]);
  await port.commit([{ op: 'delete', key: callOf('c') }], { durability: 'volatile' });
  expect(await filesWith(secret)).toEqual([]);
});

async function filesWith(text: string): Promise<string[]> {
  const files = await readdir(join(directory, 'state'), { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const file of files) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    const bytes = await readFile(path);
    if (bytes.includes(text) || bytes.includes(Buffer.from(text, 'base64'))) found.push(path);
  }
  return found;
}
