import type { CallId } from '../base/index.ts';
import type { SipMessage } from '../sip/index.ts';
import type { Call } from './model.ts';

/** What a list of calls shows; the switch adds the zone and its own name. */
export interface CallSummaryCore {
  readonly id: CallId;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  readonly since: number;
}

export function summaryOf(_call: Call): CallSummaryCore {
  throw new Error('not written yet');
}

/** The SIP Call-IDs by which the switch finds this call. */
export function sipCallIdsOf(_call: Call): string[] {
  throw new Error('not written yet');
}

/**
 * Whether a message found by its SIP Call-ID is this call's. False for an INVITE without To tag under another CSeq: the caller tries
 * again after a failure (RFC 3261 §8.1.3.5, RFC 4028 §7.3), which begins a new call while the old one still absorbs retransmissions.
 */
export function belongsTo(_call: Call, _message: SipMessage): boolean {
  throw new Error('not written yet');
}
