import { DIGIT, parseNumber, skip, skipSpace, TOKEN } from './chars.ts';
import { header, headerValues } from './headers.ts';
import type { SipMessage } from './message.ts';
import { type NameAddr, parseNameAddr } from './name-addr.ts';

/** "The sequence number MUST be less than 2**31" (RFC 3261 §8.1.1.5). */
export const MAX_CSEQ = 2 ** 31 - 1;
/** Delta-seconds and other scalars that we read end here (RFC 3261 §25.1, RFC 4475 §3.1.2.4). */
export const MAX_SECONDS = 2 ** 32 - 1;

export interface CSeq {
  readonly seq: number;
  readonly method: string;
}

export function parseCSeq(text: string): CSeq | undefined {
  const end = skip(text, 0, DIGIT);
  const seq = parseNumber(text.slice(0, end), MAX_CSEQ);
  const start = skipSpace(text, end);
  if (seq === undefined || start === end || start === text.length) return undefined;
  return skip(text, start, TOKEN) === text.length ? { seq, method: text.slice(start) } : undefined;
}

export function cseqOf(message: SipMessage): CSeq | undefined {
  const value = header(message, 'CSeq');
  return value === undefined ? undefined : parseCSeq(value);
}

export const callIdOf = (message: SipMessage): string | undefined => header(message, 'Call-ID');

export const fromOf = (message: SipMessage): NameAddr | undefined => nameAddrOf(message, 'From');
export const toOf = (message: SipMessage): NameAddr | undefined => nameAddrOf(message, 'To');

/** The first header of that name as one name-addr: From, To, Refer-To, Referred-By … */
export function nameAddrOf(message: SipMessage, name: string): NameAddr | undefined {
  const value = header(message, name);
  return value === undefined ? undefined : parseNameAddr(value);
}

/** Every value of that name as a name-addr: Contact, Route, Record-Route, Path. Undefined if one is malformed. */
export function nameAddrsOf(message: SipMessage, name: string): NameAddr[] | undefined {
  const parsed: NameAddr[] = [];
  for (const value of headerValues(message, name)) {
    const one = parseNameAddr(value);
    if (one === undefined) return undefined;
    parsed.push(one);
  }
  return parsed;
}

/** The Contacts of a message; those that are malformed are left out (`validateRequest` refuses such a request). */
export function contactsOf(message: SipMessage): NameAddr[] {
  return headerValues(message, 'Contact')
    .map(parseNameAddr)
    .filter((contact) => contact !== undefined);
}

/** A header that is one number at its start (Max-Forwards, Expires, RSeq, Min-Expires). Undefined if absent or malformed. */
export function numberOf(message: SipMessage, name: string, max = MAX_SECONDS): number | undefined {
  const value = header(message, name);
  return value === undefined ? undefined : parseNumber(value, max);
}

/** The media type of the body in lower case without parameters: `application/sdp`. */
export function contentTypeOf(message: SipMessage): string | undefined {
  const value = header(message, 'Content-Type');
  return value?.split(';', 1)[0]?.replace(/[ \t]/g, '').toLowerCase();
}
