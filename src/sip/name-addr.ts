import { quote, skip, skipQuoted, skipSpace, TOKEN, trimmed, unquote } from './chars.ts';
import { noParams, type Params, scanParams, serializeParams } from './params.ts';
import { schemeOf } from './uri.ts';

/** The value of From, To, Contact, Route, Refer-To … (RFC 3261 §20.10). */
export interface NameAddr {
  /** Unquoted, a byte string in UTF-8. */
  readonly displayName?: string;
  /** As it came, without the angle brackets. `*` for a Contact that removes all bindings. */
  readonly uri: string;
  /** The header's parameters, not the URI's. */
  readonly params: Params;
}

/** One name-addr or addr-spec with its parameters, filling the whole text. Undefined if malformed. */
export function parseNameAddr(text: string): NameAddr | undefined {
  const start = skipSpace(text, 0);
  let at = start;
  let displayName: string | undefined;
  if (text.charCodeAt(at) === 0x22) {
    const end = skipQuoted(text, at);
    if (end === -1) return undefined;
    displayName = unquote(text.slice(at, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) !== 0x3c) return undefined;
  } else {
    // The grammar allows tokens and white space here. Phones also send bare UTF-8 and brackets, which harms nobody; a comma or
    // semicolon could begin another value and is refused (RFC 4475 §3.1.2.15).
    while (at < text.length && !'"<>,;:\\'.includes(text[at]!)) at++;
    if (text.charCodeAt(at) !== 0x3c) return parseAddrSpec(text, start);
    if (at > start) displayName = trimmed(text, start, at);
  }
  const close = text.indexOf('>', at);
  if (close === -1) return undefined;
  const uri = text.slice(at + 1, close);
  if (!isUri(uri)) return undefined;
  const params = paramsToEnd(text, close + 1);
  if (params === undefined) return undefined;
  return displayName === undefined || displayName === '' ? { uri, params } : { displayName, uri, params };
}

function parseAddrSpec(text: string, start: number): NameAddr | undefined {
  const semicolon = text.indexOf(';', start);
  const uri = trimmed(text, start, semicolon === -1 ? text.length : semicolon);
  if (uri === '*' && semicolon === -1) return { uri, params: noParams() };
  // "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle brackets" (§20).
  if (!isUri(uri) || uri.includes('?') || uri.includes(',')) return undefined;
  const params = semicolon === -1 ? noParams() : paramsToEnd(text, semicolon);
  return params && { uri, params };
}

function paramsToEnd(text: string, at: number): Params | undefined {
  const scanned = scanParams(text, at);
  return scanned !== undefined && scanned.end === text.length ? scanned.params : undefined;
}

const isUri = (text: string): boolean => schemeOf(text) !== undefined && !/[\s<>"]/.test(text);

export function serializeNameAddr(value: NameAddr): string {
  if (value.uri === '*') return '*';
  const name = value.displayName === undefined ? '' : `${quote(value.displayName)} `;
  return `${name}<${value.uri}>${serializeParams(value.params)}`;
}

export function tagOf(value: NameAddr | undefined): string | undefined {
  const tag = value?.params['tag'];
  return typeof tag === 'string' ? tag : undefined;
}

/**
 * The tag of a From or To value without parsing the rest of it: for the edge's `peek`, which sees every message. Agrees with
 * `tagOf(parseNameAddr(text))` wherever the latter finds a tag.
 */
export function scanTag(text: string): string | undefined {
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) === 0x22) {
    at = skipQuoted(text, at);
    if (at === -1) return undefined;
  }
  const open = text.indexOf('<', at);
  at = open === -1 ? text.indexOf(';', at) : text.indexOf('>', open) + 1;
  if (at < 1) return undefined;
  at = skipSpace(text, at);
  // The usual case: the tag is the first parameter and has no quotes.
  if (text.startsWith(';tag=', at)) {
    const end = skip(text, at + 5, TOKEN);
    if (end === text.length && end > at + 5) return text.slice(at + 5);
  }
  const tag = scanParams(text, at)?.params['tag'];
  return typeof tag === 'string' ? tag : undefined;
}
