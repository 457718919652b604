/**
 * Which of the last 128 indices were seen (RFC 3711 §3.3.2): plain data, JSON as it stands. Bit k of the window stands for
 * index `highest - k`; word 0 holds the latest 32.
 */
export interface ReplayWindow {
  /** -1: nothing seen. */
  highest: number;
  readonly words: [number, number, number, number];
}

export const REPLAY_WINDOW_LENGTH = 128;

export const newReplayWindow = (): ReplayWindow => ({ highest: -1, words: [0, 0, 0, 0] });

/** Whether `index` may still be taken: above the highest, or in the window and not seen. */
export function isFresh(window: ReplayWindow, index: number): boolean {
  const age = window.highest - index;
  if (age < 0) return true;
  if (age >= REPLAY_WINDOW_LENGTH) return false;
  return (window.words[age >>> 5]! & (1 << (age & 31))) === 0;
}

/** Marks an index as seen; one that is too old for the window leaves it as it is. */
export function markSeen(window: ReplayWindow, index: number): void {
  const age = window.highest - index;
  if (age >= REPLAY_WINDOW_LENGTH) return;
  const { words } = window;
  if (age >= 0) {
    words[age >>> 5] = words[age >>> 5]! | (1 << (age & 31));
    return;
  }
  shift(words, window.highest < 0 ? REPLAY_WINDOW_LENGTH : -age);
  window.highest = index;
  words[0] |= 1;
}

function shift(words: ReplayWindow['words'], by: number): void {
  if (by >= REPLAY_WINDOW_LENGTH) {
    words[0] = words[1] = words[2] = words[3] = 0;
    return;
  }
  for (let whole = by >>> 5; whole > 0; whole--) {
    words[3] = words[2];
    words[2] = words[1];
    words[1] = words[0];
    words[0] = 0;
  }
  const bits = by & 31;
  if (bits === 0) return;
  const carry = 32 - bits;
  words[3] = (words[3] << bits) | (words[2] >>> carry);
  words[2] = (words[2] << bits) | (words[1] >>> carry);
  words[1] = (words[1] << bits) | (words[0] >>> carry);
  words[0] <<= bits;
}
