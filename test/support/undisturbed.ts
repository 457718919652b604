import { expect } from 'vitest';
import { audioOf, hearEachOther, type Talk } from './talk.ts';

/**
 * What a call may wait beyond what the test's own process stood still itself: it is the attacker, the speaker and the ear, so that a pause of
 * its own counts twice, and all of it shares few cores with the server. The sharper test is that nothing was lost.
 */
const SERVER_GAP_MS = 300;

/** Marks the call's audio as it is now. */
export function listen(talks: readonly Talk[]): () => Promise<void> {
  const before = talks.map(countsOf);
  for (const { caller, callee } of talks) {
    audioOf(caller).resetGap();
    audioOf(callee).resetGap();
  }
  /** Both ways all was heard since, from nobody else, without a gap. */
  return async () => {
    await Promise.all(talks.map((talk) => hearEachOther(talk, 10)));
    for (const [at, talk] of talks.entries()) {
      const now = countsOf(talk);
      for (const side of ['caller', 'callee'] as const) {
        const [was, is] = [before[at]![side], now[side]];
        const ownMs = Math.max(now.caller.longestSendGapMs, now.callee.longestSendGapMs);
        const seen = {
          lost: is.lost - was.lost,
          duplicates: is.duplicates - was.duplicates,
          authFailures: is.authFailures - was.authFailures,
          speakers: Object.keys(is.heardFrom).length,
          gap:
            is.longestGapMs <= 2 * ownMs + SERVER_GAP_MS ? 'none' : `${is.longestGapMs} ms, ours ${ownMs} ms`,
        };
        expect(seen).toEqual({ lost: 0, duplicates: 0, authFailures: 0, speakers: 1, gap: 'none' });
      }
    }
  };
}

const countsOf = (talk: Talk) => ({
  caller: audioOf(talk.caller).stats(),
  callee: audioOf(talk.callee).stats(),
});
