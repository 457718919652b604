import { fromBytes } from './bytes.ts';
import { isSpace, parseNumber, skip, TOKEN } from './chars.ts';
import { isFolded, lineEndFrom, readFolded, readHeader } from './head-lines.ts';
import type { SipHeader, SipMessage, SipRequest } from './message.ts';

/** Sizes in bytes. What is larger is refused, never cut. */
export interface ParseLimits {
  /** The start line and all headers. */
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  readonly maxBodyBytes: number;
  readonly maxUriBytes: number;
}

export const DEFAULT_LIMITS: ParseLimits = {
  maxHeaderBytes: 64 * 1024,
  maxHeaders: 256,
  maxBodyBytes: 256 * 1024,
  maxUriBytes: 8 * 1024,
};

export interface Refused {
  readonly ok: false;
  /** For logs and for a Warning or reason phrase: what was wrong. */
  readonly reason: string;
  /** What to answer. Absent: say nothing (a response, an ACK, or nothing that an answer could be addressed by). */
  readonly status?: number;
  /** What could be read of the request, enough for `createResponse`. Present with `status`. */
  readonly request?: SipRequest;
}

export type Parsed = { readonly ok: true; readonly message: SipMessage } | Refused;

interface Problem {
  readonly status: number;
  readonly reason: string;
}

/**
 * Reads one whole message: a datagram, a WebSocket frame, or what `StreamFramer` cut out. Linear in the length of the input and never
 * throws. Syntax only: what the headers mean is checked by `validateRequest` and `validateResponse`.
 */
export function parseMessage(bytes: Uint8Array, options: Partial<ParseLimits> = {}): Parsed {
  const limits = options === DEFAULT_LIMITS ? DEFAULT_LIMITS : { ...DEFAULT_LIMITS, ...options };
  let start = 0;
  // "Implementations … SHOULD ignore any CRLF appearing before the start-line" (RFC 3261 §7.5).
  while (bytes[start] === 0x0d && bytes[start + 1] === 0x0a) start += 2;
  if (start >= bytes.length) return { ok: false, reason: 'no message, only a keep-alive' };

  const text = fromBytes(bytes, start, Math.min(bytes.length, start + limits.maxHeaderBytes + 4));
  const blank = text.indexOf('\r\n\r\n');
  // Without an empty line the last line may be cut off: an answer must not copy half a header.
  const head = text.slice(0, blank === -1 ? Math.max(0, text.lastIndexOf('\r\n')) : blank);
  const lineEnd = head.indexOf('\r\n');
  const startLine = readStartLine(lineEnd === -1 ? head : head.slice(0, lineEnd), limits);
  if (startLine === undefined)
    return { ok: false, reason: 'the first line is neither a request nor a response' };

  const read = readHeaders(head, lineEnd === -1 ? head.length : lineEnd + 2, limits.maxHeaders);
  let problem = startLine.problem ?? read.problem;
  if (blank === -1) {
    problem =
      bytes.length - start > limits.maxHeaderBytes
        ? { status: 513, reason: `the headers are larger than ${limits.maxHeaderBytes} bytes` }
        : { status: 400, reason: 'no empty line ends the headers' };
  }

  const bodyStart = start + blank + 4;
  const available = blank === -1 ? 0 : bytes.length - bodyStart;
  const length = bodyLength(read.headers, available);
  let body = '';
  if (typeof length !== 'number') problem ??= length;
  else if (length > limits.maxBodyBytes) {
    problem ??= { status: 413, reason: `the body is larger than ${limits.maxBodyBytes} bytes` };
  } else if (length > available) {
    problem ??= { status: 400, reason: `Content-Length is ${length}, but only ${available} bytes came` };
  } else if (length > 0) {
    // The octets beyond Content-Length are no part of the message (RFC 3261 §18.3).
    body = fromBytes(bytes, bodyStart, bodyStart + length);
  }

  const message = startLine.build(read.headers, body);
  return problem === undefined ? { ok: true, message } : refusal(message, problem.status, problem.reason);
}

