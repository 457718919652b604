import path from 'node:path';
import Libsql from 'libsql';
import type { CallRecord } from '../../src/call/index.ts';
import type { Installation } from './installation.ts';

/** Every call record in an installation's database, the oldest first; read beside the running control. */
export function callRecords(at: Installation): CallRecord[] {
  const database = new Libsql(path.join(at.data, 'twinline.db'), { readonly: true });
  try {
    const rows = database.prepare('select record from call_records order by started_utc_ms').all();
    return (rows as { record: string }[]).map(({ record }) => JSON.parse(record) as CallRecord);
  } finally {
    database.close();
  }
}
