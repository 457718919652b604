import { is, isToken, PARAM, quote, skip, skipQuoted, skipSpace, TOKEN, unquote } from './chars.ts';

/**
 * `;name=value` parameters, names in lower case, values unquoted; `true` for one without a value. The object has no prototype, so a
 * parameter named `constructor` is only that.
 */
export type Params = Readonly<Record<string, string | true>>;

export interface ScannedParams {
  readonly params: Record<string, string | true>;
  /** Where the parameters end: the end of the text or the first character that cannot belong to them. */
  readonly end: number;
}

const VALUE = TOKEN | PARAM;

export const noParams = (): Record<string, string | true> =>
  Object.create(null) as Record<string, string | true>;

/** RFC 3261 §25.1 generic-param, as many as there are, from `at` on. Undefined if one is malformed. */
export function scanParams(text: string, at: number): ScannedParams | undefined {
  const params = noParams();
  let pos = skipSpace(text, at);
  while (text.charCodeAt(pos) === 0x3b) {
    const nameStart = skipSpace(text, pos + 1);
    const nameEnd = skip(text, nameStart, TOKEN);
    if (nameEnd === nameStart) return undefined;
    const name = text.slice(nameStart, nameEnd).toLowerCase();
    pos = skipSpace(text, nameEnd);
    let value: string | true = true;
    if (text.charCodeAt(pos) === 0x3d) {
      const start = skipSpace(text, pos + 1);
      const quoted = text.charCodeAt(start) === 0x22;
      const end = quoted ? skipQuoted(text, start) : skip(text, start, VALUE);
      if (end === -1 || end === start) return undefined;
      value = quoted ? unquote(text.slice(start, end)) : text.slice(start, end);
      pos = skipSpace(text, end);
    }
    // The first of two counts: what a check saw first cannot be replaced behind it.
    if (!(name in params)) params[name] = value;
  }
  return { params, end: pos };
}

/** Parameters that must fill the whole text from `at` on. */
export function parseTokenParams(text: string, at = 0): Params | undefined {
  const scanned = scanParams(text, at);
  return scanned !== undefined && scanned.end === text.length ? scanned.params : undefined;
}

export function serializeParams(params: Params): string {
  let text = '';
  for (const name in params) {
    const value = params[name]!;
    text += value === true ? `;${name}` : `;${name}=${needsNoQuotes(value) ? value : quote(value)}`;
  }
  return text;
}

const needsNoQuotes = (value: string): boolean =>
  isToken(value) || (is(value, 0, VALUE) && skip(value, 0, VALUE) === value.length);
