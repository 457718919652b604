import { fromBytes } from '../sip/index.ts';

/** How much of a message is searched for its User-Agent: scanners are brief. */
const SEARCHED_BYTES = 4_096;

/** Whether a message names a known scanner in its User-Agent: it meets silence, so that it learns not even that SIP is spoken here. */
export function scannerPattern(names: readonly string[]): (bytes: Uint8Array) => boolean {
  if (names.length === 0) return () => false;
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`\\nUser-Agent[ \\t]*:[ \\t]*(?:${escaped.join('|')})`, 'i');
  return (bytes) => pattern.test(fromBytes(bytes, 0, Math.min(bytes.length, SEARCHED_BYTES)));
}
