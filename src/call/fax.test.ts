import { describe, expect } from 'vitest';
import type { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import type { ScriptedPhone } from '../../test/support/scripted-phone.ts';
import { header, type SipMessage } from '../sip/index.ts';

const encrypted = {
  people: {
    alice: { extension: '1001', profile: 'desk-128' },
    bob: { extension: '1002', profile: 'desk-128' },
  },
} as const;
const T38 = ['a=T38FaxVersion:0', 'a=T38MaxBitRate:14400', 'a=T38FaxUdpEC:t38UDPRedundancy'];
const G711 = ['0 PCMU/8000', '8 PCMA/8000'];

const faxSdp = (phone: ScriptedPhone, { version = 2, port = 4002, beside = '' } = {}): string =>
  [
    'v=0',
    `o=- 4711 ${version} IN IP4 ${phone.address}`,
    's=-',
    `c=IN IP4 ${phone.address}`,
    't=0 0',
    ...(beside === '' ? [] : [beside]),
    `m=image ${port} udptl t38`,
    ...T38,
    '',
  ].join('\r\n');
const linesIn = ({ body }: SipMessage): string[] => body.match(/^m=.*(?=\r)/gm) ?? [];
const t38In = ({ body }: SipMessage): string[] => body.match(/^a=T38.*(?=\r)/gm) ?? [];
const streams = (flow: CallFlow) =>
  [...flow.streams.values()].map(({ udptl, codecs, remote }) => ({
    udptl: udptl === true,
    codecs: codecs.length,
    port: remote?.port,
  }));

/** Bob's gateway has heard a fax tone and asks alice's to go over to T.38. */
function turnsToFax({ alice, bob }: Scene): { asked: SipMessage; told: SipMessage } {
  bob.asks('INVITE', { body: faxSdp(bob) });
  const asked = alice.request('INVITE');
  alice.answers(asked, 200, { body: faxSdp(alice, { port: 4102 }) });
  const told = bob.response(200, 'INVITE');
  bob.acks(told);
  return { asked, told };
}

describe('a fax by T.38', () => {
  scene('takes the place of the audio where both gateways offer it, and gives it back', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it, G711);
    const { asked, told } = turnsToFax(it);
    for (const said of [asked, told]) {
      expect(linesIn(said)).toEqual([expect.stringMatching(/^m=image \d+ udptl t38$/)]);
      expect(t38In(said)).toEqual(T38);
    }
    expect(streams(flow)).toEqual([
      { udptl: true, codecs: 0, port: 4102 },
      { udptl: true, codecs: 0, port: 4002 },
    ]);
    expect(flow.call?.state).toBe('talking');

    alice.asks('INVITE', { body: alice.sdp({ codecs: G711, version: 3 }) });
    const back = bob.request('INVITE');
    expect(linesIn(back)).toEqual([expect.stringMatching(/^m=audio \d+ RTP\/AVP 0 8$/)]);
    bob.answers(back, 200, { body: bob.sdp({ codecs: G711, version: 3 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(streams(flow).map(({ udptl, codecs }) => [udptl, codecs])).toEqual([
      [false, 2],
      [false, 2],
    ]);
    hangUp(alice, bob);
  });

  scene('is what a call begins with', {}, ({ flow, alice, bob }) => {
    alice.invite('1002', { body: faxSdp(alice, { version: 1 }) });
    const invite = bob.request('INVITE');
    expect(linesIn(invite)).toEqual([expect.stringMatching(/^m=image \d+ udptl t38$/)]);
    bob.answers(invite, 200, { body: faxSdp(bob, { version: 1 }) });
    const told = alice.response(200, 'INVITE');
    expect(t38In(told)).toEqual(T38);
    alice.acks(told);
    expect(streams(flow).map(({ udptl }) => udptl)).toEqual([true, true]);
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ fax }) => fax)).toEqual(['t38', 't38']);
  });

  scene('may be offered with the audio refused in its own line', {}, (it) => {
    const { alice, bob } = it;
    talk(it, G711);
    bob.asks('INVITE', { body: faxSdp(bob, { beside: 'm=audio 0 RTP/AVP 0' }) });
    alice.answers(alice.request('INVITE'), 200, { body: faxSdp(alice) });
    const told = bob.response(200, 'INVITE');
    expect(linesIn(told)).toEqual(['m=audio 0 RTP/AVP 0', expect.stringMatching(/^m=image \d+ udptl t38$/)]);
    bob.acks(told);
    hangUp(alice, bob);
  });

  scene('refused by the other gateway: 488, and the audio stays', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it, G711);
    bob.asks('INVITE', { body: faxSdp(bob) });
    const asked = alice.request('INVITE');
    alice.answers(asked, 488);
    bob.acks(bob.response(488));
    expect(streams(flow)).toMatchObject([{ udptl: false }, { udptl: false }]);
    hangUp(alice, bob);
  });

  scene('answered with its line refused: 488, and the audio is offered again', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it, G711);
    bob.asks('INVITE', { body: faxSdp(bob) });
    alice.answers(alice.request('INVITE'), 200, { body: faxSdp(alice, { port: 0 }) });
    const refusal = bob.response(488);
    expect(header(refusal, 'Warning')).toContain('no_fax');
    bob.acks(refusal);
    const again = alice.request('INVITE');
    expect(linesIn(again)).toEqual([expect.stringMatching(/^m=audio \d+ RTP\/AVP 0 8$/)]);
    alice.answers(again, 200, { body: alice.sdp({ codecs: G711, version: 3 }) });
    expect(streams(flow)).toMatchObject([
      { udptl: false, codecs: 2 },
      { udptl: false, codecs: 2 },
    ]);
    hangUp(alice, bob);
  });

  scene('is not what an encrypted call goes on with in clear', encrypted, ({ alice, bob }) => {
    const crypto = (tag: string) => [
      `${tag} AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 1).toString('base64')}`,
    ];
    alice.calls('1002', { crypto: crypto('1') });
    const invite = bob.request('INVITE');
    const tag = /a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80/.exec(invite.body)![1]!;
    bob.answers(invite, 200, { body: bob.sdp({ crypto: crypto(tag) }) });
    alice.acks(alice.response(200, 'INVITE'));
    bob.asks('INVITE', { body: faxSdp(bob) });
    const refusal = bob.response(488);
    expect(header(refusal, 'Warning')).toContain('encryption_required');
    bob.acks(refusal);
    hangUp(alice, bob);
  });

  scene('is refused where media passes no datagrams', {}, (it) => {
    const { flow, alice, bob } = it;
    flow.mediaCapabilities = ['relay', 'srtp', 'given-keys', 'report'];
    talk(it, G711);
    bob.asks('INVITE', { body: faxSdp(bob) });
    bob.acks(bob.response(488));
    hangUp(alice, bob);
  });

  scene('our own refresh says it again', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it, G711);
    turnsToFax(it);
    flow.advance(900_000);
    for (const phone of [alice, bob]) {
      const refresh = phone.request('INVITE');
      expect(t38In(refresh)).toEqual(T38);
      phone.answers(refresh, 200, { body: faxSdp(phone) });
    }
    expect(streams(flow).map(({ udptl }) => udptl)).toEqual([true, true]);
    hangUp(alice, bob);
  });
});

describe('a fax as G.711', () => {
  scene('passes as it is between two ends that have one law in common', {}, (it) => {
    const { flow, alice, bob } = it;
    flow.transcodes = ['opus', 'g722', 'pcmu', 'pcma', 'g729'];
    alice.calls('1002', { codecs: G711 });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: ['8 PCMA/8000'] }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect([...flow.streams.values()].map(({ codecs }) => codecs.map(({ name }) => name))).toEqual([
      ['pcma'],
      ['pcma'],
    ]);
    hangUp(alice, bob);
  });
});
