import { describe, expect } from 'vitest';
import { browserSdp } from '../../test/support/browser-sdp.ts';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import { OUR_CAPABILITIES } from '../media/index.ts';
import { header } from '../sip/index.ts';

/** As rtpengine has them. */
const FEW = ['relay', 'srtp', 'report'] as const;
const suite = 'AES_CM_128_HMAC_SHA1_80';
const cryptoOf = (tag: string, fill: number) => [
  `${tag} ${suite} inline:${Buffer.alloc(30, fill).toString('base64')}`,
];
const desks = {
  people: {
    alice: { extension: '1001', profile: 'desk-128' },
    bob: { extension: '1002', profile: 'desk-128' },
  },
} as const;

const keyIn = (body: string): string | undefined =>
  new RegExp(`^a=crypto:\\d+ ${suite} inline:([^|\\s]+)`, 'm').exec(body)?.[1];
const tagIn = (body: string): string => new RegExp(`^a=crypto:(\\d+) ${suite}`, 'm').exec(body)![1]!;

describe('media that sends under keys of its own', () => {
  const talkInSecret = ({ flow, alice, bob }: Scene) => {
    flow.mediaCapabilities = FEW;
    alice.calls('1002', { crypto: cryptoOf('7', 1) });
    const invite = bob.request('INVITE');
    bob.answers(invite, 200, { body: bob.sdp({ crypto: cryptoOf(tagIn(invite.body), 2) }) });
    bob.request('ACK');
    const ok = alice.response(200, 'INVITE');
    alice.acks(ok);
    return { toAlice: keyIn(ok.body), toBob: keyIn(invite.body), tag: tagIn(ok.body) };
  };
  const keysOf = ({ flow }: Scene) =>
    flow.call!.legs.map(({ media }) => media.opened?.sendKeys?.find((key) => key.suite === suite)?.keySalt);

  scene('both phones are told those', desks, (it) => {
    const { toAlice, toBob, tag } = talkInSecret(it);
    expect([toAlice, toBob]).toEqual(keysOf(it));
    expect(toAlice).not.toBe(toBob);
    expect(tag).toBe('7');
    hangUp(it.alice, it.bob);
    expect(it.flow.record.legs.map(({ srtp }) => srtp)).toEqual([suite, suite]);
  });

  scene('a hold keeps them, and what takes the place of a lost stream has others', desks, (it) => {
    const { flow, alice, bob } = it;
    const { toAlice, toBob } = talkInSecret(it);
    bob.asks('INVITE', { body: bob.sdp({ crypto: cryptoOf('1', 2), direction: 'sendonly', version: 2 }) });
    const held = alice.request('INVITE');
    expect(keyIn(held.body)).toBe(toAlice);
    alice.answers(held, 200, {
      body: alice.sdp({ crypto: cryptoOf(tagIn(held.body), 1), direction: 'recvonly', version: 2 }),
    });
    alice.request('ACK');
    const ok = bob.response(200, 'INVITE');
    expect(keyIn(ok.body)).toBe(toBob);
    bob.acks(ok);
    flow.loseMedia();
    for (const phone of [alice, bob]) {
      const invite = phone.request('INVITE');
      expect([toAlice, toBob]).not.toContain(keyIn(invite.body));
      phone.answers(invite, 200, {
        body: phone.sdp({
          crypto: cryptoOf(tagIn(invite.body), 3),
          direction: phone === alice ? 'recvonly' : 'sendonly',
          version: 3,
        }),
      });
      phone.request('ACK');
    }
    expect(flow.call!.legs.map(({ media }) => media.sendKey?.keySalt)).toEqual(keysOf(it));
    hangUp(alice, bob);
  });
});

describe('media without DTLS', () => {
  const withBrowser = (who: 'alice' | 'bob') => ({
    people: {
      alice: { extension: '1001', ...(who === 'alice' && { transport: 'wss' as const, browser: true }) },
      bob: { extension: '1002', ...(who === 'bob' && { transport: 'wss' as const, browser: true }) },
    },
  });

  scene(
    'a browser that calls is refused before anyone rings',
    withBrowser('alice'),
    ({ flow, alice, bob }) => {
      flow.mediaCapabilities = FEW;
      alice.invite('1002', { body: browserSdp() });
      const refusal = alice.response(488);
      expect(header(refusal, 'Warning')).toContain('"dtls"');
      alice.acks(refusal);
      expect(bob.heard).toEqual([]);
      expect(flow.record).toMatchObject({ outcome: 'failed', reason: 'media has no DTLS' });
    },
  );

  scene('a browser is not called', withBrowser('bob'), ({ flow, alice, bob }) => {
    flow.mediaCapabilities = FEW;
    alice.calls('1002');
    alice.acks(alice.response(488));
    expect(bob.heard).toEqual([]);
  });
});

describe('payload types that differ', () => {
  const PCMU = '0 PCMU/8000';
  for (const [name, capabilities, answered] of [
    ['media that maps them: each leg has its own', OUR_CAPABILITIES, /m=audio \d+ RTP\/AVP 0 101\r\n/],
    ['media that does not: the codec is left out', FEW, /m=audio \d+ RTP\/AVP 0\r\n/],
  ] as const)
    scene(name, {}, ({ flow, alice, bob }) => {
      flow.mediaCapabilities = capabilities;
      alice.calls('1002', { codecs: [PCMU, '101 telephone-event/8000'] });
      const invite = bob.request('INVITE');
      bob.answers(invite, 200, { body: bob.sdp({ codecs: [PCMU, '96 telephone-event/8000'] }) });
      bob.request('ACK');
      const ok = alice.response(200, 'INVITE');
      expect(ok.body).toMatch(answered);
      alice.acks(ok);
      hangUp(alice, bob);
    });

  scene('the same numbers pass', {}, (it) => {
    it.flow.mediaCapabilities = FEW;
    talk(it, [PCMU, '101 telephone-event/8000']);
    expect(it.flow.call!.legs.map(({ media }) => media.codecs.length)).toEqual([2, 2]);
    hangUp(it.alice, it.bob);
  });
});
