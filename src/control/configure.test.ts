import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seededRandom, VirtualClock, type ZoneId } from '../base/index.ts';
import { currentSnapshots, hasDemoPassword } from '../directory/index.ts';
import { MemoryCluster, type MemoryState } from '../state/index.ts';
import { applyConfig, configureAtStart } from './configure.ts';

let dir: string;
let state: MemoryState;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-configure-'));
  state = new MemoryCluster({ clock: new VirtualClock() }).open('a' as ZoneId, 'b' as ZoneId);
});
afterEach(() => rm(dir, { recursive: true }));

const start = (configPath: string, loopbackOnly: boolean) =>
  configureAtStart(state, { configPath, loopbackOnly, random: seededRandom(1) });

async function file(name: string, account: string, domain: string, password: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(
    path,
    `account: ${account}
domains: [${domain}]
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999 }
users:
  - { extension: 1001, name: Ada, site: main, password: ${password} }
`,
  );
  return path;
}

test('an empty installation takes the configuration, another keeps what it has', async () => {
  const first = await start('config/demo', true);
  expect(first.ok && first.value.snapshots.map(({ account, number }) => [account, number])).toEqual([
    ['demo', 1],
  ]);
  const again = await start(await file('other.yaml', 'other', 'other.test', 'x'), true);
  expect(again.ok && again.value.snapshots.map(({ account, number }) => [account, number])).toEqual([
    ['demo', 1],
  ]);
});

test('mistakes leave an empty installation empty', async () => {
  const read = await start(await file('bad.yaml', 'Bad Name', 'demo.test', 'x'), true);
  expect(read.ok ? [] : read.error).toHaveLength(1);
  expect(await currentSnapshots(state)).toEqual([]);
});

test('where others can reach us the demo’s passwords give way, also those that were there before', async () => {
  await start('config/demo', true);
  const opened = await start('config/demo', false);
  expect(opened.ok && opened.value.passwords).toHaveLength(10);
  expect((await currentSnapshots(state))[0]!.devices.some(hasDemoPassword)).toBe(false);
  const again = await start('config/demo', false);
  expect(again.ok && again.value.passwords).toEqual([]);
});

test('a configuration is applied whole or not at all', async () => {
  await start('config/demo', true);
  expect(await applyConfig(state, 'config/demo', { loopbackOnly: true })).toMatchObject({
    ok: true,
    value: { account: 'demo', number: 1, changed: false, users: 10 },
  });
  const changed = await file('changed.yaml', 'demo', 'demo.test', 'x');
  expect(await applyConfig(state, changed, { loopbackOnly: true })).toMatchObject({
    ok: true,
    value: { number: 2, changed: true, users: 1 },
  });
  const refused = await applyConfig(state, await file('demo.yaml', 'demo', 'demo.test', 'demo-1001'), {
    loopbackOnly: false,
  });
  expect(refused.ok ? '' : refused.error[0]!.message).toContain("SIP user 1001 has the demo's password");
  expect((await currentSnapshots(state))[0]!.number).toBe(2);
});

test('a domain belongs to one account', async () => {
  await start('config/demo', true);
  const shared = await file('other.yaml', 'other', 'demo.twinline.test', 'x');
  const refused = await applyConfig(state, shared, { loopbackOnly: true });
  expect(refused.ok ? [] : refused.error.map(({ message }) => message)).toEqual([
    'domain demo.twinline.test already belongs to account "demo"',
  ]);
  const own = await applyConfig(state, await file('own.yaml', 'other', 'other.test', 'x'), {
    loopbackOnly: true,
  });
  expect(own).toMatchObject({ ok: true, value: { account: 'other', number: 1 } });
});
