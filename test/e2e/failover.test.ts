import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import {
  callsIn,
  expectUnnoticed,
  gapsOf,
  holdResumeAndEnd,
  manyCalls,
  resetGaps,
  type Status,
  statusWhen,
  zoneOf,
} from '../support/many-calls.ts';
import type { Phone } from '../support/phone.ts';
import { audioOf, hearEachOther } from '../support/talk.ts';

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
    const sorted = gapsOf(talks);
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
    expect(gapsOf(talks).at(-1)).toBeLessThan(3_000);
    await twinline.twinline('thaw', 'zone', 'a').catch(() => {});
    await Promise.all(talks.map((talk) => hearEachOther(talk, 20)));
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });
});
