import { beforeEach, expect, test } from 'vitest';
import { type AccountId, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { MemoryCluster, type MemoryState, type StateKey, type StatePort } from '../state/index.ts';
import {
  type AccountDraft,
  currentSnapshots,
  publishSnapshot,
  snapshotNumbered,
  watchDirectories,
} from './index.ts';

const draft = (account: string, domain: string): AccountDraft => ({
  v: 1,
  account: account as AccountId,
  domains: [domain],
  sites: [],
  users: [],
  devices: [],
});

let clock: VirtualClock;
let control: MemoryState;
let zoneB: MemoryState;
beforeEach(() => {
  clock = new VirtualClock();
  const cluster = new MemoryCluster({ clock });
  control = cluster.open('a' as ZoneId, 'b' as ZoneId);
  zoneB = cluster.open('b' as ZoneId, 'a' as ZoneId);
});

test('numbers grow, older snapshots stay, an equal one changes nothing', async () => {
  expect((await publishSnapshot(control, draft('demo', 'one.test'))).number).toBe(1);
  expect((await publishSnapshot(control, draft('demo', 'one.test'))).number).toBe(1);
  clock.advance(1);
  expect((await publishSnapshot(control, draft('demo', 'two.test'))).number).toBe(2);
  expect((await currentSnapshots(zoneB)).map(({ number, domains }) => [number, domains])).toEqual([
    [2, ['two.test']],
  ]);
  expect((await snapshotNumbered(zoneB, 'demo' as AccountId, 1))?.domains).toEqual(['one.test']);
});

test('a switch of the other zone follows, and keeps what it had while the state is away', async () => {
  await publishSnapshot(control, draft('demo', 'one.test'));
  const seen: string[] = [];
  const watch = await watchDirectories(zoneB, {
    clock,
    log: silentLogger,
    onChange: (directories) =>
      seen.push(directories.accounts.flatMap(({ snapshot }) => snapshot.domains).join()),
  });
  expect(watch.directories.accountOf('anything')?.snapshot.number).toBe(1);
  zoneB.away('rejects');
  clock.advance(1);
  await publishSnapshot(control, draft('other', 'two.test'));
  await watch.refresh().catch(() => {});
  expect(watch.directories.accounts).toHaveLength(1);
  zoneB.back();
  await watch.refresh();
  expect(watch.directories.accountOf('two.test')?.snapshot.account).toBe('other');
  expect(watch.directories.accountOf('anything')).toBeUndefined();
  expect(seen).toEqual(['one.test', 'one.test,two.test']);
  watch.close();
  expect(clock.nextDueMs()).toBeUndefined();
});

test('an account that is not found for a moment stays', async () => {
  await publishSnapshot(control, draft('demo', 'one.test'));
  let readable = true;
  const opening: StatePort = Object.assign(Object.create(zoneB) as StatePort, {
    list: async (...asked: Parameters<StatePort['list']>) => (readable ? zoneB.list(...asked) : []),
    get: async (key: StateKey) => (readable ? zoneB.get(key) : undefined),
  });
  const watch = await watchDirectories(opening, { clock, log: silentLogger });
  readable = false;
  await watch.refresh();
  expect(watch.directories.accountOf('one.test')?.snapshot.number).toBe(1);
  clock.advance(1);
  await publishSnapshot(control, draft('demo', 'two.test'));
  readable = true;
  await watch.refresh();
  expect(watch.directories.accountOf('two.test')?.snapshot.number).toBe(2);
  watch.close();
});
