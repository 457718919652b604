import { type CompiledQuery, sql } from 'kysely';
import type { AccountId, Clock, Logger, Timer } from '../base/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Database, Tables } from './database.ts';
import { keepReports, meetReports, phoneReportOf } from './phone-reports.ts';

const LOG = 'records';
const BATCH = 500;
const POLL_MS = 1000;
/** After a failure (the database's disk is full, the state is away) the next attempt waits up to this long. */
const RETRY_MAX_MS = 30_000;

export interface RecordKeeper {
  /** Reads all there is now. Resolves to how many records were taken over; rejects when the state or the database does not answer. */
  catchUp(): Promise<number>;
  close(): void;
}

/**
 * Carries call records from the accounts' durable logs into the database (PH-ZONE-18). The position is kept in the same transaction as the
 * records, so a record is neither left out nor, being keyed by its call, there twice; what was written while we were down is read
 * afterwards.
 */
export function keepRecords(options: {
  readonly state: Pick<StatePort, 'read'>;
  readonly database: Database;
  /** Whose logs there are; asked each time. */
  readonly accounts: () => readonly AccountId[];
  readonly clock: Clock;
  readonly log: Logger;
}): RecordKeeper {
  const { state, database, accounts, clock, log } = options;
  let closed = false;
  let timer: Timer | undefined;
  let running: Promise<number> | undefined;
  let waitMs = POLL_MS;

  const catchUp = (): Promise<number> => {
    running ??= takeOver().finally(() => {
      running = undefined;
    });
    return running;
  };
  const takeOver = async (): Promise<number> => {
    let taken = 0;
    for (const account of accounts()) {
      for (let more = true; more && !closed; ) {
        const read = await takeBatch(state, database, account, log);
        taken += read;
        more = read === BATCH;
      }
    }
    return taken;
  };
  const poll = (): void => {
    catchUp()
      .then(
        () => {
          waitMs = POLL_MS;
        },
        (error: unknown) => {
          waitMs = Math.min(RETRY_MAX_MS, waitMs * 2);
          log.error({ error: String(error), waitMs }, 'records.wait');
        },
      )
      .finally(() => {
        if (!closed) timer = clock.after(waitMs, poll);
      });
  };
  timer = clock.after(0, poll);
  return {
    catchUp,
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

async function takeBatch(
  state: Pick<StatePort, 'read'>,
  database: Database,
  account: AccountId,
  log: Logger,
): Promise<number> {
  const place = await database
    .selectFrom('log_positions')
    .select('position')
    .where('account', '=', account)
    .where('log', '=', LOG)
    .executeTakeFirst();
  const entries = await state.read(account, LOG, place?.position, BATCH);
  const last = entries.at(-1);
  if (last === undefined) return 0;
  const reports = entries.flatMap(({ entry }) => phoneReportOf(entry) ?? []);
  const rows = entries.flatMap(({ position, entry }) => {
    if (phoneReportOf(entry) !== undefined) return [];
    const row = rowOf(account, entry);
    if (row === undefined) log.error({ account, position }, 'records.unreadable');
    return row === undefined ? [] : [row];
  });
  await database.transaction().execute(async (transaction) => {
    for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT) {
      await transaction.executeQuery(insertion(database, rows.slice(at, at + ROWS_PER_STATEMENT)));
    }
    await meetReports(transaction, account, rows);
    await keepReports(
      transaction,
      reports.filter((report) => report.account === account),
    );
    const { position } = last;
    await transaction
      .insertInto('log_positions')
      .values({ account, log: LOG, position })
      .onConflict((conflict) => conflict.columns(['account', 'log']).doUpdateSet({ position }))
      .execute();
  });
  return entries.length;
}

type Row = Tables['call_records'];

/** Building a statement costs more than running it: there is one for each number of rows up to this. */
const ROWS_PER_STATEMENT = 32;
const statements = new WeakMap<Database, Map<number, CompiledQuery>>();

/** Puts records in, or in the place of what is known of their calls. */
function insertion(database: Database, rows: readonly Row[]): CompiledQuery {
  let known = statements.get(database);
  if (known === undefined) {
    known = new Map();
    statements.set(database, known);
  }
  let statement = known.get(rows.length);
  if (statement === undefined) {
    statement = database
      .insertInto('call_records')
      .values([...rows])
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet(({ ref }) =>
            Object.fromEntries(COLUMNS.map((name) => [name, ref(`excluded.${name}`)])),
          )
          // An adopter knows what became of the call; what its dead predecessor had written comes to nothing.
          .whereRef('call_records.adoptions', '<=', 'excluded.adoptions')
          // A call that ended in the moment in which its data centre died has its own record.
          .where(sql<boolean>`excluded.outcome <> 'dc-lost'`),
      )
      .compile();
    known.set(rows.length, statement);
  }
  return { ...statement, parameters: rows.flatMap((row) => COLUMNS.map((name) => row[name])) };
}

/** In the order of `rowOf`, which is that of the statement's parameters. */
const COLUMNS = [
  'id',
  'account',
  'session_id',
  'from_user',
  'dialled',
  'to_user',
  'started_utc_ms',
  'answered_utc_ms',
  'ended_utc_ms',
  'outcome',
  'status',
  'ended_by',
  'reason',
  'adoptions',
  'directory_number',
  'record',
] as const satisfies readonly (keyof Row)[];

/** The columns of a record as the call room writes it; undefined for what is no record. */
function rowOf(account: AccountId, entry: unknown): Row | undefined {
  const record = entry as {
    id?: unknown;
    sessionId?: unknown;
    from?: { user?: unknown };
    to?: { dialled?: unknown; user?: unknown };
    [key: string]: unknown;
  } | null;
  if (typeof record !== 'object' || record === null || typeof record.id !== 'string') return undefined;
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  const number = (value: unknown): number =>
    typeof value === 'number' && Number.isFinite(value) ? Math.round(value) : 0;
  return {
    id: record.id,
    account,
    session_id: text(record.sessionId),
    from_user: text(record.from?.user),
    dialled: text(record.to?.dialled),
    to_user: textOrNull(record.to?.user),
    started_utc_ms: number(record['startedUtcMs']),
    answered_utc_ms: record['answeredUtcMs'] === undefined ? null : number(record['answeredUtcMs']),
    ended_utc_ms: number(record['endedUtcMs']),
    outcome: text(record['outcome']),
    status: number(record['status']),
    ended_by: text(record['endedBy']),
    reason: textOrNull(record['reason']),
    adoptions: number(record['adoptions']),
    directory_number: number(record['directoryNumber']),
    record: JSON.stringify(record),
  };
}
