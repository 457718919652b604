import { ALPHA, DIGIT, HEX, HOST, is, PARAM, parseNumber, skip, USER } from './chars.ts';
import { noParams, type Params } from './params.ts';

/** A SIP or SIPS URI (RFC 3261 §19.1). Escapes are kept as they came; see `unescapeText`. */
export interface SipUri {
  readonly scheme: 'sip' | 'sips';
  readonly user?: string;
  readonly password?: string;
  /** A name, an IPv4 address, or an IPv6 reference with its brackets. */
  readonly host: string;
  readonly port?: number;
  readonly params: Params;
  /** What stands behind `?`, unparsed. */
  readonly headers?: string;
}

/** A telephone number (RFC 3966). `number` keeps its `+` and its visual separators. */
export interface TelUri {
  readonly scheme: 'tel';
  readonly number: string;
  readonly params: Params;
}

export type Uri = SipUri | TelUri;

/** The scheme of any URI in lower case, or undefined if the text is not a URI at all. */
export function schemeOf(text: string): string | undefined {
  const colon = text.indexOf(':');
  if (colon < 1 || !is(text, 0, ALPHA)) return undefined;
  for (let i = 1; i < colon; i++) {
    if (!is(text, i, ALPHA | DIGIT) && !'+-.'.includes(text[i]!)) return undefined;
  }
  return text.slice(0, colon).toLowerCase();
}

/** A `sip:`, `sips:` or `tel:` URI; undefined for other schemes and for malformed ones. */
export function parseUri(text: string): Uri | undefined {
  const scheme = schemeOf(text);
  if (scheme === 'sip' || scheme === 'sips') return parseSipUri(text, scheme);
  if (scheme === 'tel') return parseTelUri(text);
  return undefined;
}

function parseSipUri(text: string, scheme: 'sip' | 'sips'): SipUri | undefined {
  let at = scheme.length + 1;
  let user: string | undefined;
  let password: string | undefined;
  // An unescaped `@` can only be the one behind the user: neither parameters nor headers may hold another.
  const sign = text.indexOf('@', at);
  if (sign !== -1) {
    const colon = text.indexOf(':', at);
    const userEnd = colon !== -1 && colon < sign ? colon : sign;
    if (userEnd === at || !isEscaped(text, at, userEnd, USER)) return undefined;
    user = text.slice(at, userEnd);
    if (userEnd < sign) {
      if (!isEscaped(text, userEnd + 1, sign, USER)) return undefined;
      password = text.slice(userEnd + 1, sign);
    }
    at = sign + 1;
  }
  const hostEnd = skipHost(text, at);
  if (hostEnd === -1) return undefined;
  const host = text.slice(at, hostEnd);
  at = hostEnd;
  let port: number | undefined;
  if (text.charCodeAt(at) === 0x3a) {
    const end = skip(text, at + 1, DIGIT);
    port = parseNumber(text.slice(at + 1, end), 65_535);
    if (port === undefined) return undefined;
    at = end;
  }
  const question = text.indexOf('?', at);
  const paramsEnd = question === -1 ? text.length : question;
  const params = parseUriParams(text, at, paramsEnd);
  if (params === undefined) return undefined;
  const headers = question === -1 ? undefined : text.slice(question + 1);
  if (headers !== undefined && !isEscaped(headers, 0, headers.length, USER | PARAM)) return undefined;
  return {
    scheme,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    host,
    ...(port !== undefined && { port }),
    params,
    ...(headers !== undefined && { headers }),
  };
}

function parseTelUri(text: string): TelUri | undefined {
  const semicolon = text.indexOf(';');
  const end = semicolon === -1 ? text.length : semicolon;
  const number = text.slice(4, end);
  if (!/^\+?[0-9A-Fa-f*#().-]+$/.test(number) || !/[0-9A-Fa-f*#]/.test(number)) return undefined;
  const params = parseUriParams(text, end, text.length);
  return params && { scheme: 'tel', number, params };
}

/** The position behind a host that begins at `at`, or -1. Also used for Via's sent-by. */
export function skipHost(text: string, at: number): number {
  if (text.charCodeAt(at) !== 0x5b) {
    const end = skip(text, at, HOST);
    return end === at ? -1 : end;
  }
  const close = text.indexOf(']', at);
  // Three colons in a row come from the grammar of RFC 3261 itself and are read too (RFC 5118 §4.10).
  return close !== -1 &&
    /^[0-9a-f:.]{2,45}$/i.test(text.slice(at + 1, close)) &&
    text.slice(at, close).includes(':')
    ? close + 1
    : -1;
}

function parseUriParams(text: string, at: number, end: number): Params | undefined {
  const params = noParams();
  while (at < end) {
    if (text.charCodeAt(at) !== 0x3b) return undefined;
    const nameEnd = skipEscaped(text, at + 1, end, PARAM);
    if (nameEnd === at + 1 || nameEnd === -1) return undefined;
    const name = text.slice(at + 1, nameEnd).toLowerCase();
    let value: string | true = true;
    at = nameEnd;
    if (text.charCodeAt(at) === 0x3d && at < end) {
      const valueEnd = skipEscaped(text, at + 1, end, PARAM);
      if (valueEnd === -1) return undefined;
      value = text.slice(at + 1, valueEnd);
      at = valueEnd;
    }
    if (!(name in params)) params[name] = value;
  }
  return params;
}

/** Whether the slice holds nothing but characters of the classes and proper `%HH` escapes. */
const isEscaped = (text: string, start: number, end: number, bits: number): boolean =>
  skipEscaped(text, start, end, bits) === end;

function skipEscaped(text: string, start: number, end: number, bits: number): number {
  let at = start;
  while (at < end) {
    if (is(text, at, bits)) at++;
    else if (text.charCodeAt(at) !== 0x25) return at;
    else if (at + 2 < end && is(text, at + 1, HEX) && is(text, at + 2, HEX)) at += 3;
    else return -1;
  }
  return at;
}

export function serializeUri(uri: Uri): string {
  let text = `${uri.scheme}:`;
  if (uri.scheme === 'tel') text += uri.number;
  else {
    if (uri.user !== undefined) {
      text += uri.password === undefined ? `${uri.user}@` : `${uri.user}:${uri.password}@`;
    }
    text += uri.port === undefined ? uri.host : `${uri.host}:${uri.port}`;
  }
  for (const name in uri.params) {
    const value = uri.params[name]!;
    text += value === true ? `;${name}` : `;${name}=${value}`;
  }
  return uri.scheme === 'tel' || uri.headers === undefined ? text : `${text}?${uri.headers}`;
}

/** `%HH` undone, as a byte string. What is not an escape stays as it is. */
export const unescapeText = (text: string): string =>
  text.includes('%')
    ? text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : text;

/** Text made fit for the user part of a URI: what may not stand there is written `%HH`. */
export const escapeUser = (text: string): string =>
  escapeWhere(text, (at) => text[at] === '#' || !is(text, at, USER));

/** Text made fit for a URI parameter or a header inside a URI (Replaces in Refer-To). */
export const escapeParam = (text: string): string => escapeWhere(text, (at) => !is(text, at, PARAM));

function escapeWhere(text: string, unfit: (at: number) => boolean): string {
  let out = '';
  for (let at = 0; at < text.length; at++) {
    out += unfit(at) ? `%${text.charCodeAt(at).toString(16).toUpperCase().padStart(2, '0')}` : text[at];
  }
  return out;
}
