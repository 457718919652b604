import { tickClient } from './transaction-client.ts';
import { tickServer } from './transaction-server.ts';
import {
  RFC_TIMES,
  type Transaction,
  type TransactionOutput,
  type TransactionStep,
  type TransactionTimes,
} from './transaction-types.ts';

/** When `tick` has something to do, or undefined while only a message can move the transaction on. */
export function nextDeadlineMs(tx: Transaction): number | undefined {
  let earliestMs: number | undefined;
  for (const dueMs of Object.values<number | undefined>(tx.timers)) {
    if (dueMs !== undefined && (earliestMs === undefined || dueMs < earliestMs)) earliestMs = dueMs;
  }
  return earliestMs;
}

/** Runs the timers that are due. Waking early or late is harmless. */
export function tick<T extends Transaction>(
  tx: T,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<T> {
  const step =
    tx.kind === 'invite-client' || tx.kind === 'non-invite-client'
      ? tickClient(tx, nowMs, times)
      : tickServer(tx, nowMs, times);
  return step as TransactionStep<Transaction> as TransactionStep<T>;
}

/** The transport could not send, or the connection ended (§17.1.4, §17.2.4): the transaction is over. */
export function transportFailed<T extends Transaction>(tx: T): TransactionStep<T> {
  if (tx.state === 'Terminated') return { tx, outputs: [] };
  const outputs: TransactionOutput[] = [{ type: 'transport-error' }, { type: 'terminated' }];
  return { tx: { ...tx, state: 'Terminated', timers: {} }, outputs };
}
