import { toBytes } from './bytes.ts';
import { header, headerValues } from './headers.ts';
import type { SipHeader, SipRequest, SipResponse } from './message.ts';
import { parseMessage } from './parse.ts';
import { serialize } from './serialize.ts';

/**
 * The ACK for a 300 … 699 (RFC 3261 §17.1.1.3): the INVITE's Request-URI, top Via, Route, From, Call-ID and CSeq number with the
 * response's To. Undefined only if `inviteText` is no INVITE.
 */
export function ackForFailure(inviteText: string, response: SipResponse): string | undefined {
  const parsed = parseMessage(toBytes(inviteText));
  if (!parsed.ok || parsed.message.kind !== 'request') return undefined;
  const to = header(response, 'To') ?? header(parsed.message, 'To') ?? '';
  return serialize(sameHop(parsed.message, 'ACK', to));
}

/** The CANCEL for a request of ours (§9.1). It has a transaction of its own under the same branch. Send it only after a 1xx came. */
export function cancelFor(request: SipRequest): SipRequest {
  return sameHop(request, 'CANCEL', header(request, 'To') ?? '');
}

function sameHop(request: SipRequest, method: 'ACK' | 'CANCEL', to: string): SipRequest {
  const [topVia = ''] = headerValues(request, 'Via');
  const cseq = /^\s*(\d+)/.exec(header(request, 'CSeq') ?? '')?.[1] ?? '0';
  const headers: SipHeader[] = [
    { name: 'Via', value: topVia },
    ...request.headers.filter((entry) => entry.name === 'Route'),
    { name: 'Max-Forwards', value: '70' },
    { name: 'From', value: header(request, 'From') ?? '' },
    { name: 'To', value: to },
    { name: 'Call-ID', value: header(request, 'Call-ID') ?? '' },
    { name: 'CSeq', value: `${cseq} ${method}` },
  ];
  return { kind: 'request', method, uri: request.uri, headers, body: '' };
}
