import { skipQuoted, trimmed } from './chars.ts';
import { canonicalName } from './header-names.ts';
import type { SipHeader, SipMessage } from './message.ts';

/** The value of the first header of that name (any case or compact form), or undefined. */
export function header(message: SipMessage, name: string): string | undefined {
  // Nearly all ask by the name that headers are kept under.
  for (const entry of message.headers) if (entry.name === name) return entry.value;
  const wanted = canonicalName(name);
  if (wanted === name) return undefined;
  for (const entry of message.headers) if (entry.name === wanted) return entry.value;
  return undefined;
}

/** A comma in these is no separator (RFC 3261 §7.3.1 and §20). */
const NOT_LISTS: ReadonlySet<string> = new Set([
  'WWW-Authenticate',
  'Authorization',
  'Proxy-Authenticate',
  'Proxy-Authorization',
  'Authentication-Info',
  'Proxy-Authentication-Info',
  'Call-ID',
  'Date',
  'Organization',
  'Server',
  'Subject',
  'User-Agent',
  'From',
  'To',
]);

/** Every value of that name in order: several headers and several values in one header read the same. */
export function headerValues(message: SipMessage, name: string): string[] {
  const wanted = canonicalName(name);
  const values: string[] = [];
  const isList = !NOT_LISTS.has(wanted);
  for (const entry of message.headers) {
    if (entry.name !== wanted) continue;
    if (isList) values.push(...splitList(entry.value));
    else values.push(entry.value);
  }
  return values;
}

/** Splits at commas that stand neither in quotes nor in angle brackets. Empty values are left out. */
export function splitList(text: string): string[] {
  if (!text.includes(',')) return text === '' ? [] : [text];
  const values: string[] = [];
  let start = 0;
  let inBrackets = false;
  const keep = (end: number): void => {
    const value = trimmed(text, start, end);
    if (value !== '') values.push(value);
  };
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22 && !inBrackets) {
      const end = skipQuoted(text, at);
      if (end === -1) break;
      at = end - 1;
    } else if (code === 0x3c) inBrackets = true;
    else if (code === 0x3e) inBrackets = false;
    else if (code === 0x2c && !inBrackets) {
      keep(at);
      start = at + 1;
    }
  }
  keep(text.length);
  return values;
}

/** Option tags of Supported, Require, Proxy-Require, Unsupported or methods of Allow, in order. */
export const tokensOf = (message: SipMessage, name: string): string[] => headerValues(message, name);

export const hasOption = (
  message: SipMessage,
  name: 'Supported' | 'Require' | 'Proxy-Require',
  option: string,
): boolean => headerValues(message, name).some((tag) => tag.toLowerCase() === option.toLowerCase());

/** Headers as a list, or as names with one or several values. */
export type HeaderInit =
  | readonly SipHeader[]
  | Readonly<Record<string, string | readonly string[] | undefined>>;

export function toHeaders(init: HeaderInit | undefined): SipHeader[] {
  if (init === undefined) return [];
  if (Array.isArray(init)) return [...(init as readonly SipHeader[])];
  const headers: SipHeader[] = [];
  for (const [name, values] of Object.entries(
    init as Record<string, string | readonly string[] | undefined>,
  )) {
    if (values === undefined) continue;
    for (const value of typeof values === 'string' ? [values] : values) {
      headers.push({ name: canonicalName(name), value });
    }
  }
  return headers;
}

/** The message with this header alone under its name, in the place of the first one or at the end. */
export function withHeader<M extends SipMessage>(message: M, name: string, value: string): M {
  const wanted = canonicalName(name);
  const headers: SipHeader[] = [];
  let placed = false;
  for (const entry of message.headers) {
    if (entry.name !== wanted) headers.push(entry);
    else if (!placed) {
      headers.push({ name: wanted, value });
      placed = true;
    }
  }
  if (!placed) headers.push({ name: wanted, value });
  return { ...message, headers };
}

export function withoutHeader<M extends SipMessage>(message: M, name: string): M {
  const unwanted = canonicalName(name);
  return { ...message, headers: message.headers.filter((entry) => entry.name !== unwanted) };
}

/** Puts a header above all others: a Via or Record-Route of our own. */
export function prependHeader<M extends SipMessage>(message: M, name: string, value: string): M {
  return { ...message, headers: [{ name: canonicalName(name), value }, ...message.headers] };
}

export function appendHeader<M extends SipMessage>(message: M, name: string, value: string): M {
  return { ...message, headers: [...message.headers, { name: canonicalName(name), value }] };
}

/** Drops the first value of that name, be it a header of its own or the first of a list. */
export function withoutFirstValue<M extends SipMessage>(message: M, name: string): M {
  const wanted = canonicalName(name);
  const at = message.headers.findIndex((entry) => entry.name === wanted);
  if (at === -1) return message;
  const rest = splitList(message.headers[at]!.value).slice(1);
  const headers = [...message.headers];
  if (rest.length === 0) headers.splice(at, 1);
  else headers[at] = { name: wanted, value: rest.join(', ') };
  return { ...message, headers };
}
