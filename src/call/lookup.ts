import { type CallId, unreachable } from '../base/index.ts';
import { cseqOf, type SipMessage, tagOf, toOf } from '../sip/index.ts';
import type { Call } from './model.ts';
import type { CallCommand } from './types.ts';

/** What a list of calls shows; the switch adds the zone and its own name. */
export interface CallSummaryCore {
  readonly id: CallId;
  /** Extensions, or what was dialled where nobody has it. */
  readonly from: string;
  readonly to: string;
  readonly state: string;
  /** UTC milliseconds. */
  readonly since: number;
}

export function summaryOf(call: Call): CallSummaryCore {
  return {
    id: call.id,
    from: call.caller.extension,
    to: call.target?.extension ?? call.dialled,
    state: call.state,
    since: call.createdUtcMs,
  };
}

/** Whether every phone has heard how the call ended: no BYE or CANCEL of ours is unanswered, no final response unacknowledged. */
export function isHeardByAll(call: Call): boolean {
  return call.legs.every(
    ({ clients, servers, answer }) =>
      answer === undefined &&
      clients.every(({ tx }) => !AWAITS_ANSWER.has(tx.state)) &&
      servers.every(({ tx }) => tx.kind !== 'invite-server' || tx.state !== 'Completed'),
  );
}

const AWAITS_ANSWER: ReadonlySet<string> = new Set(['Calling', 'Trying', 'Proceeding']);

/**
 * Whether a command reaches a phone or changes what one hears. A lone 100 Trying need not hurry, and the record of a call is complete when its
 * last phone has heard of the end.
 */
export function leavesZone(command: CallCommand): boolean {
  switch (command.type) {
    case 'send':
      return !command.text.startsWith('SIP/2.0 100 ');
    case 'find-bindings':
    case 'record':
      return false;
    case 'media-put':
    case 'media-close':
      return true;
    default:
      return unreachable(command);
  }
}

/** The SIP Call-IDs by which the switch finds this call. */
export function sipCallIdsOf(call: Call): string[] {
  const ids: string[] = [];
  for (const leg of call.legs) {
    if (leg.role === 'caller' || leg.clients.length > 0 || leg.servers.length > 0 || leg.state !== 'ended') {
      ids.push(leg.sipCallId);
    }
  }
  return ids;
}

/**
 * Whether a message found by its SIP Call-ID is this call's. False for an INVITE without To tag under another CSeq: the caller tries
 * again after a failure (RFC 3261 §8.1.3.5, RFC 4028 §7.3), which begins a new call while the old one still absorbs retransmissions.
 */
export function belongsTo(call: Call, message: SipMessage): boolean {
  if (message.kind === 'response' || tagOf(toOf(message)) !== undefined) return true;
  const first = call.legs.find(({ role }) => role === 'caller');
  return first?.inviteCseq === undefined || cseqOf(message)?.seq === first.inviteCseq;
}
