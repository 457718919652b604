import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { audioOf as audioIn, parseSdp, type SrtpSuite } from '../../src/sdp/index.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { Phone, PhoneCall, PhoneMediaFactory } from '../support/phone.ts';
import { phoneMedia } from '../support/phone-media.ts';
import { audioOf, callAndTalk, hearEachOther } from '../support/talk.ts';

type Protection = SrtpSuite | 'plain';

const SUITES: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
const PROTECTIONS: readonly Protection[] = [...SUITES, 'plain'];

let twinline: Installation;
beforeAll(async () => {
  twinline = await Installation.start({
    config: path.join(ROOT, 'test/support/configuration/protection'),
  });
});
afterAll(() => twinline?.stop());

const crowd = new Crowd(() => twinline);
afterEach(() => crowd.leave());

/** A phone that can do these suites, over TLS, and one without any, over UDP. */
const phoneWith = (user: string, ...suites: readonly SrtpSuite[]): Promise<Phone> =>
  crowd.phone(user, suites.length === 0 ? {} : { transport: 'tls', srtp: suites });

const suitesIn = (sdp: string): { profile: string; suites: string[] } => {
  const parsed = parseSdp(sdp);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return {
    profile: parsed.value.media[0]!.protocol,
    suites: (audioIn(parsed.value)?.crypto ?? []).map(({ suite }) => suite),
  };
};

const offeredTo = (callee: PhoneCall) => suitesIn(callee.invite.body);

describe('every protection of one leg with every protection of the other', () => {
  const mixes = PROTECTIONS.flatMap((from) => PROTECTIONS.map((to) => [from, to] as const));
  it.each(mixes)('%s ↔ %s: both are heard, no index used twice', async (from, to) => {
    const list = (one: Protection) => (one === 'plain' ? [] : [one]);
    // A sequence number that wraps within the call: the rollover counter counts.
    const near = { startSequence: 65_530 };
    const ada = await crowd.phone('1003', {
      srtp: list(from),
      media: near,
      ...(from !== 'plain' && { transport: 'tls' }),
    });
    const charles = await crowd.phone('1004', {
      srtp: list(to),
      media: near,
      ...(to !== 'plain' && { transport: 'tls' }),
    });
    const talk = await callAndTalk(ada, charles);
    const [caller, callee] = [audioOf(talk.caller), audioOf(talk.callee)];
    expect(caller.stats().protection).toBe(from);
    expect(callee.stats().protection).toBe(to);
    for (const { stats } of [caller, callee].map((audio) => ({ stats: audio.stats() }))) {
      expect(stats).toMatchObject({
        indexReused: 0,
        rtcpIndexReused: 0,
        authFailures: 0,
        rtcpAuthFailures: 0,
        malformed: 0,
        unexpectedPayload: 0,
      });
    }
    await talk.callee.bye();
    await talk.caller.ended();
  });
});

describe('what a device is offered', () => {
  it.each([
    [
      'an app: the strongest first, RTP/SAVP',
      '1002',
      'RTP/SAVP',
      ['AEAD_AES_256_GCM', 'AES_256_CM_HMAC_SHA1_80'],
    ],
    ['a desk phone: AES-128 first', '1004', 'RTP/AVP', ['AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM']],
    [
      'a better desk phone: AES-256 first',
      '1006',
      'RTP/AVP',
      ['AES_256_CM_HMAC_SHA1_80', 'AEAD_AES_256_GCM'],
    ],
    [
      'a desk phone at a site that prefers 256 bits',
      '3001',
      'RTP/AVP',
      ['AES_256_CM_HMAC_SHA1_80', 'AEAD_AES_256_GCM'],
    ],
    [
      'a desk phone at a site that demands encryption: no way back to plain',
      '2002',
      'RTP/SAVP',
      ['AES_CM_128_HMAC_SHA1_80'],
    ],
    ['an old phone: nothing', '1008', 'RTP/AVP', []],
  ])('%s', async (_what, user, profile, first) => {
    const ada = await phoneWith('1007');
    const callee = await phoneWith(user, ...(first.length === 0 ? [] : SUITES));
    const talk = await callAndTalk(ada, callee, dialledFromFree(user));
    const offered = offeredTo(talk.callee);
    expect(offered.profile).toBe(profile);
    expect(offered.suites.slice(0, first.length)).toEqual(first);
    expect(offered.suites).toHaveLength(first.length === 0 ? 0 : SUITES.length);
    // PH-SEC-03 speaks of no short tags: they are never offered.
    expect(offered.suites.every((suite) => SUITES.includes(suite as SrtpSuite))).toBe(true);
    // The keys are of the right length and padded.
    for (const [, key] of talk.callee.invite.body.matchAll(/a=crypto:.* inline:(\S+)/g)) {
      expect(Buffer.from(key!, 'base64').toString('base64')).toBe(key);
    }
    await talk.caller.bye();
  });

  it('an app that offers all suites gets the strongest back, a desk phone AES-128', async () => {
    const app = await phoneWith('1001', ...[...SUITES].reverse());
    const desk = await phoneWith('1003', ...SUITES);
    const old = await phoneWith('1008');
    for (const [from, taken] of [
      [app, 'AEAD_AES_256_GCM'],
      [desk, 'AES_CM_128_HMAC_SHA1_80'],
    ] as const) {
      const talk = await callAndTalk(from, old);
      expect(audioOf(talk.caller).stats().protection).toBe(taken);
      await talk.caller.bye();
      await talk.callee.ended();
    }
  });
});

