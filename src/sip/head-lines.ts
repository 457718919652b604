import { isSpace, skip, TOKEN, trimmed } from './chars.ts';
import { canonicalName } from './header-names.ts';
import type { SipHeader } from './message.ts';

/** Where the line that begins at `pos` ends: its CR, or the end of the text. */
export function lineEndFrom(head: string, pos: number): number {
  const end = head.indexOf('\r\n', pos);
  return end === -1 ? head.length : end;
}

/** Whether the line behind the one that ends at `end` continues it: it begins with white space (RFC 3261 §7.3.1). */
export const isFolded = (head: string, end: number): boolean => isSpace(head.charCodeAt(end + 2));

/** A line with its continuations as one line, and where the last of them ends. */
export function unfold(head: string, start: number, firstEnd: number): { line: string; end: number } {
  const pieces = [trimmed(head, start, firstEnd)];
  let end = firstEnd;
  while (isFolded(head, end)) {
    const next = lineEndFrom(head, end + 2);
    const piece = trimmed(head, end + 2, next);
    if (piece !== '') pieces.push(piece);
    end = next;
  }
  return { line: pieces.join(' '), end };
}

/** One unfolded header line; undefined if malformed. */
export function readHeader(text: string, start: number, end: number): SipHeader | undefined {
  const nameEnd = skip(text, start, TOKEN);
  let colon = nameEnd;
  while (isSpace(text.charCodeAt(colon))) colon++;
  if (nameEnd === start || colon >= end || text.charCodeAt(colon) !== 0x3a) return undefined;
  const value = trimmed(text, colon + 1, end);
  // A lone CR or LF would be a line break to a laxer reader behind us.
  if (value.includes('\n') || value.includes('\r')) return undefined;
  return { name: canonicalName(text.slice(start, nameEnd)), value };
}

/**
 * A header line with its continuations, and where the last of them ends. The colon must stand in the first line: HCOLON allows no
 * folding before it (§25.1).
 */
export function readFolded(
  head: string,
  start: number,
  firstEnd: number,
): { entry: SipHeader | undefined; end: number } {
  const { line, end } = unfold(head, start, firstEnd);
  const hasName = readHeader(head, start, firstEnd) !== undefined;
  return { entry: hasName ? readHeader(line, 0, line.length) : undefined, end };
}
