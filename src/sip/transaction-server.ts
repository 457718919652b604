import { unreachable } from '../base/index.ts';
import type { SipRequest } from './message.ts';
import { serverTransactionKey } from './transaction-key.ts';
import {
  type InviteServerTransaction,
  isProvisional,
  isSuccess,
  type NonInviteServerTransaction,
  nextFiringMs,
  RFC_TIMES,
  type ServerTransaction,
  type TransactionOutput,
  type TransactionStep,
  type TransactionTimes,
} from './transaction-types.ts';

const terminated: TransactionOutput = { type: 'terminated' };

/**
 * For a request that matched no transaction. Not for ACK. §17.2.1 lets the transaction send 100 after 200 ms; here that is its
 * user's duty, who answers every INVITE with 100 at once because finding bindings may take longer.
 */
export function startServer(
  request: SipRequest,
  options: { readonly reliable: boolean; readonly times?: TransactionTimes },
): TransactionStep<ServerTransaction> {
  const base = {
    key: serverTransactionKey(request),
    reliable: options.reliable,
    timers: {},
    intervalMs: (options.times ?? RFC_TIMES).t1Ms,
  };
  return {
    tx:
      request.method === 'INVITE'
        ? { kind: 'invite-server', state: 'Proceeding', ...base }
        : { kind: 'non-invite-server', state: 'Trying', ...base },
    outputs: [{ type: 'deliver', message: request }],
  };
}

