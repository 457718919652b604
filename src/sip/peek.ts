import { detached, fromBytes } from './bytes.ts';
import { isSpace, parseNumber, skip, TOKEN, trimmed } from './chars.ts';
import { MAX_CSEQ, parseCSeq } from './fields.ts';
import { isFolded, readFolded, readHeader } from './head-lines.ts';
import type { SipHeader } from './message.ts';
import { scanTag } from './name-addr.ts';
import { scanVia } from './via.ts';

/** What the edge must know of a message to pass it on. What is absent or malformed is undefined. */
export interface Peeked {
  readonly kind: 'request' | 'response';
  /** The request's method; for a response the one in its CSeq (empty if there is none). */
  readonly method: string;
  /** Responses only. */
  readonly status: number | undefined;
  /** Requests only: the Request-URI as it came, and its user with its escapes. */
  readonly uri: string | undefined;
  readonly uriUser: string | undefined;
  readonly branch: string | undefined;
  readonly sentBy: { readonly host: string; readonly port?: number } | undefined;
  /** The client asks for RFC 3581: the top Via holds `rport`. */
  readonly hasRport: boolean;
  readonly callId: string | undefined;
  readonly fromTag: string | undefined;
  readonly toTag: string | undefined;
  readonly cseq: number | undefined;
  /** An Authorization or Proxy-Authorization is there. */
  readonly hasAuthorization: boolean;
  readonly contentLength: number | undefined;
  readonly maxForwards: number | undefined;
}

const MAX_HEAD_BYTES = 64 * 1024;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * One cheap pass over the headers, without building the message. Undefined when the first line is no SIP. Where `parseMessage` accepts a
 * message, both read the same; a message that it would refuse may be peeked at all the same. What it gives may be kept: none of it holds the
 * message's bytes.
 */
export function peek(bytes: Uint8Array): Peeked | undefined {
  let start = 0;
  while (bytes[start] === 0x0d && bytes[start + 1] === 0x0a) start += 2;
  const text = fromBytes(bytes, start, Math.min(bytes.length, start + MAX_HEAD_BYTES + 4));
  const startLineEnd = lineEnd(text, 0);
  const found = peekStartLine(text, startLineEnd);
  if (found === undefined) return undefined;

  let pos = startLineEnd + 2;
  let seen = 0;
  while (pos < text.length) {
    let end = lineEnd(text, pos);
    if (end === pos) break;
    const name = usualName(text, pos);
    if (name !== '') {
      let entry: SipHeader | undefined;
      if (name !== undefined && !isFolded(text, end)) {
        entry = { name, value: trimmed(text, pos + name.length + 1, end) };
      } else if (isFolded(text, end)) {
        ({ entry, end } = readFolded(text, pos, end));
      } else entry = readHeader(text, pos, end);
      if (entry !== undefined) seen = note(found, entry, seen);
    }
    pos = end + 2;
  }
  return found;
}

/** The next CR. To look for one character instead of CRLF saves a tenth of the time, and `parseMessage` refuses a lone CR anyway. */
function lineEnd(text: string, pos: number): number {
  const end = text.indexOf('\r', pos);
  return end === -1 ? text.length : end;
}

function peekStartLine(text: string, end: number): Mutable<Peeked> | undefined {
  if (text.startsWith('SIP/2.0 ') || text.slice(0, 8).toUpperCase() === 'SIP/2.0 ') {
    const status = parseNumber(text.slice(8, 11), 699);
    if (status === undefined || status < 100 || (end > 11 && text.charCodeAt(11) !== 0x20)) return undefined;
    return blank('response', '', status, undefined);
  }
  const methodEnd = skip(text, 0, TOKEN);
  if (methodEnd === 0 || !isSpace(text.charCodeAt(methodEnd))) return undefined;
  const version = text.startsWith(' SIP/2.0', end - 8)
    ? end - 8
    : text.slice(0, end).toUpperCase().lastIndexOf(' SIP/');
  if (version < methodEnd) return undefined;
  return blank(
    'request',
    detached(text.slice(0, methodEnd)),
    undefined,
    detached(text.slice(methodEnd + 1, version)),
  );
}

/** Every field from the start, so that all of these objects have one shape. */
const blank = (
  kind: Peeked['kind'],
  method: string,
  status: number | undefined,
  uri: string | undefined,
): Mutable<Peeked> => ({
  kind,
  method,
  status,
  uri,
  uriUser: uri && userIn(uri),
  branch: undefined,
  sentBy: undefined,
  hasRport: false,
  callId: undefined,
  fromTag: undefined,
  toTag: undefined,
  cseq: undefined,
  hasAuthorization: false,
  contentLength: undefined,
  maxForwards: undefined,
});

/** The user part of a SIP or SIPS URI, without its password. */
function userIn(uri: string): string | undefined {
  const colon = uri.indexOf(':');
  const sign = uri.indexOf('@', colon);
  if (colon === -1 || sign === -1) return undefined;
  const password = uri.indexOf(':', colon + 1);
  return uri.slice(colon + 1, password !== -1 && password < sign ? password : sign);
}

