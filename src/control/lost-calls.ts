import type { AccountId, Logger } from '../base/index.ts';
import type { StatePort } from '../state/index.ts';

const RECORD_LOG = 'records';
/** What the records of such calls say. */
export const DC_LOST = 'dc-lost';

/**
 * The calls that were up when this data centre died, as their traces tell: each gets its record (PH-ZONE-10). `lastAliveUtcMs`: the last
 * sign of life, which is when they ended as far as anybody knows. Only while no zone runs. Gives how many there were.
 */
export async function recordLostCalls(
  state: Pick<StatePort, 'list' | 'append' | 'commit'>,
  accounts: readonly AccountId[],
  about: { readonly dataCentre: string; readonly lastAliveUtcMs: number; readonly log: Logger },
): Promise<number> {
  let lost = 0;
  for (const account of accounts) {
    for (const { key, value } of await state.list<Trace>(account, 'trace')) {
      const { startedUtcMs, answeredUtcMs } = value;
      await state.append(account, RECORD_LOG, {
        ...value,
        endedUtcMs: Math.max(about.lastAliveUtcMs, answeredUtcMs ?? startedUtcMs),
        outcome: DC_LOST,
        status: answeredUtcMs === undefined ? 500 : 200,
        endedBy: 'system',
        reason: `data centre ${about.dataCentre} was lost`,
      });
      await state.commit([{ op: 'delete', key }], { durability: 'durable' });
      lost++;
    }
  }
  if (lost > 0) about.log.error({ calls: lost }, 'dc.calls_lost');
  return lost;
}

interface Trace {
  readonly id: string;
  readonly startedUtcMs: number;
  readonly answeredUtcMs?: number;
}
