import type { SipMessage } from './message.ts';

/**
 * The four transaction machines of RFC 3261 §17 (with RFC 6026) as JSON-able values. Deadlines are absolute milliseconds of
 * `Clock.nowMs`, which all processes of one machine share, so that another process can go on with a transaction at any point.
 * A timer that is not running has no key.
 */
export type Transaction = ClientTransaction | ServerTransaction;
export type ClientTransaction = InviteClientTransaction | NonInviteClientTransaction;
export type ServerTransaction = InviteServerTransaction | NonInviteServerTransaction;

interface TransactionBase<Kind extends string, State extends string, Timer extends string> {
  readonly kind: Kind;
  /** `clientTransactionKey` or `serverTransactionKey`: what a message must match (§17.1.3, §17.2.3). */
  readonly key: string;
  readonly state: State;
  /** Over a stream nothing is sent again and the waiting timers D, I, J and K are zero. */
  readonly reliable: boolean;
  /** When each running timer fires. */
  readonly timers: { readonly [T in Timer]?: number };
  /** How long the retransmission timer (A, E or G) runs when it is started next. */
  readonly intervalMs: number;
}

/** RFC 3261 §17.1.1, RFC 6026 §7.2. */
export interface InviteClientTransaction
  extends TransactionBase<
    'invite-client',
    'Calling' | 'Proceeding' | 'Accepted' | 'Completed' | 'Terminated',
    'A' | 'B' | 'D' | 'M'
  > {
  /**
   * The INVITE as it was sent: it is sent again, and the ACK for a failure is made from it. Empty once neither can happen any more, so that
   * what lingers for 32 s weighs little.
   */
  readonly request: string;
  /** The ACK for the final response in `Completed`. */
  readonly ack?: string;
}

/** RFC 3261 §17.1.2. */
export interface NonInviteClientTransaction
  extends TransactionBase<
    'non-invite-client',
    'Trying' | 'Proceeding' | 'Completed' | 'Terminated',
    'E' | 'F' | 'K'
  > {
  /** As it was sent; empty once there is a final response. */
  readonly request: string;
}

/** RFC 3261 §17.2.1, RFC 6026 §7.1. */
export interface InviteServerTransaction
  extends TransactionBase<
    'invite-server',
    'Proceeding' | 'Accepted' | 'Completed' | 'Confirmed' | 'Terminated',
    'G' | 'H' | 'I' | 'L'
  > {
  /** What a repeated INVITE is answered with. */
  readonly lastResponse?: string;
}

/** RFC 3261 §17.2.2. */
export interface NonInviteServerTransaction
  extends TransactionBase<'non-invite-server', 'Trying' | 'Proceeding' | 'Completed' | 'Terminated', 'J'> {
  readonly lastResponse?: string;
}

export type TransactionOutput =
  /** To be sent to where the transaction's request went or came from. */
  | { readonly type: 'send'; readonly text: string }
  /** For the transaction's user: a new request, an ACK for a 2xx, a response. */
  | { readonly type: 'deliver'; readonly message: SipMessage }
  /** Nothing came in time: Timer B or F (act as on 408), or H (no ACK for a failure). */
  | { readonly type: 'timeout'; readonly timer: 'B' | 'F' | 'H' }
  /** The transport could not send (§8.1.3.1: act as on 503). */
  | { readonly type: 'transport-error' }
  /** The last output of every transaction: forget it. */
  | { readonly type: 'terminated' };

export interface TransactionStep<T extends Transaction = Transaction> {
  readonly tx: T;
  readonly outputs: readonly TransactionOutput[];
}

/** RFC 3261 §17.1.1.1 and table 4. Milliseconds. A trunk or a test may use others. */
export interface TransactionTimes {
  /** Round-trip estimate: the first retransmission interval; 64 of them are the time-outs B, F, H and the waits J, L, M. */
  readonly t1Ms: number;
  /** The longest interval between retransmissions of a non-INVITE request or an INVITE response. */
  readonly t2Ms: number;
  /** How long a message may stay in the network: waits I and K. */
  readonly t4Ms: number;
  /** The wait D over UDP, at least 32 s. */
  readonly timerDMs: number;
}

export const RFC_TIMES: TransactionTimes = { t1Ms: 500, t2Ms: 4000, t4Ms: 5000, timerDMs: 32_000 };

export const isProvisional = (status: number): boolean => status < 200;
export const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** When a retransmission timer fires next: on its schedule, or from now on if that schedule was slept through. */
export function nextFiringMs(dueMs: number, intervalMs: number, nowMs: number): number {
  const onScheduleMs = dueMs + intervalMs;
  return onScheduleMs > nowMs ? onScheduleMs : nowMs + intervalMs;
}