/**
 * The header's name if it stands there as everyone writes it; undefined if it must be read to know; empty if it does not matter, which
 * the first letters tell for most.
 */
function usualName(text: string, pos: number): string | undefined {
  const second = text.charCodeAt(pos + 1) | 0x20;
  const isCompact = second === 0x3a || second === 0x20 || second === 0x29;
  switch (text.charCodeAt(pos) | 0x20) {
    case 0x76:
      if (text.startsWith('Via:', pos)) return 'Via';
      return isCompact || second === 0x69 ? undefined : '';
    case 0x66:
      if (text.startsWith('From:', pos)) return 'From';
      return isCompact || second === 0x72 ? undefined : '';
    case 0x74:
      if (text.startsWith('To:', pos)) return 'To';
      return isCompact || second === 0x6f ? undefined : '';
    case 0x69: // i
    case 0x6c: // l
      return isCompact ? undefined : '';
    case 0x63:
      if (text.startsWith('Call-ID:', pos)) return 'Call-ID';
      if (text.startsWith('CSeq:', pos)) return 'CSeq';
      if (text.startsWith('Content-Length:', pos)) return 'Content-Length';
      return second === 0x73 || second === 0x61 || (text.charCodeAt(pos + 8) | 0x20) === 0x6c
        ? undefined
        : '';
    case 0x6d: // Max-Forwards
      return second === 0x61 ? undefined : '';
    case 0x61: // Authorization
      return second === 0x75 ? undefined : '';
    case 0x70: // Proxy-Authorization
      return second === 0x72 ? undefined : '';
    default:
      return '';
  }
}

const VIA = 1;
const FROM = 2;
const TO = 4;

/** Takes what matters of a header; the first of its name counts. `seen` remembers those that may be there without a value. */
function note(found: Mutable<Peeked>, { name, value }: SipHeader, seen: number): number {
  switch (name) {
    case 'Via':
      if ((seen & VIA) === 0) noteVia(found, value);
      return seen | VIA;
    case 'From': {
      const tag = (seen & FROM) === 0 ? scanTag(value) : undefined;
      if (tag !== undefined) found.fromTag = detached(tag);
      return seen | FROM;
    }
    case 'To': {
      const tag = (seen & TO) === 0 ? scanTag(value) : undefined;
      if (tag !== undefined) found.toTag = detached(tag);
      return seen | TO;
    }
    case 'Call-ID':
      found.callId ??= detached(value);
      return seen;
    case 'CSeq':
      if (found.cseq === undefined) noteCSeq(found, value);
      return seen;
    case 'Content-Length':
      return noteNumber(found, 'contentLength', value, seen);
    case 'Max-Forwards':
      return noteNumber(found, 'maxForwards', value, seen);
    case 'Authorization':
    case 'Proxy-Authorization':
      found.hasAuthorization = true;
      return seen;
    default:
      return seen;
  }
}

/** A Via as nearly everyone writes it: no quotes, no spaces around the separators, the parameters unquoted. */
const USUAL_VIA =
  /^SIP\/2\.0\/[A-Z]+ ([\w.-]+|\[[\da-f.]{0,45}:[\da-f:.]{1,45}\])(?::(\d{1,5}))?((?:;[\w.-]+(?:=[\w.:~*+-]+)?)*)(?:$|,)/i;
const BRANCH = /;branch(?:=([^;]+))?(?:;|$)/i;
const RPORT = /;rport(?:[;=]|$)/i;

function noteVia(found: Mutable<Peeked>, value: string): void {
  const usual = USUAL_VIA.exec(value);
  if (usual !== null && Number(usual[2] ?? 0) <= 65_535) {
    const [, name = '', port, params = ''] = usual;
    const host = detached(name);
    const branch = BRANCH.exec(params)?.[1];
    found.sentBy = port === undefined ? { host } : { host, port: Number(port) };
    if (branch !== undefined) found.branch = detached(branch);
    found.hasRport = RPORT.test(params);
    return;
  }
  const via = scanVia(value)?.via;
  if (via === undefined) return;
  const host = detached(via.host);
  found.sentBy = via.port === undefined ? { host } : { host, port: via.port };
  const { branch, rport } = via.params;
  if (typeof branch === 'string') found.branch = detached(branch);
  found.hasRport = rport !== undefined;
}

function noteCSeq(found: Mutable<Peeked>, value: string): void {
  const cseq = parseCSeq(value);
  if (cseq === undefined) return;
  found.cseq = cseq.seq;
  if (found.kind === 'response') found.method = detached(cseq.method);
}

function noteNumber(
  found: Mutable<Peeked>,
  field: 'contentLength' | 'maxForwards',
  value: string,
  seen: number,
): number {
  const number = parseNumber(value, MAX_CSEQ);
  if (number !== undefined) found[field] ??= number;
  return seen;
}
