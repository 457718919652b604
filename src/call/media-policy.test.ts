import { describe, expect } from 'vitest';
import type { CallFlowOptions, PersonOptions } from '../../test/support/call-flow.ts';
import { hangUp, scene } from '../../test/support/call-scenario.ts';
import { KEY_SALT_LENGTH, type SrtpSuite } from '../sdp/index.ts';
import { header } from '../sip/index.ts';

const key = (suite: SrtpSuite, fill: number): string =>
  Buffer.alloc(KEY_SALT_LENGTH[suite], fill).toString('base64');
const line = (tag: number, suite: SrtpSuite, fill = tag): string =>
  `${tag} ${suite} inline:${key(suite, fill)}`;

const people = (
  alice: Partial<PersonOptions>,
  bob: Partial<PersonOptions>,
): NonNullable<CallFlowOptions['people']> => ({
  alice: { extension: '1001', ...alice },
  bob: { extension: '1002', ...bob },
});

describe('what each leg is protected by', () => {
  scene(
    'an app offers all suites: the strongest is taken; a desk phone is offered its own, under RTP/AVP',
    {
      people: people({ profile: 'app' }, { profile: 'desk-128' }),
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002', {
        profile: 'RTP/SAVP',
        crypto: [line(1, 'AES_CM_128_HMAC_SHA1_80'), line(2, 'AEAD_AES_256_GCM')],
      });
      const invite = bob.request('INVITE');
      expect(invite.body).toMatch(/m=audio \d+ RTP\/AVP /);
      expect(invite.body).toMatch(/a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}\r\n/);
      bob.answers(invite, 200, { body: bob.sdp({ crypto: [line(1, 'AES_CM_128_HMAC_SHA1_80', 9)] }) });
      const ok = alice.response(200);
      expect(ok.body).toMatch(/m=audio \d+ RTP\/SAVP /);
      expect(ok.body).toMatch(/a=crypto:2 AEAD_AES_256_GCM inline:[A-Za-z0-9+/]{59}=\r\n/);
      alice.acks(ok);
      const [toAlice, toBob] = [...flow.streams.values()];
      expect(toAlice?.receiveKey).toEqual({ suite: 'AEAD_AES_256_GCM', keySalt: key('AEAD_AES_256_GCM', 2) });
      expect(ok.body).toContain(toAlice?.sendKey?.keySalt);
      expect(toBob?.receiveKey?.keySalt).toBe(key('AES_CM_128_HMAC_SHA1_80', 9));
      expect(invite.body).toContain(toBob?.sendKey?.keySalt);
      hangUp(alice, bob);
      expect(flow.record.legs.map(({ srtp }) => srtp)).toEqual([
        'AEAD_AES_256_GCM',
        'AES_CM_128_HMAC_SHA1_80',
      ]);
    },
  );

  scene(
    'a desk phone without SRTP answers plain; the other leg stays encrypted',
    {
      people: people({ profile: 'app' }, { profile: 'desk-128' }),
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002', { profile: 'RTP/SAVP', crypto: [line(1, 'AEAD_AES_256_GCM')] });
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      alice.acks(alice.response(200));
      hangUp(bob, alice);
      expect(flow.record.legs.map(({ srtp }) => srtp)).toEqual(['AEAD_AES_256_GCM', 'plain']);
    },
  );

  scene(
    'a desk phone that takes RTP/SAVP alone says 488 to keys under RTP/AVP: it is asked once more',
    { people: people({}, { profile: 'desk-128' }) },
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      const first = bob.request('INVITE');
      expect(first.body).toMatch(/m=audio \d+ RTP\/AVP /);
      bob.answers(first, 488);
      const second = bob.request('INVITE');
      expect(second.body).toMatch(/m=audio \d+ RTP\/SAVP /);
      expect(header(second, 'Call-ID')).not.toBe(header(first, 'Call-ID'));
      const crypto = [line(1, 'AES_CM_128_HMAC_SHA1_80', 9)];
      bob.answers(second, 200, { body: bob.sdp({ profile: 'RTP/SAVP', crypto }) });
      alice.acks(alice.response(200));
      hangUp(alice, bob);
      expect(flow.record).toMatchObject({ outcome: 'answered' });
      expect(flow.record.legs.at(-1)).toMatchObject({ role: 'callee', srtp: 'AES_CM_128_HMAC_SHA1_80' });
    },
  );

  scene(
    'one that has nothing in common with the caller is not asked a third time',
    { people: people({}, { profile: 'desk-128' }) },
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 488);
      bob.answers(bob.request('INVITE'), 488);
      alice.acks(alice.response(488));
      expect(flow.record).toMatchObject({ status: 488 });
    },
  );

  scene(
    'an app is offered RTP/SAVP with 256-bit GCM first',
    {
      people: people({}, { profile: 'app' }),
    },
    ({ alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      expect(invite.body).toMatch(/m=audio \d+ RTP\/SAVP /);
      expect(invite.body).toContain('a=crypto:1 AEAD_AES_256_GCM');
      // PH-SEC-05 is for desk phones: an app that answers plain breaks its promise.
      bob.answers(invite, 200, { body: bob.sdp({ profile: 'RTP/SAVP' }) });
      bob.request('ACK');
      bob.answers(bob.request('BYE'), 200);
      alice.acks(alice.response(488));
    },
  );

  scene(
    'a plain phone is offered no keys',
    { people: people({}, { profile: 'plain' }) },
    ({ alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      expect(invite.body).not.toContain('a=crypto');
      bob.answers(invite, 486);
      alice.acks(alice.response(486));
    },
  );

  scene(
    "a site's switch raises desk phones to 256 bits",
    {
      people: people({}, { profile: 'desk-128' }),
      sites: { north: { prefer256: true } },
    },
    ({ alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      expect(invite.body).toContain('a=crypto:1 AES_256_CM_HMAC_SHA1_80');
      bob.answers(invite, 486);
      alice.acks(alice.response(486));
    },
  );
});

describe('a proxy behind the contact forks', () => {
  scene(
    'one phone gives early media under SRTP, the other answers plain',
    {
      people: people({}, { profile: 'desk-128' }),
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      bob.answers(invite, 183, { body: bob.sdp({ crypto: [line(1, 'AES_CM_128_HMAC_SHA1_80')] }) });
      alice.response(183);
      expect([...flow.streams.values()][1]?.receiveKey?.suite).toBe('AES_CM_128_HMAC_SHA1_80');
      bob.localTag = 'another-phone';
      bob.answers(invite, 200, { body: bob.sdp() });
      expect([...flow.streams.values()][1]?.receiveKey).toBeUndefined();
      alice.acks(alice.response(200, 'INVITE'));
      hangUp(bob, alice);
    },
  );

  scene('both answer: the second gets ACK and BYE', {}, ({ alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 200, { body: bob.sdp() });
    bob.request('ACK');
    bob.localTag = 'another-phone';
    bob.answers(invite, 200, { body: bob.sdp() });
    expect(header(bob.request('ACK'), 'To')).toContain('another-phone');
    const bye = bob.request('BYE');
    expect(header(bye, 'To')).toContain('another-phone');
    bob.answers(bye, 200);
    bob.localTag = 'bob-tag';
    alice.acks(alice.response(200, 'INVITE'));
    alice.asks('BYE');
    expect(header(bob.request('BYE'), 'To')).toContain('bob-tag');
  });
});

describe('a site that demands encryption', () => {
  const sites = { north: { requireMediaEncryption: true } };

  scene(
    'refuses an offer without keys: 488 and a reason in the record',
    {
      people: people({ profile: 'desk-128' }, { profile: 'desk-128' }),
      sites,
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      const refusal = alice.response(488);
      expect(header(refusal, 'Warning')).toBe('399 Twinline "encryption_required"');
      alice.acks(refusal);
      expect(bob.heard).toEqual([]);
      expect(flow.record).toMatchObject({ status: 488, reason: 'encryption_required' });
    },
  );

  scene(
    'refuses a callee that answers plain',
    {
      people: people({ site: 'south' }, { profile: 'desk-128' }),
      sites,
    },
    ({ flow, alice, bob }) => {
      alice.calls('801002');
      const invite = bob.request('INVITE');
      expect(invite.body).toMatch(/m=audio \d+ RTP\/SAVP /);
      bob.answers(invite, 200, { body: bob.sdp() });
      bob.request('ACK');
      bob.answers(bob.request('BYE'), 200);
      alice.acks(alice.response(488));
      expect(flow.record).toMatchObject({ status: 488, reason: 'encryption_required' });
    },
  );

  scene(
    'does not even ring a phone that has no SRTP',
    {
      people: people({ site: 'south' }, { profile: 'plain' }),
      sites,
    },
    ({ flow, alice, bob }) => {
      alice.calls('801002');
      alice.acks(alice.response(488));
      expect(bob.heard).toEqual([]);
      expect(flow.record.reason).toBe('encryption_required');
    },
  );
});

describe('codecs', () => {
  scene('bob answers with payload types of his own: alice hears hers', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', { codecs: ['96 opus/48000/2', '0 PCMU/8000', '101 telephone-event/8000'] });
    const invite = bob.request('INVITE');
    expect(invite.body).toContain('a=rtpmap:96 opus/48000/2');
    bob.answers(invite, 200, { body: bob.sdp({ codecs: ['111 opus/48000/2', '110 telephone-event/8000'] }) });
    const ok = alice.response(200);
    expect(ok.body).toContain('RTP/AVP 96 101\r\n');
    alice.acks(ok);
    const [toAlice, toBob] = [...flow.streams.values()];
    expect(toAlice?.codecs.map(({ payloadType }) => payloadType)).toEqual([96, 101]);
    expect(toBob?.codecs.map(({ payloadType }) => payloadType)).toEqual([111, 110]);
    hangUp(alice, bob);
  });

  scene('nothing in common: 488 for alice, ACK and BYE for bob', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', { codecs: ['0 PCMU/8000'] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: ['9 G722/8000'] }) });
    bob.request('ACK');
    bob.answers(bob.request('BYE'), 200);
    alice.acks(alice.response(488));
    expect(flow.record.reason).toBe('no_common_codec');
  });

  for (const [what, body] of [
    [
      'an offer of telephone events alone',
      'm=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n',
    ],
    ['an offer of video alone', 'm=video 4000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n'],
    ['an offer of DTLS-SRTP', 'm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 AA\r\n'],
    ['a refused audio line', 'm=audio 0 RTP/AVP 0\r\n'],
    ['no SDP at all', undefined],
  ] as const) {
    scene(`${what} is refused with 488`, {}, ({ flow, alice }) => {
      const head = `v=0\r\no=- 1 1 IN IP4 ${alice.address}\r\ns=-\r\nc=IN IP4 ${alice.address}\r\nt=0 0\r\n`;
      alice.invite('1002', { body: body === undefined ? 'hello' : head + body });
      alice.acks(alice.response(488));
      expect(flow.record.status).toBe(488);
    });
  }

  scene('beside audio a video line is refused in its place', {}, ({ alice, bob }) => {
    alice.calls('1002', { extra: ['m=video 4004 RTP/AVP 97', 'a=rtpmap:97 H264/90000'] });
    const invite = bob.request('INVITE');
    expect(invite.body).not.toContain('m=video');
    bob.answers(invite, 200, { body: bob.sdp() });
    const ok = alice.response(200);
    expect(ok.body).toContain('m=video 0 RTP/AVP 97');
    alice.acks(ok);
    hangUp(alice, bob);
  });
});
