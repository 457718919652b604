import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountId, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { MemoryCluster, type MemoryState } from '../state/index.ts';
import { type Database, openDatabase } from './database.ts';
import { keepRecords, type RecordKeeper } from './records.ts';

const ACCOUNT = 'demo' as AccountId;
const record = (id: string, more: object = {}) => ({
  v: 1,
  id,
  account: ACCOUNT,
  sessionId: 's',
  from: { user: '1001', display: 'Ada' },
  to: { dialled: '1002', user: '1002' },
  startedUtcMs: 1000,
  answeredUtcMs: 2000,
  endedUtcMs: 9000,
  outcome: 'answered',
  status: 200,
  endedBy: 'caller',
  directoryNumber: 1,
  adoptions: 0,
  legs: [],
  ...more,
});

let dir: string;
let clock: VirtualClock;
let zoneA: MemoryState;
let zoneB: MemoryState;
let database: Database;
let keeper: RecordKeeper | undefined;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-records-'));
  clock = new VirtualClock();
  const cluster = new MemoryCluster({ clock });
  zoneA = cluster.open('a' as ZoneId, 'b' as ZoneId);
  zoneB = cluster.open('b' as ZoneId, 'a' as ZoneId);
  database = await openDatabase(join(dir, 'twinline.db'));
});
afterEach(async () => {
  keeper?.close();
  await database.destroy();
  await rm(dir, { recursive: true });
});

const keep = (state: MemoryState = zoneA): RecordKeeper => {
  keeper?.close();
  keeper = keepRecords({ state, database, accounts: () => [ACCOUNT], clock, log: silentLogger });
  return keeper;
};
const kept = () =>
  database.selectFrom('call_records').select(['id', 'outcome', 'adoptions']).orderBy('id').execute();

test('more records than fit a statement arrive whole, and the last word of an adopter counts', async () => {
  const ids = Array.from({ length: 77 }, (_, at) => `call${String(at).padStart(2, '0')}`);
  for (const id of ids) await zoneA.append(ACCOUNT, 'records', record(id));
  await zoneA.append(ACCOUNT, 'records', record(ids[3]!, { adoptions: 2, outcome: 'failed', status: 408 }));
  await zoneA.append(ACCOUNT, 'records', record(ids[3]!, { adoptions: 1, outcome: 'busy' }));
  expect(await keep().catchUp()).toBe(79);
  expect((await kept()).map(({ id }) => id)).toEqual(ids);
  const rows = await database.selectFrom('call_records').selectAll().orderBy('id').execute();
  expect(rows[3]).toMatchObject({ outcome: 'failed', status: 408, adoptions: 2 });
  for (const [at, row] of rows.entries()) {
    if (at === 3) continue;
    expect(row).toEqual({
      id: ids[at],
      account: ACCOUNT,
      session_id: 's',
      from_user: '1001',
      dialled: '1002',
      to_user: '1002',
      started_utc_ms: 1000,
      answered_utc_ms: 2000,
      ended_utc_ms: 9000,
      outcome: 'answered',
      status: 200,
      ended_by: 'caller',
      reason: null,
      adoptions: 0,
      directory_number: 1,
      record: JSON.stringify(record(ids[at]!)),
    });
  }
});

test('records of both zones arrive once, whatever was written while control was down', async () => {
  await zoneA.append(ACCOUNT, 'records', record('one'));
  expect(await keep().catchUp()).toBe(1);
  keeper!.close();
  for (let call = 0; call < 1200; call++)
    await (call % 2 ? zoneA : zoneB).append(ACCOUNT, 'records', record(`call ${call}`));
  expect(await keep().catchUp()).toBe(1200);
  expect(await keeper!.catchUp()).toBe(0);
  expect(await kept()).toHaveLength(1201);
  const [one] = await database.selectFrom('call_records').selectAll().where('id', '=', 'one').execute();
  expect(one).toMatchObject({
    from_user: '1001',
    dialled: '1002',
    answered_utc_ms: 2000,
    status: 200,
    reason: null,
  });
  expect(JSON.parse(one!.record)).toEqual(record('one'));
});

test('the record that the adopter completed counts, in whatever order they come', async () => {
  await zoneB.append(ACCOUNT, 'records', record('one', { adoptions: 1, outcome: 'answered' }));
  await zoneA.append(ACCOUNT, 'records', record('one', { adoptions: 0, outcome: 'failed' }));
  await zoneA.append(ACCOUNT, 'records', record('two', { adoptions: 0, outcome: 'failed' }));
  await zoneB.append(ACCOUNT, 'records', record('two', { adoptions: 1, outcome: 'answered' }));
  await keep().catchUp();
  expect(await kept()).toEqual([
    { id: 'one', outcome: 'answered', adoptions: 1 },
    { id: 'two', outcome: 'answered', adoptions: 1 },
  ]);
});

