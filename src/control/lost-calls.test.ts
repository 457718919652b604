import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AccountId, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { MemoryCluster, type MemoryState } from '../state/index.ts';
import { type Database, openDatabase } from './database.ts';
import { recordLostCalls } from './lost-calls.ts';
import { keepRecords } from './records.ts';

const ACCOUNT = 'acme' as AccountId;
const record = (id: string, more: object = {}) => ({
  id,
  account: ACCOUNT,
  sessionId: 's',
  from: { user: '1001' },
  to: { dialled: '1002' },
  startedUtcMs: 1000,
  endedUtcMs: 1000,
  outcome: 'failed',
  status: 500,
  endedBy: 'system',
  directoryNumber: 1,
  adoptions: 0,
  legs: [],
  ...more,
});

let dir: string;
let clock: VirtualClock;
let state: MemoryState;
let database: Database;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-lost-'));
  clock = new VirtualClock();
  state = new MemoryCluster({ clock }).open('a' as ZoneId, 'b' as ZoneId);
  database = await openDatabase(join(dir, 'twinline.db'));
});
afterEach(async () => {
  await database.destroy();
  await rm(dir, { recursive: true });
});

const trace = (id: string, more: object = {}) =>
  state.commit([{ op: 'put', key: { account: ACCOUNT, kind: 'trace', id }, value: record(id, more) }], {
    durability: 'volatile',
  });

test('calls that were up when the data centre died are recorded once, with why and the last sign of life', async () => {
  await trace('ringing');
  await trace('talking', { answeredUtcMs: 3000, adoptions: 1 });
  // Its record was kept, and the trace was still there when the lights went out.
  await trace('ended', { answeredUtcMs: 3000 });
  await state.append(ACCOUNT, 'records', record('ended', { outcome: 'answered', status: 200 }));
  const about = { dataCentre: 'fra', lastAliveUtcMs: 9000, log: silentLogger };
  expect(await recordLostCalls(state, [ACCOUNT], about)).toBe(3);
  clock.advance(1000);
  expect(await recordLostCalls(state, [ACCOUNT], about)).toBe(0);

  const keeper = keepRecords({ state, database, accounts: () => [ACCOUNT], clock, log: silentLogger });
  await keeper.catchUp();
  keeper.close();
  const rows = await database
    .selectFrom('call_records')
    .select(['id', 'outcome', 'status', 'reason', 'answered_utc_ms', 'ended_utc_ms'])
    .orderBy('id')
    .execute();
  const reason = 'data centre fra was lost';
  expect(rows).toEqual([
    {
      id: 'ended',
      outcome: 'answered',
      status: 200,
      reason: null,
      answered_utc_ms: null,
      ended_utc_ms: 1000,
    },
    { id: 'ringing', outcome: 'dc-lost', status: 500, reason, answered_utc_ms: null, ended_utc_ms: 9000 },
    { id: 'talking', outcome: 'dc-lost', status: 200, reason, answered_utc_ms: 3000, ended_utc_ms: 9000 },
  ]);
});
