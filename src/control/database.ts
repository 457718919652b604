import { Kysely, SqliteDialect, sql } from 'kysely';
import Libsql from 'libsql';
import { TwinlineError } from '../base/index.ts';

/** Version 1. A later one migrates what it finds; an older program refuses a newer file. */
const SCHEMA_VERSION = 1;

export interface Tables {
  schema_version: { version: number };
  /** How far each account's log has been read. */
  log_positions: { account: string; log: string; position: string };
  call_records: {
    id: string;
    account: string;
    session_id: string;
    from_user: string;
    dialled: string;
    to_user: string | null;
    started_utc_ms: number;
    answered_utc_ms: number | null;
    ended_utc_ms: number;
    outcome: string;
    status: number;
    ended_by: string;
    reason: string | null;
    adoptions: number;
    directory_number: number;
    /** The whole record as JSON, legs and media figures with it. */
    record: string;
  };
  /** Under which Call-ID a call's phone knows it. */
  call_legs: { account: string; sip_call_id: string; call: string };
  /** What a phone said of its call (RFC 6035), as JSON. */
  phone_reports: { account: string; sip_call_id: string; user: string; utc_ms: number; report: string };
}

export type Database = Kysely<Tables>;

/** Opens the SQLite file, makes its tables if they are missing. Rejects with `database_unusable` and a sentence. */
export async function openDatabase(file: string): Promise<Database> {
  try {
    const engine = new Libsql(file);
    engine.pragma('journal_mode = WAL');
    // The log that records come from is durable and is read again after a crash.
    engine.pragma('synchronous = NORMAL');
    const database: Database = new Kysely<Tables>({
      dialect: new SqliteDialect({ database: engine as never }),
    });
    await createTables(database);
    return database;
  } catch (error) {
    throw error instanceof TwinlineError
      ? error
      : new TwinlineError(
          'database_unusable',
          `${file} cannot be used as database: ${(error as Error).message}`,
          {
            cause: error,
          },
        );
  }
}

async function createTables(database: Database): Promise<void> {
  await database.schema
    .createTable('schema_version')
    .ifNotExists()
    .addColumn('version', 'integer', (column) => column.notNull())
    .execute();
  const found = await database.selectFrom('schema_version').select('version').executeTakeFirst();
  if (found !== undefined && found.version > SCHEMA_VERSION) {
    throw new TwinlineError(
      'database_newer',
      `the database has schema ${found.version}, this program knows ${SCHEMA_VERSION}: start the newer program`,
    );
  }
  await database.schema
    .createTable('log_positions')
    .ifNotExists()
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('log', 'text', (column) => column.notNull())
    .addColumn('position', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('log_positions_key', ['account', 'log'])
    .execute();
  await database.schema
    .createTable('call_records')
    .ifNotExists()
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('session_id', 'text', (column) => column.notNull())
    .addColumn('from_user', 'text', (column) => column.notNull())
    .addColumn('dialled', 'text', (column) => column.notNull())
    .addColumn('to_user', 'text')
    .addColumn('started_utc_ms', 'integer', (column) => column.notNull())
    .addColumn('answered_utc_ms', 'integer')
    .addColumn('ended_utc_ms', 'integer', (column) => column.notNull())
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('status', 'integer', (column) => column.notNull())
    .addColumn('ended_by', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('adoptions', 'integer', (column) => column.notNull())
    .addColumn('directory_number', 'integer', (column) => column.notNull())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
  await sql`create index if not exists call_records_by_time on call_records (account, started_utc_ms)`.execute(
    database,
  );
  // Tables beside those of before: an older program does not look at them.
  await database.schema
    .createTable('call_legs')
    .ifNotExists()
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('sip_call_id', 'text', (column) => column.notNull())
    .addColumn('call', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('call_legs_key', ['account', 'sip_call_id'])
    .execute();
  await database.schema
    .createTable('phone_reports')
    .ifNotExists()
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('sip_call_id', 'text', (column) => column.notNull())
    .addColumn('user', 'text', (column) => column.notNull())
    .addColumn('utc_ms', 'integer', (column) => column.notNull())
    .addColumn('report', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('phone_reports_key', ['account', 'sip_call_id', 'user'])
    .execute();
  if (found === undefined)
    await database.insertInto('schema_version').values({ version: SCHEMA_VERSION }).execute();
}
