import { unreachable } from '../base/index.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { serialize } from './serialize.ts';
import { clientTransactionKey } from './transaction-key.ts';
import { ackForFailure } from './transaction-requests.ts';
import {
  type ClientTransaction,
  type InviteClientTransaction,
  isProvisional,
  isSuccess,
  type NonInviteClientTransaction,
  nextFiringMs,
  RFC_TIMES,
  type TransactionOutput,
  type TransactionStep,
  type TransactionTimes,
} from './transaction-types.ts';

const terminated: TransactionOutput = { type: 'terminated' };

/** RFC 3261 §17.1.1.2: sends the INVITE and waits in `Calling`. */
export function startInviteClient(
  request: SipRequest,
  options: { readonly reliable: boolean; readonly nowMs: number; readonly times?: TransactionTimes },
): TransactionStep<InviteClientTransaction> {
  const { t1Ms } = options.times ?? RFC_TIMES;
  const text = serialize(request);
  return {
    tx: {
      kind: 'invite-client',
      key: clientTransactionKey(request),
      state: 'Calling',
      reliable: options.reliable,
      timers: { ...(options.reliable ? {} : { A: options.nowMs + t1Ms }), B: options.nowMs + 64 * t1Ms },
      intervalMs: t1Ms,
      request: text,
    },
    outputs: [{ type: 'send', text }],
  };
}

/** RFC 3261 §17.1.2.2: sends the request and waits in `Trying`. */
export function startNonInviteClient(
  request: SipRequest,
  options: { readonly reliable: boolean; readonly nowMs: number; readonly times?: TransactionTimes },
): TransactionStep<NonInviteClientTransaction> {
  const { t1Ms } = options.times ?? RFC_TIMES;
  const text = serialize(request);
  return {
    tx: {
      kind: 'non-invite-client',
      key: clientTransactionKey(request),
      state: 'Trying',
      reliable: options.reliable,
      timers: { ...(options.reliable ? {} : { E: options.nowMs + t1Ms }), F: options.nowMs + 64 * t1Ms },
      intervalMs: t1Ms,
      request: text,
    },
    outputs: [{ type: 'send', text }],
  };
}

/** The machine that the request's method asks for. Not for ACK, which has no transaction (§17.1.1.3). */
export function startClient(
  request: SipRequest,
  options: { readonly reliable: boolean; readonly nowMs: number; readonly times?: TransactionTimes },
): TransactionStep<ClientTransaction> {
  return request.method === 'INVITE'
    ? startInviteClient(request, options)
    : startNonInviteClient(request, options);
}