/** A refusal that says whether an answer may be sent at all. */
export function refusal(message: SipMessage, status: number, reason: string): Refused {
  if (message.kind === 'response' || message.method === 'ACK') return { ok: false, reason };
  const canReach = message.headers.some(({ name }) => name === 'Via');
  return canReach ? { ok: false, reason, status, request: message } : { ok: false, reason };
}

interface StartLine {
  readonly problem?: Problem;
  build(headers: readonly SipHeader[], body: string): SipMessage;
}

function readStartLine(line: string, limits: ParseLimits): StartLine | undefined {
  if (line.slice(0, 4).toUpperCase() === 'SIP/') return readStatusLine(line);
  const methodEnd = skip(line, 0, TOKEN);
  if (methodEnd === 0 || !isSpace(line.charCodeAt(methodEnd))) return undefined;
  const method = line.slice(0, methodEnd);
  const version = line.toUpperCase().lastIndexOf(' SIP/');
  if (version < methodEnd) return undefined;
  // One space each, and none at the end: what is taken for the Request-URI must be the same for everyone (RFC 4475 §3.1.2.8-10).
  const uri = line.slice(methodEnd + 1, version);
  const problem = requestLineProblem(line, uri, line.slice(version + 1), limits);
  return {
    ...(problem !== undefined && { problem }),
    build: (headers, body) => ({ kind: 'request', method, uri: problem ? uri.trim() : uri, headers, body }),
  };
}

function requestLineProblem(
  line: string,
  uri: string,
  version: string,
  limits: ParseLimits,
): Problem | undefined {
  if (!/^SIP\/\d+\.\d+$/i.test(version))
    return { status: 400, reason: 'malformed SIP version in the request line' };
  if (version.toUpperCase() !== 'SIP/2.0') return { status: 505, reason: 'the SIP version is not 2.0' };
  if (uri.length > limits.maxUriBytes) {
    return { status: 414, reason: `the Request-URI is longer than ${limits.maxUriBytes} bytes` };
  }
  if (uri === '' || /[\s<>"]/.test(uri) || line.includes('\r') || line.includes('\n')) {
    return { status: 400, reason: 'malformed request line' };
  }
  return undefined;
}

function readStatusLine(line: string): StartLine | undefined {
  const match = /^SIP\/2\.0 (\d{3})(?: (.*))?$/i.exec(line);
  const status = Number(match?.[1]);
  if (match === null || status < 100 || status > 699) return undefined;
  const reason = match[2] ?? '';
  return { build: (headers, body) => ({ kind: 'response', status, reason, headers, body }) };
}

interface ReadHeaders {
  readonly headers: SipHeader[];
  readonly problem?: Problem;
}

function readHeaders(head: string, start: number, maxHeaders: number): ReadHeaders {
  const headers: SipHeader[] = [];
  let problem: Problem | undefined;
  let pos = start;
  while (pos < head.length) {
    if (headers.length === maxHeaders) {
      problem ??= { status: 513, reason: `more than ${maxHeaders} headers` };
      break;
    }
    let end = lineEndFrom(head, pos);
    let entry: SipHeader | undefined;
    if (isFolded(head, end)) {
      ({ entry, end } = readFolded(head, pos, end));
    } else entry = readHeader(head, pos, end);
    if (entry === undefined)
      problem ??= { status: 400, reason: `malformed header line ${headers.length + 1}` };
    else headers.push(entry);
    pos = end + 2;
  }
  return problem === undefined ? { headers } : { headers, problem };
}

/** How long the body is, or why that cannot be told. */
function bodyLength(headers: readonly SipHeader[], available: number): number | Problem {
  let length: number | undefined;
  for (const { name, value } of headers) {
    if (name !== 'Content-Length') continue;
    if (length !== undefined) return { status: 400, reason: 'more than one Content-Length' };
    length = parseNumber(value, Number.MAX_SAFE_INTEGER);
    if (length === undefined) return { status: 400, reason: 'Content-Length is not a number' };
  }
  // Without one, a datagram's body goes to its end (§18.3).
  return length ?? available;
}
