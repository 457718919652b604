/**
 * The 48-bit packet index of RFC 3711 §3.3.1, 65536 × rollover counter + sequence number, as a plain number (below 2^53).
 */
export const INDEX_LIMIT = 2 ** 48;
const WRAP = 65_536;

/**
 * The index that a sequence number most likely stands for when `highest` is the highest index seen (RFC 3711 Appendix A).
 * Negative when the packet would be from before index 0: there is none such.
 */
export function estimateIndex(sequence: number, highest: number): number {
  const distance = ((sequence - (highest & 0xffff)) << 16) >> 16;
  return highest + distance;
}

export const rolloverOf = (index: number): number => Math.floor(index / WRAP);
export const sequenceOf = (index: number): number => index & 0xffff;
export const indexOf = (rollover: number, sequence: number): number => rollover * WRAP + sequence;
