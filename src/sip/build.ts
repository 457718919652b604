import { type HeaderInit, toHeaders } from './headers.ts';
import type { SipHeader, SipRequest, SipResponse } from './message.ts';
import { scanTag } from './name-addr.ts';
import { reasonPhrase } from './reasons.ts';

export interface RequestInit {
  readonly method: string;
  readonly uri: string;
  /** In the order in which they shall leave. Content-Length is added when the message is written. */
  readonly headers?: HeaderInit;
  readonly body?: string;
}

export function createRequest({ method, uri, headers, body = '' }: RequestInit): SipRequest {
  return { kind: 'request', method, uri, headers: toHeaders(headers), body };
}

export interface ResponseInit {
  /** Default: the usual phrase for the status. */
  readonly reason?: string;
  /** Added to To when the request had none there; needed for every status above 100 (RFC 3261 §8.2.6.2). */
  readonly toTag?: string;
  /** Further headers: Contact, Content-Type, WWW-Authenticate, Retry-After … */
  readonly headers?: HeaderInit;
  readonly body?: string;
}

/** Methods whose answers may begin a dialog. */
const DIALOG_FORMING: ReadonlySet<string> = new Set(['INVITE', 'SUBSCRIBE', 'NOTIFY', 'REFER']);

/**
 * A response with what RFC 3261 §8.2.6.2 copies from the request: Via, From, To, Call-ID, CSeq; Timestamp in a 100; and Record-Route where
 * the answer may begin a dialog (§12.1.1).
 */
export function createResponse(request: SipRequest, status: number, init: ResponseInit = {}): SipResponse {
  const withRoutes = status > 100 && status < 300 && DIALOG_FORMING.has(request.method);
  const headers: SipHeader[] = [];
  for (const entry of request.headers) {
    switch (entry.name) {
      case 'Via':
      case 'From':
      case 'Call-ID':
      case 'CSeq':
        headers.push(entry);
        break;
      case 'To':
        headers.push(status === 100 ? entry : withTag(entry, init.toTag));
        break;
      case 'Record-Route':
        if (withRoutes) headers.push(entry);
        break;
      case 'Timestamp':
        if (status === 100) headers.push(entry);
        break;
      default:
    }
  }
  headers.push(...toHeaders(init.headers));
  return {
    kind: 'response',
    status,
    reason: init.reason ?? reasonPhrase(status),
    headers,
    body: init.body ?? '',
  };
}

function withTag(to: SipHeader, tag: string | undefined): SipHeader {
  if (tag === undefined || scanTag(to.value) !== undefined) return to;
  return { name: 'To', value: `${to.value};tag=${tag}` };
}
