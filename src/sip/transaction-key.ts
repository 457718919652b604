import { callIdOf, cseqOf, fromOf } from './fields.ts';
import { headerValues } from './headers.ts';
import type { SipMessage, SipRequest } from './message.ts';
import { tagOf } from './name-addr.ts';
import { topVia, type Via } from './via.ts';

const MAGIC_COOKIE = 'z9hG4bK';

/** What a response and the request of ours that it answers have in common (RFC 3261 §17.1.3): branch and CSeq method. */
export function clientTransactionKey(message: SipMessage): string {
  return `c|${branchOf(topVia(message))}|${cseqOf(message)?.method ?? ''}`;
}

/**
 * What a request has in common with one that came before (RFC 3261 §17.2.3): branch, sent-by and method, where an ACK counts as its
 * INVITE. Requests of RFC 2543 (no magic cookie) match by Request-URI, From tag, Call-ID, CSeq number and Via; their To tag is not
 * part of it, because it is empty in the INVITE and ours in the ACK.
 */
export function serverTransactionKey(request: SipRequest): string {
  return keyFor(request, request.method === 'ACK' ? 'INVITE' : request.method);
}

/** The key of the transaction that a CANCEL is for (§9.2). */
export function cancelledTransactionKey(cancel: SipRequest): string {
  return keyFor(cancel, 'INVITE');
}

function keyFor(request: SipRequest, method: string): string {
  const via = topVia(request);
  const branch = branchOf(via);
  if (branch.startsWith(MAGIC_COOKIE) && branch.length > MAGIC_COOKIE.length) {
    return `s|${branch}|${sentBy(via)}|${method}`;
  }
  const parts = [
    method,
    request.uri,
    tagOf(fromOf(request)) ?? '',
    callIdOf(request) ?? '',
    String(cseqOf(request)?.seq ?? ''),
    headerValues(request, 'Via')[0] ?? '',
  ];
  return `s2543|${parts.join('|')}`;
}

function branchOf(via: Via | undefined): string {
  const branch = via?.params['branch'];
  return typeof branch === 'string' ? branch : '';
}

const sentBy = (via: Via | undefined): string =>
  via === undefined ? '' : `${via.host.toLowerCase()}:${via.port ?? ''}`;
