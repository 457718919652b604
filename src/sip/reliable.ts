import { cseqOf, numberOf } from './fields.ts';
import { hasOption, header } from './headers.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { serialize } from './serialize.ts';
import { nextFiringMs, RFC_TIMES, type TransactionTimes } from './transaction-types.ts';

/**
 * What a UAS repeats until the peer acknowledges it, as plain data: a 2xx to INVITE until its ACK (RFC 3261 §13.3.1.4, over every
 * transport), a reliable provisional response until its PRACK (RFC 3262 §3). Deadlines by `Clock.nowMs`.
 */
export interface Repetition {
  readonly text: string;
  readonly nextAtMs: number;
  readonly intervalMs: number;
  readonly endsAtMs: number;
}

/** `expired`: never acknowledged. After a 2xx end the dialog with BYE; after a reliable 1xx refuse the INVITE with 504. */
export type RepetitionDue =
  | { readonly type: 'send'; readonly repetition: Repetition; readonly text: string }
  | { readonly type: 'expired' }
  | { readonly type: 'nothing' };

/** For a response that was just sent: repeated after T1, 2 × T1 … until 64 × T1. */
export function startRepetition(
  text: string,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): Repetition {
  return { text, nextAtMs: nowMs + times.t1Ms, intervalMs: times.t1Ms, endsAtMs: nowMs + 64 * times.t1Ms };
}

/** A 2xx is repeated at most T2 apart (§13.3.1.4); a reliable 1xx doubles without that limit (RFC 3262 §3): `capMs` Infinity. */
export function repetitionDue(repetition: Repetition, nowMs: number, capMs = RFC_TIMES.t2Ms): RepetitionDue {
  if (repetition.endsAtMs <= nowMs) return { type: 'expired' };
  if (repetition.nextAtMs > nowMs) return { type: 'nothing' };
  const intervalMs = Math.min(2 * repetition.intervalMs, capMs);
  const nextAtMs = nextFiringMs(repetition.nextAtMs, intervalMs, nowMs);
  return { type: 'send', repetition: { ...repetition, intervalMs, nextAtMs }, text: repetition.text };
}

export const repetitionDeadlineMs = (repetition: Repetition): number =>
  Math.min(repetition.nextAtMs, repetition.endsAtMs);

/** More reliable responses than this wait for no honest phone's PRACK. */
const MAX_QUEUED = 8;

/** The UAS's side of 100rel for one INVITE: one response is outstanding at a time, the others wait (RFC 3262 §3). */
export interface ReliableSender {
  /** The RSeq that the next response gets. */
  readonly nextRseq: number;
  readonly inviteCseq: number;
  readonly outstanding?: Repetition & { readonly rseq: number };
  readonly waiting: readonly SipResponse[];
  /** Outstanding when the INVITE got its final response. */
  readonly lateRseq?: number;
}

export interface ReliableStep {
  readonly sender: ReliableSender;
  /** Texts to send through the INVITE's server transaction (`respond`). */
  readonly texts: readonly string[];
}

/** RFC 3262 §3: the first RSeq is random in 1 … 2^31 - 1; `firstRseq` should be small enough to count up. */
export function startReliable(invite: SipRequest, firstRseq: number): ReliableSender {
  return { nextRseq: Math.max(1, firstRseq), inviteCseq: cseqOf(invite)?.seq ?? 0, waiting: [] };
}

/** Whether a provisional response to this INVITE may (`supported`) or must (`required`) be reliable. */
export function reliabilityOf(invite: SipRequest): 'required' | 'supported' | 'unsupported' {
  if (hasOption(invite, 'Require', '100rel')) return 'required';
  return hasOption(invite, 'Supported', '100rel') ? 'supported' : 'unsupported';
}

/** Sends a 101 … 199 reliably, or lets it wait for the PRACK of the one before. Adds `Require: 100rel` and `RSeq`. */
export function sendReliable(
  sender: ReliableSender,
  response: SipResponse,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): ReliableStep {
  if (sender.outstanding !== undefined) {
    if (sender.waiting.length >= MAX_QUEUED) return { sender, texts: [] };
    return { sender: { ...sender, waiting: [...sender.waiting, response] }, texts: [] };
  }
  const rseq = sender.nextRseq;
  const text = serialize({
    ...response,
    headers: [
      ...response.headers,
      { name: 'Require', value: '100rel' },
      { name: 'RSeq', value: String(rseq) },
    ],
  });
  const outstanding = { ...startRepetition(text, nowMs, times), rseq };
  return { sender: { ...sender, nextRseq: rseq + 1, outstanding }, texts: [text] };
}