describe('where encryption is demanded', () => {
  it('an offer without SRTP gets 488, one with it talks', async () => {
    const bare = await phoneWith('2001');
    const strict = await phoneWith('2002', 'AES_CM_128_HMAC_SHA1_80');
    const call = await bare.call('2002');
    expect(await call.ended()).toMatchObject({ how: 'failed', status: 488 });
    expect(strict.calls.items).toHaveLength(0);
    await bare.unregister();
    const good = await phoneWith('2001', 'AES_CM_128_HMAC_SHA1_80');
    const talk = await callAndTalk(good, strict);
    // Nobody talks an encrypted call into a plain one.
    const plain = audioOf(talk.caller).offer({ srtp: [] });
    const flow = await good.flowFor('sip:2002@demo.twinline.test');
    const response = await talk.caller.request({
      method: 'UPDATE',
      contact: good.contact(flow),
      headers: [],
      body: plain,
      contentType: 'application/sdp',
    });
    expect(response.status).toBe(488);
    await hearEachOther(talk);
    await talk.caller.bye();
  });

  it('a phone there that has no SRTP does not talk: 488', async () => {
    const ada = await phoneWith('1001', ...SUITES);
    await phoneWith('2002');
    const call = await ada.call('822002');
    expect(await call.ended()).toMatchObject({ how: 'failed', status: 488 });
  });

  it('a phone elsewhere that has none is free to call there: each leg has its own protection', async () => {
    const old = await phoneWith('1007');
    const strict = await phoneWith('2002', 'AES_CM_128_HMAC_SHA1_80');
    const talk = await callAndTalk(old, strict, '822002');
    expect(audioOf(talk.callee).stats().protection).toBe('AES_CM_128_HMAC_SHA1_80');
    expect(audioOf(talk.caller).stats().protection).toBe('plain');
    await talk.callee.bye();
  });

  it('short tags are no agreement: 488', async () => {
    const app = await crowd.phone('1001', {
      transport: 'tls',
      srtp: ['AES_CM_128_HMAC_SHA1_80'],
      phone: { media: shortTags },
    });
    const desk = await phoneWith('1004', ...SUITES);
    const call = await app.call('1004');
    expect(call.invite.body).toContain('AES_CM_128_HMAC_SHA1_32');
    expect(await call.ended()).toMatchObject({ how: 'failed', status: 488 });
    expect(desk.calls.items).toHaveLength(0);
  });
});

/** The media of a phone that offers nothing but AES_CM_128_HMAC_SHA1_32, as some old ones do. */
const shortTags: PhoneMediaFactory = async (place) => {
  const media = await phoneMedia({ srtp: ['AES_CM_128_HMAC_SHA1_80'] })(place);
  const offer = media.offer.bind(media);
  media.offer = (options) => offer(options).replaceAll('_SHA1_80', '_SHA1_32');
  return media;
};

const dialledFromFree = (user: string): string => ({ '2': `82${user}`, '3': `83${user}` })[user[0]!] ?? user;