/** A response that `clientTransactionKey` matched to this transaction. */
export function receiveResponse<T extends ClientTransaction>(
  tx: T,
  response: SipResponse,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<T> {
  const step =
    tx.kind === 'invite-client'
      ? inviteResponse(tx, response, nowMs, times)
      : nonInviteResponse(tx, response, nowMs, times);
  return step as TransactionStep<T>;
}

function inviteResponse(
  tx: InviteClientTransaction,
  response: SipResponse,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<InviteClientTransaction> {
  const deliver: TransactionOutput = { type: 'deliver', message: response };
  switch (tx.state) {
    case 'Calling':
    case 'Proceeding':
      // §17.1.1.2: a provisional response stops A and B; the user decides how long it lets the phone ring.
      if (isProvisional(response.status))
        return { tx: { ...tx, state: 'Proceeding', timers: {} }, outputs: [deliver] };
      // RFC 6026 §8.4: a 2xx of every fork is the user's, and it acknowledges each.
      if (isSuccess(response.status)) {
        return {
          tx: { ...tx, state: 'Accepted', timers: { M: nowMs + 64 * times.t1Ms }, request: '' },
          outputs: [deliver],
        };
      }
      return inviteFailed(tx, response, nowMs, times);
    case 'Accepted':
      // RFC 6026 §7.2: further 2xx pass; what else comes is late and of no use.
      return { tx, outputs: isSuccess(response.status) ? [deliver] : [] };
    case 'Completed':
      // §17.1.1.2: a repeated failure is acknowledged again and kept from the user.
      return {
        tx,
        outputs: response.status >= 300 && tx.ack !== undefined ? [{ type: 'send', text: tx.ack }] : [],
      };
    case 'Terminated':
      return { tx, outputs: [] };
    default:
      return unreachable(tx.state);
  }
}

function inviteFailed(
  tx: InviteClientTransaction,
  response: SipResponse,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<InviteClientTransaction> {
  const ack = ackForFailure(tx.request, response);
  const outputs: TransactionOutput[] = [
    ...(ack === undefined ? [] : [{ type: 'send', text: ack } as const]),
    { type: 'deliver', message: response },
  ];
  // §17.1.1.2: over a stream D is zero, which is the end at once.
  if (tx.reliable)
    return { tx: { ...tx, state: 'Terminated', timers: {} }, outputs: [...outputs, terminated] };
  return {
    tx: {
      ...tx,
      state: 'Completed',
      timers: { D: nowMs + times.timerDMs },
      request: '',
      ...(ack === undefined ? {} : { ack }),
    },
    outputs,
  };
}

function nonInviteResponse(
  tx: NonInviteClientTransaction,
  response: SipResponse,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<NonInviteClientTransaction> {
  const deliver: TransactionOutput = { type: 'deliver', message: response };
  switch (tx.state) {
    case 'Trying':
    case 'Proceeding':
      // §17.1.2.2: E and F go on in Proceeding.
      if (isProvisional(response.status)) return { tx: { ...tx, state: 'Proceeding' }, outputs: [deliver] };
      if (tx.reliable) {
        return { tx: { ...tx, state: 'Terminated', timers: {} }, outputs: [deliver, terminated] };
      }
      return {
        tx: { ...tx, state: 'Completed', timers: { K: nowMs + times.t4Ms }, request: '' },
        outputs: [deliver],
      };
    case 'Completed': // K absorbs repeated final responses.
    case 'Terminated':
      return { tx, outputs: [] };
    default:
      return unreachable(tx.state);
  }
}

/** Runs what is due. Waking early or late is harmless: a schedule that was slept through is not made up for in a burst. */
export function tickClient(
  tx: ClientTransaction,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): TransactionStep<ClientTransaction> {
  return tx.kind === 'invite-client' ? tickInvite(tx, nowMs) : tickNonInvite(tx, nowMs, times);
}

function tickInvite(tx: InviteClientTransaction, nowMs: number): TransactionStep<InviteClientTransaction> {
  const { A, B, D, M } = tx.timers;
  const ended = { ...tx, state: 'Terminated', timers: {} } as const;
  if (B !== undefined && B <= nowMs)
    return { tx: ended, outputs: [{ type: 'timeout', timer: 'B' }, terminated] };
  if ((D !== undefined && D <= nowMs) || (M !== undefined && M <= nowMs))
    return { tx: ended, outputs: [terminated] };
  if (A !== undefined && A <= nowMs) {
    // §17.1.1.2: A doubles without a limit but B's.
    const intervalMs = 2 * tx.intervalMs;
    return {
      tx: { ...tx, timers: { ...tx.timers, A: nextFiringMs(A, intervalMs, nowMs) }, intervalMs },
      outputs: [{ type: 'send', text: tx.request }],
    };
  }
  return { tx, outputs: [] };
}

function tickNonInvite(
  tx: NonInviteClientTransaction,
  nowMs: number,
  times: TransactionTimes,
): TransactionStep<NonInviteClientTransaction> {
  const { E, F, K } = tx.timers;
  const ended = { ...tx, state: 'Terminated', timers: {} } as const;
  if (F !== undefined && F <= nowMs)
    return { tx: ended, outputs: [{ type: 'timeout', timer: 'F' }, terminated] };
  if (K !== undefined && K <= nowMs) return { tx: ended, outputs: [terminated] };
  if (E !== undefined && E <= nowMs) {
    // §17.1.2.2: min(2 × E, T2) in Trying; T2 once there was a provisional response.
    const intervalMs = tx.state === 'Proceeding' ? times.t2Ms : Math.min(2 * tx.intervalMs, times.t2Ms);
    return {
      tx: { ...tx, timers: { ...tx.timers, E: nextFiringMs(E, intervalMs, nowMs) }, intervalMs },
      outputs: [{ type: 'send', text: tx.request }],
    };
  }
  return { tx, outputs: [] };
}