/** A PRACK in the dialog. Not matched: answer 481 (RFC 3262 §3). Matched: answer 200, and what waited is sent. */
export function receivePrack(
  sender: ReliableSender,
  prack: SipRequest,
  nowMs: number,
  times: TransactionTimes = RFC_TIMES,
): ReliableStep & { readonly matched: boolean } {
  const rack = parseRack(header(prack, 'RAck'));
  if (rack !== undefined && rack.rseq === sender.lateRseq && rack.cseq === sender.inviteCseq) {
    const { lateRseq: _, ...rest } = sender;
    return { sender: rest, texts: [], matched: rack.method === 'INVITE' };
  }
  if (
    rack === undefined ||
    sender.outstanding === undefined ||
    rack.rseq !== sender.outstanding.rseq ||
    rack.cseq !== sender.inviteCseq ||
    rack.method !== 'INVITE'
  ) {
    return { sender, texts: [], matched: false };
  }
  const { outstanding: _, ...idle } = sender;
  const [next, ...waiting] = sender.waiting;
  if (next === undefined) return { sender: idle, texts: [], matched: true };
  return { ...sendReliable({ ...idle, waiting }, next, nowMs, times), matched: true };
}

/**
 * The INVITE got its final response: nothing is repeated any more, and what waited is not sent. The PRACK of what is outstanding may be on
 * its way, and is served when it comes (RFC 3262 §3).
 */
export function endReliable(sender: ReliableSender): ReliableSender {
  const { outstanding, ...idle } = sender;
  return { ...idle, waiting: [], ...(outstanding === undefined ? {} : { lateRseq: outstanding.rseq }) };
}

/** Repeats the outstanding response. `expired`: 64 × T1 without PRACK. */
export function tickReliable(
  sender: ReliableSender,
  nowMs: number,
): { readonly sender: ReliableSender; readonly texts: readonly string[]; readonly expired: boolean } {
  if (sender.outstanding === undefined) return { sender, texts: [], expired: false };
  const due = repetitionDue(sender.outstanding, nowMs, Number.POSITIVE_INFINITY);
  switch (due.type) {
    case 'expired':
      return { sender: endReliable(sender), texts: [], expired: true };
    case 'nothing':
      return { sender, texts: [], expired: false };
    case 'send':
      return {
        sender: { ...sender, outstanding: { ...due.repetition, rseq: sender.outstanding.rseq } },
        texts: [due.text],
        expired: false,
      };
  }
}

export interface Rack {
  readonly rseq: number;
  readonly cseq: number;
  readonly method: string;
}

/** `RAck: 776656 1 INVITE` (RFC 3262 §7.2). */
export function parseRack(value: string | undefined): Rack | undefined {
  const match = /^\s*(\d{1,10})\s+(\d{1,10})\s+([^\s]+)\s*$/.exec(value ?? '');
  if (match === null) return undefined;
  return { rseq: Number(match[1]), cseq: Number(match[2]), method: match[3]! };
}

/** The UAC's side, one per early dialog of an INVITE: the last RSeq that was taken. */
export interface ReliableReceiver {
  readonly lastRseq?: number;
}

/**
 * A provisional response as the UAC sees it (RFC 3262 §4). `new`: act on it and send PRACK with `rack`. `repeated`: acted upon before;
 * the PRACK's own transaction takes care. `early`: one before it is missing, drop it. `unreliable`: no PRACK.
 */
export function receiveReliable(
  receiver: ReliableReceiver,
  response: SipResponse,
):
  | { readonly type: 'new'; readonly receiver: ReliableReceiver; readonly rack: string }
  | { readonly type: 'repeated' }
  | { readonly type: 'early' }
  | { readonly type: 'unreliable' } {
  const rseq = numberOf(response, 'RSeq');
  const cseq = cseqOf(response);
  const provisional = response.status > 100 && response.status < 200;
  if (!provisional || rseq === undefined || cseq === undefined || !hasOption(response, 'Require', '100rel')) {
    return { type: 'unreliable' };
  }
  if (receiver.lastRseq !== undefined && rseq <= receiver.lastRseq) return { type: 'repeated' };
  if (receiver.lastRseq !== undefined && rseq > receiver.lastRseq + 1) return { type: 'early' };
  return { type: 'new', receiver: { lastRseq: rseq }, rack: `${rseq} ${cseq.seq} ${cseq.method}` };
}