/** A request that `serverTransactionKey` matched to this transaction: sent again, or the ACK. */
export function receiveRequest<T extends ServerTransaction>(
  tx: T,
  request: SipRequest,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<T> {
  const step = tx.kind === 'invite-server' ? inviteRequest(tx, request, nowMs, times) : nonInviteRequest(tx);
  return step as TransactionStep<T>;
}

function inviteRequest(
  tx: InviteServerTransaction,
  request: SipRequest,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<InviteServerTransaction> {
  const again: TransactionOutput[] =
    tx.lastResponse === undefined ? [] : [{ type: 'send', text: tx.lastResponse }];
  const isAck = request.method === 'ACK';
  switch (tx.state) {
    case 'Proceeding':
      // §17.2.1: a repeated INVITE gets the last provisional response again. An ACK has nothing to acknowledge yet.
      return { tx, outputs: isAck ? [] : again };
    case 'Accepted':
      // RFC 6026 §7.1: the user repeats the 2xx itself; a repeated INVITE is absorbed, an ACK with its branch passes.
      return { tx, outputs: isAck ? [{ type: 'deliver', message: request }] : [] };
    case 'Completed': {
      if (!isAck) return { tx, outputs: again };
      // §17.2.1: over a stream I is zero.
      if (tx.reliable) return { tx: { ...tx, state: 'Terminated', timers: {} }, outputs: [terminated] };
      const { lastResponse: _, ...rest } = tx;
      return { tx: { ...rest, state: 'Confirmed', timers: { I: nowMs + times.t4Ms } }, outputs: [] };
    }
    case 'Confirmed': // I absorbs repeated ACKs.
    case 'Terminated':
      return { tx, outputs: [] };
    default:
      return unreachable(tx.state);
  }
}

function nonInviteRequest(tx: NonInviteServerTransaction): TransactionStep<NonInviteServerTransaction> {
  switch (tx.state) {
    case 'Trying': // §17.2.2: nothing was answered yet, the repetition is dropped.
    case 'Terminated':
      return { tx, outputs: [] };
    case 'Proceeding':
    case 'Completed':
      return { tx, outputs: tx.lastResponse === undefined ? [] : [{ type: 'send', text: tx.lastResponse }] };
    default:
      return unreachable(tx.state);
  }
}

/** The user answers with a serialized response. A response that comes after a final one is dropped (but see `Accepted`). */
export function respond<T extends ServerTransaction>(
  tx: T,
  responseText: string,
  status: number,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<T> {
  const step =
    tx.kind === 'invite-server'
      ? inviteRespond(tx, responseText, status, nowMs, times)
      : nonInviteRespond(tx, responseText, status, nowMs, times);
  return step as TransactionStep<T>;
}

function inviteRespond(
  tx: InviteServerTransaction,
  text: string,
  status: number,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<InviteServerTransaction> {
  const send: TransactionOutput = { type: 'send', text };
  switch (tx.state) {
    case 'Proceeding': {
      if (isProvisional(status)) return { tx: { ...tx, lastResponse: text }, outputs: [send] };
      if (isSuccess(status)) {
        // RFC 6026 §8.7: `lastResponse` is not kept, the 2xx is its user's to repeat (`Repetition`).
        const { lastResponse: _, ...rest } = tx;
        return {
          tx: { ...rest, state: 'Accepted', timers: { L: nowMs + 64 * times.t1Ms } },
          outputs: [send],
        };
      }
      // §17.2.1: G repeats the failure over UDP until the ACK, H ends the waiting for it on every transport.
      const timers = {
        ...(tx.reliable ? {} : { G: nowMs + times.t1Ms }),
        H: nowMs + 64 * times.t1Ms,
      };
      return {
        tx: { ...tx, state: 'Completed', lastResponse: text, timers, intervalMs: times.t1Ms },
        outputs: [send],
      };
    }
    case 'Accepted':
      // RFC 6026 §7.1: the user's repetition of the 2xx goes out through the transaction.
      return { tx, outputs: isSuccess(status) ? [send] : [] };
    case 'Completed':
    case 'Confirmed':
    case 'Terminated':
      return { tx, outputs: [] };
    default:
      return unreachable(tx.state);
  }
}

function nonInviteRespond(
  tx: NonInviteServerTransaction,
  text: string,
  status: number,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<NonInviteServerTransaction> {
  const send: TransactionOutput = { type: 'send', text };
  switch (tx.state) {
    case 'Trying':
    case 'Proceeding':
      if (isProvisional(status)) {
        return { tx: { ...tx, state: 'Proceeding', lastResponse: text }, outputs: [send] };
      }
      // §17.2.2: J is zero over a stream.
      if (tx.reliable) {
        return {
          tx: { ...tx, state: 'Terminated', lastResponse: text, timers: {} },
          outputs: [send, terminated],
        };
      }
      return {
        tx: { ...tx, state: 'Completed', lastResponse: text, timers: { J: nowMs + 64 * times.t1Ms } },
        outputs: [send],
      };
    case 'Completed':
    case 'Terminated':
      return { tx, outputs: [] };
    default:
      return unreachable(tx.state);
  }
}

/** Runs what is due; see `tickClient`. */
export function tickServer(
  tx: ServerTransaction,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<ServerTransaction> {
  if (tx.kind === 'invite-server') return tickInvite(tx, nowMs, times);
  const { J } = tx.timers;
  if (J === undefined || J > nowMs) return { tx, outputs: [] };
  return { tx: { ...tx, state: 'Terminated', timers: {} }, outputs: [terminated] };
}

function tickInvite(
  tx: InviteServerTransaction,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<InviteServerTransaction> {
  const { G, H, I, L } = tx.timers;
  const ended = { ...tx, state: 'Terminated', timers: {} } as const;
  if (H !== undefined && H <= nowMs)
    return { tx: ended, outputs: [{ type: 'timeout', timer: 'H' }, terminated] };
  if ((I !== undefined && I <= nowMs) || (L !== undefined && L <= nowMs))
    return { tx: ended, outputs: [terminated] };
  if (G !== undefined && G <= nowMs && tx.lastResponse !== undefined) {
    // §17.2.1: min(2 × G, T2).
    const intervalMs = Math.min(2 * tx.intervalMs, times.t2Ms);
    return {
      tx: { ...tx, timers: { ...tx.timers, G: nextFiringMs(G, intervalMs, nowMs) }, intervalMs },
      outputs: [{ type: 'send', text: tx.lastResponse }],
    };
  }
  return { tx, outputs: [] };
}