test('what is no record stops nothing', async () => {
  await zoneA.append(ACCOUNT, 'records', null);
  await zoneA.append(ACCOUNT, 'records', { id: 7 });
  await zoneA.append(ACCOUNT, 'records', record('one'));
  expect(await keep().catchUp()).toBe(3);
  expect((await kept()).map(({ id }) => id)).toEqual(['one']);
});

test('with the state away nothing is lost and nothing counted twice', async () => {
  await zoneA.append(ACCOUNT, 'records', record('one'));
  keep();
  zoneA.away('rejects');
  await expect(keeper!.catchUp()).rejects.toThrow();
  zoneA.back();
  expect(await keeper!.catchUp()).toBe(1);
  expect(await kept()).toHaveLength(1);
});

test('a database of a newer program is left alone', async () => {
  await database.updateTable('schema_version').set({ version: 99 }).execute();
  await database.destroy();
  await expect(openDatabase(join(dir, 'twinline.db'))).rejects.toThrow('start the newer program');
  await rm(join(dir, 'twinline.db'));
  database = await openDatabase(join(dir, 'twinline.db'));
});

test('a file that is no database is named', async () => {
  await expect(openDatabase('/proc/version')).rejects.toThrow('/proc/version cannot be used as database');
});

describe('what phones say of their calls (RFC 6035)', () => {
  const call = (more: object = {}) =>
    record('one', {
      legs: [
        { role: 'caller', user: 'u1', sipCallId: 'c1' },
        { role: 'callee', user: 'u2', sipCallId: 'c2' },
      ],
      ...more,
    });
  const says = (user: string, sipCallId: string, more: object, utcMs = 5000) => ({
    v: 1,
    kind: 'phone-report',
    account: ACCOUNT,
    user,
    utcMs,
    report: { sipCallId, kind: 'session', ...more },
  });
  const legs = async () => {
    const [row] = await database.selectFrom('call_records').select('record').execute();
    return JSON.parse(row!.record).legs;
  };
  const put = async (...entries: object[]) => {
    for (const entry of entries) await zoneA.append(ACCOUNT, 'records', entry);
    await keeper!.catchUp();
  };

  test('stands in the leg of the record, whichever comes first, and stays when an adopter writes it again', async () => {
    keep();
    await put(says('u1', 'c1', { mosCq: 4.1, headset: 'Jabra' }));
    await put(call());
    await put(says('u2', 'c2', { mosCq: 3.2 }));
    const wanted = [
      { user: 'u1', phone: { kind: 'session', mosCq: 4.1, headset: 'Jabra', utcMs: 5000 } },
      { user: 'u2', phone: { kind: 'session', mosCq: 3.2, utcMs: 5000 } },
    ];
    expect(await legs()).toMatchObject(wanted);
    await put(call({ adoptions: 1 }));
    expect(await legs()).toMatchObject(wanted);
    expect(await kept()).toMatchObject([{ adoptions: 1 }]);
  });

  test('the report of the end counts, else the last one; nobody speaks for another’s phone', async () => {
    keep();
    await put(
      call(),
      says('u1', 'c1', { kind: 'interval', mosCq: 2 }),
      says('u1', 'c1', { kind: 'interval', mosCq: 3 }, 6000),
      says('u2', 'c1', { mosCq: 1 }),
      says('u1', 'unknown', { mosCq: 1 }),
    );
    expect((await legs())[0].phone).toEqual({ kind: 'interval', mosCq: 3, utcMs: 6000 });
    await put(says('u1', 'c1', { mosCq: 4 }, 7000), says('u1', 'c1', { kind: 'alert', mosCq: 1 }, 8000));
    expect((await legs())[0].phone).toEqual({ kind: 'session', mosCq: 4, utcMs: 7000 });
    expect((await legs())[1].phone).toBeUndefined();
  });

  test('what belongs to no call is forgotten after a day; another account’s is not taken', async () => {
    keep();
    await put(says('u1', 'gone', {}, 1000), { ...says('u1', 'c1', { mosCq: 1 }), account: 'other' });
    await put(call(), says('u2', 'later', {}, 25 * 3_600_000));
    const reports = await database.selectFrom('phone_reports').select('sip_call_id').execute();
    expect(reports).toEqual([{ sip_call_id: 'later' }]);
    expect((await legs())[0].phone).toBeUndefined();
  });
});
