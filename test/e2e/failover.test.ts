import { afterEach, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import { audioOf, callAndTalk, hearEachOther, registeredPhone, type Talk } from '../support/talk.ts';

interface Status {
  zones: { id: string; state: string; switches: { id: string; calls: number }[] }[];
  calls: number;
  registrations: number;
}

const PAIRS = 5;
const CALLS_PER_PAIR = 10;

/** Ten phones, five talking pairs, so many calls between each. */
async function manyCalls(twinline: Installation): Promise<{ phones: Phone[]; talks: Talk[] }> {
  const users = Array.from({ length: 2 * PAIRS }, (_, at) => String(1001 + at));
  // 1009 and 1010 sit at another site: dialled with its code.
  const dialled = (user: string) => (user === '1010' ? '1010' : user);
  const phones = await Promise.all(users.map((user) => registeredPhone(twinline, user)));
  const talks: Talk[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    for (let call = 0; call < CALLS_PER_PAIR; call++) {
      const callee = phones[2 * pair + 1]!;
      talks.push(await callAndTalk(phones[2 * pair]!, callee, dialled(callee.options.user)));
    }
  }
  return { phones, talks };
}

const gaps = (talks: readonly Talk[]): number[] =>
  talks
    .flatMap(({ caller, callee }) => [
      audioOf(caller).stats().longestGapMs,
      audioOf(callee).stats().longestGapMs,
    ])
    .sort((a, b) => a - b);

describe('fifty calls are up', () => {
  let twinline: Installation | undefined;
  afterEach(async () => {
    await twinline?.stop();
    twinline = undefined;
  });

  it('a zone dies: all talk on, nobody is told, the twin answers hold and BYE', async () => {
    twinline = await Installation.start();
    const { phones, talks } = await manyCalls(twinline);
    try {
      const before = await twinline.twinline<Status>('status');
      expect(before.calls).toBe(talks.length);
      const seen = phones.map((phone) => phone.received.next);
      for (const { caller, callee } of talks) {
        audioOf(caller).resetGap();
        audioOf(callee).resetGap();
      }
      await twinline.twinline('kill', 'zone', 'a');
      await Promise.all(talks.map((talk) => hearEachOther(talk, 100)));
      const sorted = gaps(talks);
      console.log(`longest gaps: median ${sorted[sorted.length >> 1]} ms, worst ${sorted.at(-1)} ms`);
      // No BYE, no re-INVITE, nothing at all reached a phone.
      expect(phones.map((phone) => phone.received.next)).toEqual(seen);
      const after = await twinline.twinline<Status>('status');
      expect(after.calls).toBe(talks.length);
      expect(
        after.zones.find(({ id }) => id === 'b')?.switches.reduce((sum, one) => sum + one.calls, 0),
      ).toBe(talks.length);
      for (const talk of talks) {
        await talk.caller.hold();
        await talk.caller.resume();
        await talk.callee.bye();
        expect((await talk.caller.ended()).how).toBe('bye');
      }
    } finally {
      for (const phone of phones) await phone.close();
    }
  });
});
