/** RFC 6716 §3.1: configurations from here on are CELT alone, which carries no redundancy. */
const FIRST_CELT = 16;
const FIRST_HYBRID = 12;

/**
 * Whether an Opus payload in [from, to) carries the frame before it once more (LBRR, RFC 6716 §4.2.4): the flag stands behind the voice flags of
 * the 20 ms parts at the head of the first frame, bits that are read without the range decoder. False for what is no Opus packet.
 */
export function opusCarriesFec(payload: Uint8Array, from: number, to: number): boolean {
  if (!(from >= 0 && to <= payload.length && to - from >= 2)) return false;
  const toc = payload[from]!;
  const configuration = toc >> 3;
  if (configuration >= FIRST_CELT) return false;
  const parts = configuration < FIRST_HYBRID ? Math.max(1, configuration & 3) : 1;
  const at = firstFrame(payload, from, to);
  if (at < 0 || at >= to) return false;
  const head = payload[at]!;
  const flag = (head >> (7 - parts)) & 1;
  const isStereo = (toc & 4) !== 0;
  return flag === 1 || (isStereo && parts < 3 && ((head >> (6 - 2 * parts)) & 1) === 1);
}

/** Where the first frame begins (RFC 6716 §3.2); negative where it has no octets. */
function firstFrame(payload: Uint8Array, from: number, to: number): number {
  switch (payload[from]! & 3) {
    case 0:
    case 1:
      return from + 1;
    case 2: {
      const length = payload[from + 1]!;
      return length === 0 ? -1 : from + (length < 252 ? 2 : 3);
    }
    default:
      return firstOfMany(payload, from + 1, to);
  }
}

/** Code 3: a count, padding, and with variable rates the lengths of all frames but the last. */
function firstOfMany(payload: Uint8Array, from: number, to: number): number {
  const count = payload[from]!;
  let at = from + 1;
  if ((count & 0x40) !== 0) while (at < to && payload[at++] === 255);
  if ((count & 0x80) === 0) return at;
  if (payload[at] === 0) return -1;
  for (let i = 1; i < (count & 63) && at < to; i++) at += payload[at]! < 252 ? 1 : 2;
  return at;
}
