import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import {
  audioOf,
  callAndTalk,
  hearEachOther,
  registeredPhone,
  type Talk,
  type UserPhoneOptions,
} from '../support/talk.ts';

interface Status {
  zones: { id: string; state: string; switches: { id: string; calls: number }[] }[];
  calls: number;
  registrations: number;
}

/** Ten phones in five talking pairs, `calls` calls spread over them. */
async function manyCalls(
  twinline: Installation,
  calls: number,
  options: UserPhoneOptions = {},
): Promise<{ phones: Phone[]; talks: Talk[] }> {
  const users = ['1001', '1002', '1003', '1004', '1005', '1006', '1007', '1008', '1009', '1010'];
  const phones = await Promise.all(users.map((user) => registeredPhone(twinline, user, options)));
  const talks: Talk[] = [];
  for (let call = 0; call < calls; call++) {
    const pair = call % 5;
    talks.push(await callAndTalk(phones[2 * pair]!, phones[2 * pair + 1]!));
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

function resetGaps(talks: readonly Talk[]): void {
  for (const { caller, callee } of talks) {
    audioOf(caller).resetGap();
    audioOf(callee).resetGap();
  }
}

/** What nobody may have noticed: nothing was sent to a phone, every call is still there. */
async function expectUnnoticed(
  twinline: Installation,
  phones: Phone[],
  talks: Talk[],
  seen: number[],
): Promise<void> {
  expect(phones.map((phone) => phone.received.next)).toEqual(seen);
  const { calls } = await twinline.twinline<Status>('status');
  expect(calls).toBe(talks.length);
}

/** The calls are not only heard but served: hold, resume and BYE are answered by whoever owns them now. */
async function holdResumeAndEnd(talks: readonly Talk[]): Promise<void> {
  for (const talk of talks) {
    expect((await talk.caller.hold()).status).toBe(200);
    expect((await talk.callee.hold()).status).toBe(200);
    await talk.callee.resume();
    await talk.caller.resume();
    await hearEachOther(talk, 3);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  }
}

const zoneOf = (status: Status, zone: string) => status.zones.find(({ id }) => id === zone);
const callsIn = (status: Status, zone: string) =>
  zoneOf(status, zone)?.switches.reduce((sum, one) => sum + one.calls, 0) ?? 0;

/** Asks for the status until it is as wished: the installation's own report is the event. */
async function statusWhen(
  twinline: Installation,
  what: string,
  wished: (status: Status) => boolean,
): Promise<Status> {
  const endMs = performance.now() + 15_000;
  for (;;) {
    const status = await twinline.twinline<Status>('status');
    if (wished(status)) return status;
    if (performance.now() > endMs)
      throw new Error(`not within 15 s: ${what}; last ${JSON.stringify(status)}`);
  }
}

describe('calls are up with audio both ways', () => {
  let twinline: Installation;
  let phones: Phone[] = [];
  beforeEach(async () => {
    twinline = await Installation.start();
  });
  afterEach(async () => {
    for (const phone of phones) await phone.close();
    await twinline?.stop();
  });

  it('fifty of them; a zone dies: all talk on, nobody is told, the twin answers hold and BYE', async () => {
    const crowd = await manyCalls(twinline, 50);
    phones = crowd.phones;
    const { talks } = crowd;
    const before = await twinline.twinline<Status>('status');
    expect(Math.abs(callsIn(before, 'a') - callsIn(before, 'b'))).toBeLessThanOrEqual(2);
    const seen = phones.map((phone) => phone.received.next);
    resetGaps(talks);
    await twinline.twinline('kill', 'zone', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100)));
    const sorted = gaps(talks);
    console.log(
      `zone killed: longest gaps, median ${sorted[sorted.length >> 1]?.toFixed(1)} ms, worst ${sorted.at(-1)?.toFixed(1)} ms`,
    );
    await expectUnnoticed(twinline, phones, talks, seen);
    expect(callsIn(await twinline.twinline<Status>('status'), 'b')).toBe(talks.length);
    await holdResumeAndEnd(talks);
  });

  it('one zone dies, comes back, then the other dies: SRTP with a wrapped sequence number goes on', async () => {
    const crowd = await manyCalls(twinline, 5, {
      srtp: ['AEAD_AES_256_GCM', 'AES_CM_128_HMAC_SHA1_80'],
      media: { startSequence: 65_500 },
    });
    phones = crowd.phones;
    const { talks } = crowd;
    // The wrap: more than 36 packets from each.
    await Promise.all(talks.map((talk) => hearEachOther(talk, 60)));
    const seen = phones.map((phone) => phone.received.next);
    await twinline.twinline('kill', 'zone', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 50)));
    await twinline.twinline('start', 'zone', 'a');
    await statusWhen(twinline, 'zone a is up', (status) => zoneOf(status, 'a')?.state === 'up');
    await expectUnnoticed(twinline, phones, talks, seen);
    await twinline.twinline('kill', 'zone', 'b');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 50)));
    await expectUnnoticed(twinline, phones, talks, seen);
    for (const { caller, callee } of talks) {
      for (const audio of [audioOf(caller), audioOf(callee)]) {
        expect(audio.stats()).toMatchObject({ indexReused: 0, authFailures: 0 });
      }
    }
    await holdResumeAndEnd(talks);
  });

  it('a switch dies: not one packet is missed', async () => {
    const crowd = await manyCalls(twinline, 10);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    await twinline.twinline('kill', 'switch', 'a1');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 50)));
    for (const { caller, callee } of talks) {
      expect([audioOf(caller).stats().lost, audioOf(callee).stats().lost]).toEqual([0, 0]);
    }
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });

  it('a media process dies: its twin goes on at the same address', async () => {
    const crowd = await manyCalls(twinline, 10);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    await twinline.twinline('kill', 'media', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 50)));
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });

  it('a zone is frozen: within three seconds all hear each other, and thawing it changes nothing', async () => {
    const crowd = await manyCalls(twinline, 10);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    resetGaps(talks);
    await twinline.twinline('freeze', 'zone', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 10_000)));
    expect(gaps(talks).at(-1)).toBeLessThan(3_000);
    await twinline.twinline('thaw', 'zone', 'a').catch(() => {});
    await Promise.all(talks.map((talk) => hearEachOther(talk, 20)));
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });
});
