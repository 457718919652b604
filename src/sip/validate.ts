import { nameAddrsOf, numberOf, parseCSeq } from './fields.ts';
import { header } from './headers.ts';
import type { SipMessage, SipRequest, SipResponse } from './message.ts';
import { parseNameAddr } from './name-addr.ts';
import { type Refused, refusal } from './parse.ts';
import { parseUri, schemeOf } from './uri.ts';
import { topVia, viasOf } from './via.ts';

/** A message holds each of these at most once (RFC 3261 §7.3.1, RFC 4475 §3.3.8). */
const SINGLE: ReadonlySet<string> = new Set([
  'Call-ID',
  'CSeq',
  'From',
  'To',
  'Max-Forwards',
  'Content-Type',
  'Expires',
  'Session-Expires',
  'Min-SE',
]);

const MANDATORY = ['Via', 'From', 'To', 'Call-ID', 'CSeq'];

const KNOWN_SCHEMES: ReadonlySet<string> = new Set(['sip', 'sips', 'tel']);

/**
 * What every element must check before it acts on a request (RFC 3261 §8.2, §16.3; RFC 4475). Undefined: the request is sound. What
 * depends on who serves it is the caller's: method (405, 501), Require (420), Max-Forwards 0 (483), bodies (415), credentials. A missing
 * Max-Forwards, From tag or branch is accepted for the sake of RFC 2543's clients (RFC 4475 §3.4.1).
 */
export function validateRequest(request: SipRequest): Refused | undefined {
  const problem = commonProblem(request) ?? requestProblem(request);
  if (problem !== undefined) return refusal(request, 400, problem);
  const scheme = schemeOf(request.uri);
  if (scheme === undefined) return refusal(request, 400, 'malformed Request-URI');
  if (!KNOWN_SCHEMES.has(scheme))
    return refusal(request, 416, `unknown scheme ${scheme.slice(0, 40)} in the Request-URI`);
  const uri = parseUri(request.uri);
  if (uri === undefined) return refusal(request, 400, 'malformed Request-URI');
  // §19.1.1, table 1: a Request-URI holds no headers.
  if (uri.scheme !== 'tel' && uri.headers !== undefined) {
    return refusal(request, 400, 'headers in the Request-URI');
  }
  return undefined;
}

/** The same for a response: one that is not sound is dropped without a word. */
export function validateResponse(response: SipResponse): Refused | undefined {
  const problem = commonProblem(response);
  return problem === undefined ? undefined : { ok: false, reason: problem };
}

function commonProblem(message: SipMessage): string | undefined {
  const seen = new Set<string>();
  for (const { name } of message.headers) {
    if (SINGLE.has(name) && seen.has(name)) return `more than one ${name}`;
    seen.add(name);
  }
  for (const name of MANDATORY) if (!seen.has(name)) return `${name} is missing`;
  if (viasOf(message) === undefined) return 'malformed Via';
  for (const name of ['From', 'To']) {
    if (parseNameAddr(header(message, name)!) === undefined) return `malformed ${name}`;
  }
  if (!/^[\x21-\xff]+$/.test(header(message, 'Call-ID')!)) return 'malformed Call-ID';
  if (parseCSeq(header(message, 'CSeq')!) === undefined) return 'malformed CSeq';
  return undefined;
}

function requestProblem(request: SipRequest): string | undefined {
  const branch = topVia(request)?.params['branch'];
  // RFC 4475 §3.2.1: it claims to identify a transaction, and does not.
  if (branch === 'z9hG4bK') return 'the Via branch is empty behind its magic cookie';
  // "If the method of the CSeq does not match, 400" (§8.1.1.5, RFC 4475 §3.1.2.17).
  if (parseCSeq(header(request, 'CSeq')!)!.method !== request.method)
    return 'the method in CSeq is another one';
  if (header(request, 'Max-Forwards') !== undefined && numberOf(request, 'Max-Forwards', 255) === undefined) {
    return 'Max-Forwards is not a number up to 255';
  }
  for (const name of ['Route', 'Record-Route', 'Path']) {
    const routes = nameAddrsOf(request, name);
    if (routes === undefined || routes.some(({ uri }) => uri === '*')) return `malformed ${name}`;
  }
  const contacts = nameAddrsOf(request, 'Contact');
  if (contacts === undefined) return 'malformed Contact';
  if (contacts.some(({ uri }) => uri === '*')) {
    // §10.2.2: "*" stands alone, in a REGISTER whose Expires is 0.
    const removesAll =
      request.method === 'REGISTER' && contacts.length === 1 && numberOf(request, 'Expires') === 0;
    if (!removesAll) return 'Contact * with something else than the removal of all bindings';
  }
  return undefined;
}
