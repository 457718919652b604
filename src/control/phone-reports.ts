import type { Transaction } from 'kysely';
import type { Tables } from './database.ts';

/** Of calls that are not known (yet, or any more) reports are kept for so long. */
const KEPT_MS = 24 * 3_600_000;

/** A phone's report as a switch wrote it into the log; undefined for anything else. */
export function phoneReportOf(entry: unknown): PhoneReport | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { kind, account, user, utcMs, report } = entry as Record<string, unknown>;
  if (kind !== 'phone-report' || typeof account !== 'string' || typeof user !== 'string') return undefined;
  if (typeof utcMs !== 'number' || typeof report !== 'object' || report === null) return undefined;
  const { sipCallId } = report as Record<string, unknown>;
  if (typeof sipCallId !== 'string') return undefined;
  return { account, user, utcMs, sipCallId, report: report as PhoneReport['report'] };
}

export interface PhoneReport {
  readonly account: string;
  readonly user: string;
  readonly utcMs: number;
  readonly sipCallId: string;
  readonly report: { readonly kind?: unknown };
}

type Inside = Transaction<Tables>;

/**
 * Keeps what phones say of their calls, one report for each leg: the one of the call's end, else the last one. It may come before its call's record
 * or after, and an adopter may write the record again, so both look for each other.
 */
export async function keepReports(inside: Inside, reports: readonly PhoneReport[]): Promise<void> {
  for (const { account, user, utcMs, sipCallId, report } of reports) {
    const key = { account, user, sip_call_id: sipCallId };
    const known = await reportFor(inside, account, sipCallId, user);
    const isLess = known !== undefined && isOfTheEnd(known.report) && !isOfTheEnd(JSON.stringify(report));
    if (isLess) continue;
    const row = { utc_ms: Math.round(utcMs), report: JSON.stringify(report) };
    await inside
      .insertInto('phone_reports')
      .values({ ...key, ...row })
      .onConflict((conflict) => conflict.columns(['account', 'sip_call_id', 'user']).doUpdateSet(row))
      .execute();
    const leg = await inside
      .selectFrom('call_legs')
      .select('call')
      .where('account', '=', account)
      .where('sip_call_id', '=', sipCallId)
      .executeTakeFirst();
    if (leg !== undefined) await complete(inside, account, leg.call);
  }
  const newest = reports.reduce((utcMs, report) => Math.max(utcMs, report.utcMs), 0);
  if (newest > 0)
    await inside
      .deleteFrom('phone_reports')
      .where('utc_ms', '<', Math.round(newest - KEPT_MS))
      .execute();
}

/** Rows of one statement. */
const ROWS = 100;

/** Remembers by which Call-IDs phones may speak of these calls of one account, and puts in what they have said already. */
export async function meetReports(
  inside: Inside,
  account: string,
  calls: readonly { readonly id: string; readonly record: string }[],
): Promise<void> {
  const legs = new Map<string, string>();
  for (const { id, record } of calls)
    for (const { sipCallId } of legsOf(JSON.parse(record)))
      if (typeof sipCallId === 'string' && sipCallId !== '') legs.set(sipCallId, id);
  const spoken = new Set<string>();
  const all = [...legs];
  for (let at = 0; at < all.length; at += ROWS) {
    const some = all.slice(at, at + ROWS);
    await inside
      .insertInto('call_legs')
      .values(some.map(([sip_call_id, call]) => ({ account, sip_call_id, call })))
      .onConflict((conflict) =>
        conflict
          .columns(['account', 'sip_call_id'])
          .doUpdateSet(({ ref }) => ({ call: ref('excluded.call') })),
      )
      .execute();
    const found = await inside
      .selectFrom('phone_reports')
      .select('sip_call_id')
      .where('account', '=', account)
      .where(
        'sip_call_id',
        'in',
        some.map(([id]) => id),
      )
      .execute();
    for (const { sip_call_id } of found) spoken.add(legs.get(sip_call_id)!);
  }
  for (const call of spoken) await complete(inside, account, call);
}

/** Writes into the record what the phones of its legs have said. */
async function complete(inside: Inside, account: string, call: string): Promise<void> {
  const row = await inside
    .selectFrom('call_records')
    .select('record')
    .where('id', '=', call)
    .where('account', '=', account)
    .executeTakeFirst();
  if (row === undefined) return;
  const record = JSON.parse(row.record) as Record<string, unknown>;
  let changed = false;
  for (const leg of legsOf(record)) {
    if (typeof leg.sipCallId !== 'string' || typeof leg.user !== 'string') continue;
    // Nobody speaks for another user's phone.
    const found = await reportFor(inside, account, leg.sipCallId, leg.user);
    if (found === undefined) continue;
    const { sipCallId: _, ...report } = JSON.parse(found.report) as Record<string, unknown>;
    leg['phone'] = { ...report, utcMs: found.utc_ms };
    changed = true;
  }
  if (!changed) return;
  await inside
    .updateTable('call_records')
    .set({ record: JSON.stringify(record) })
    .where('id', '=', call)
    .execute();
}

const reportFor = (inside: Inside, account: string, sipCallId: string, user: string) =>
  inside
    .selectFrom('phone_reports')
    .select(['report', 'utc_ms'])
    .where('account', '=', account)
    .where('sip_call_id', '=', sipCallId)
    .where('user', '=', user)
    .executeTakeFirst();

const isOfTheEnd = (report: string): boolean => (JSON.parse(report) as { kind?: unknown }).kind === 'session';

type StoredLeg = Record<string, unknown> & { readonly sipCallId?: unknown; readonly user?: unknown };

function legsOf(record: unknown): StoredLeg[] {
  const { legs } = (record ?? {}) as { legs?: unknown };
  return Array.isArray(legs) ? legs.filter((leg) => typeof leg === 'object' && leg !== null) : [];
}
