import { skip, skipQuoted, skipSpace, TOKEN, unquote } from './chars.ts';
import { noParams } from './params.ts';

/** `Scheme name=value, name="value"` (RFC 7616 §3.3, §3.4): challenges and credentials. */
export interface AuthValue {
  /** As it came: `Digest`, `Bearer` … */
  readonly scheme: string;
  /** Names in lower case, values unquoted, in their order. */
  readonly params: Readonly<Record<string, string>>;
}

/** Undefined if malformed, or of a scheme that has no such parameters (Basic, Bearer tokens). */
export function parseAuthValue(text: string): AuthValue | undefined {
  const schemeEnd = skip(text, 0, TOKEN);
  const at = skipSpace(text, schemeEnd);
  if (schemeEnd === 0 || at === schemeEnd) return undefined;
  const params = parseAuthParams(text, at);
  if (params === undefined) return undefined;
  return { scheme: text.slice(0, schemeEnd), params };
}

/** The list of parameters alone, as Authentication-Info has it. */
export function parseAuthParams(text: string, start = 0): Record<string, string> | undefined {
  const params = noParams() as Record<string, string>;
  let at = skipSpace(text, start);
  while (at < text.length) {
    const nameEnd = skip(text, at, TOKEN);
    const name = text.slice(at, nameEnd).toLowerCase();
    const equals = skipSpace(text, nameEnd);
    if (name === '' || text.charCodeAt(equals) !== 0x3d) return undefined;
    const valueStart = skipSpace(text, equals + 1);
    const isQuoted = text.charCodeAt(valueStart) === 0x22;
    const valueEnd = isQuoted ? skipQuoted(text, valueStart) : skipBare(text, valueStart);
    // Twice the same parameter: which one was meant cannot be known.
    if (valueEnd === -1 || valueEnd === valueStart || name in params) return undefined;
    params[name] = isQuoted ? unquote(text.slice(valueStart, valueEnd)) : text.slice(valueStart, valueEnd);
    at = skipSpace(text, valueEnd);
    if (at < text.length && text.charCodeAt(at) !== 0x2c) return undefined;
    // Empty list elements are legal: `a=1,, b=2` (RFC 7230 §7).
    while (text.charCodeAt(at) === 0x2c) at = skipSpace(text, at + 1);
  }
  return params;
}

/** Bare values hold more than tokens in practice: some phones leave the quotes off `uri` and `nonce`. */
function skipBare(text: string, start: number): number {
  let at = start;
  while (at < text.length && !', \t"'.includes(text[at]!)) at++;
  return at;
}
