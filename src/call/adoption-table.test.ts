import { describe, expect, it } from 'vitest';
import { browserSdp } from '../../test/support/browser-sdp.ts';
import { adoptedIn, hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';
import { adoptions } from './index.ts';

const overTls = {
  people: {
    alice: { extension: '1001', transport: 'tls' },
    bob: { extension: '1002', transport: 'tls' },
  },
} as const;
const withSrtp = {
  people: { alice: { extension: '1001', profile: 'desk-128' }, bob: { extension: '1002' } },
} as const;
const bothWithSrtp = {
  people: {
    alice: { extension: '1001', profile: 'desk-128' },
    bob: { extension: '1002', profile: 'desk-128' },
  },
} as const;
const three = {
  people: { alice: { extension: '1001' }, bob: { extension: '1002' }, carol: { extension: '1003' } },
} as const;
const inOrder = {
  people: {
    alice: { extension: '1001' },
    bob: { extension: '1002', phones: 2, ring: { mode: 'in-order', maxWaitSec: 40 } },
  },
} as const;
const browserAndPhone = {
  people: { alice: { extension: '1001', transport: 'wss', browser: true }, bob: { extension: '1002' } },
} as const;
const encrypting = {
  people: { alice: { extension: '1001', endToEnd: true }, bob: { extension: '1002', endToEnd: true } },
} as const;
const elsewhere = {
  people: { alice: { extension: '1001' }, bob: { extension: '1002', dataCentres: ['ams', 'lon'] } },
} as const;
const gcm = `1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`;
const crypto = [`1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 1).toString('base64')}`];

/** Each scene is played with its owner dying after every step; together they come to every entry of the table. */
describe('a call whose owner dies after every step', () => {
  scene('rings, is answered with keys, held by its caller and ended by both', withSrtp, (it) => {
    const { alice, bob } = it;
    alice.calls('1002', { crypto });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.answers(invite, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    alice.asks('INVITE', { body: alice.sdp({ crypto, direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    alice.acks(alice.response(200, 'INVITE'));
    alice.asks('BYE');
    bob.asks('BYE');
    bob.answers(bob.request('BYE'), 200);
  });

  scene('has early media in reliable responses, and an answer that waits for PRACK', {}, (it) => {
    const { alice, bob } = it;
    alice.calls('1002', {}, { headers: [{ name: 'Supported', value: '100rel' }] });
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, {
      body: bob.sdp(),
      headers: [
        { name: 'Require', value: '100rel' },
        { name: 'RSeq', value: '1' },
      ],
    });
    bob.answers(bob.request('PRACK'), 200);
    bob.answers(invite, 200);
    const early = alice.response(183);
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(early, 'RSeq')} 1 INVITE` }] });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(bob, alice);
  });

  scene('is offered late', {}, ({ alice, bob }) => {
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200), { body: alice.sdp() });
    hangUp(alice, bob);
  });

  scene('rings one phone after the other', inOrder, ({ flow, alice, bob }) => {
    const bob2 = flow.phone('bob2');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 486);
    bob2.answers(bob2.request('INVITE'), 200, { body: bob2.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(bob2, alice);
  });

  scene('is cancelled before the phone has said anything', {}, ({ alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    alice.cancels();
    alice.acks(alice.response(487));
    bob.answers(invite, 180);
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
  });

  scene('carries a digit, and a change that is refused', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INFO', { body: 'Signal=5\r\nDuration=160\r\n', contentType: 'application/dtmf-relay' });
    bob.answers(bob.request('INFO'), 200);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 488);
    alice.acks(alice.response(488));
    hangUp(alice, bob);
  });

  scene('is refreshed, and the refresh meets one of the phone', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.advance(900_000);
    bob.answers(bob.request('INVITE'), 491);
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
    flow.advance(4_100);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    hangUp(alice, bob);
  });

  scene('loses a connection and finds another', overTls, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.flow = flow.opensFlow('alice', 'edge2');
    bob.flow = flow.opensFlow('bob', 'edge2');
    flow.edge('edge1', false);
    alice.asks('BYE');
    bob.answers(bob.request('BYE'), 200);
  });

  scene('hears a phone from elsewhere', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.moves('bob', '203.0.113.66', true);
    bob.asks('BYE');
    bob.response(200, 'BYE');
    alice.answers(alice.request('BYE'), 200);
  });

  scene('loses its media while it rings and again while they talk', bothWithSrtp, (it) => {
    const { flow, alice, bob } = it;
    const allow = { name: 'Allow', value: 'INVITE, ACK, BYE, CANCEL, UPDATE, PRACK' };
    alice.calls('1002', { crypto }, { headers: [{ name: 'Supported', value: '100rel' }, allow] });
    const invite = bob.request('INVITE');
    const tag = /a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80/.exec(invite.body)?.[1];
    const answer = bob.sdp({ crypto: [crypto[0]!.replace(/^1/, tag!)] });
    const reliable = [{ name: 'Require', value: '100rel' }, { name: 'RSeq', value: '1' }, allow];
    bob.answers(invite, 183, { body: answer, headers: reliable });
    bob.answers(bob.request('PRACK'), 200);
    alice.asks('PRACK', {
      headers: [{ name: 'RAck', value: `${header(alice.response(183), 'RSeq')} 1 INVITE` }],
    });
    flow.loseMedia();
    alice.answers(alice.request('UPDATE'), 200, { body: alice.sdp({ crypto, version: 2 }) });
    bob.answers(bob.request('UPDATE'), 200, { body: bob.sdp({ crypto, version: 2 }) });
    bob.answers(invite, 200);
    alice.acks(alice.response(200, 'INVITE'));
    flow.holdMedia = true;
    flow.loseMedia();
    flow.advance(1_000);
    flow.releaseMedia();
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto, version: 3 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ crypto, version: 3 }) });
    hangUp(bob, alice);
  });

  scene('is one of a browser with a phone', browserAndPhone, ({ flow, alice, bob }) => {
    alice.invite('1002', { body: browserSdp() });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    const [stream] = flow.streams.keys();
    flow.feed({
      type: 'media-event',
      event: { type: 'transport', stream: stream!, state: 'failed', problem: 'no DTLS within 30 s' },
    });
    alice.answers(alice.request('INVITE'), 200, {
      body: browserSdp({
        setup: 'active',
        generation: 'two2',
        version: 3,
        codecs: ['0 PCMU/8000', '8 PCMA/8000'],
      }),
    });
    hangUp(alice, bob);
  });

  scene('is encrypted end to end', encrypting, ({ alice, bob }) => {
    const extra = ['a=sframe', 'a=sframe-key:1'];
    alice.calls('1002', { extra });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ extra }) });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('becomes a fax', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    const fax = (phone: typeof alice) =>
      phone.sdp({ version: 2 }).replace(/m=audio[\s\S]*/, 'm=image 4000 udptl t38\r\na=T38FaxVersion:0\r\n');
    bob.asks('INVITE', { body: fax(bob) });
    alice.answers(alice.request('INVITE'), 200, { body: fax(alice) });
    bob.acks(bob.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('is ended by a command, and its figures come one by one', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.reportsLost = true;
    flow.feed({ type: 'hangup', commandId: 'c1', actor: 'admin' });
    const [stream] = flow.streams.keys();
    flow.feed({ type: 'media-closed', reports: [{ ...noFigures, stream: stream! }] });
    alice.answers(alice.request('BYE'), 200);
    bob.answers(bob.request('BYE'), 200);
  });

  scene('asks a second data centre when the first cannot be reached', elsewhere, (it) => {
    const { flow, alice } = it;
    const bob = flow.phone('bob2');
    alice.calls('1002');
    flow.feed({ type: 'flow-closed', flow: 'i:ams' });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.answers(invite, 200, { body: bob.sdp({ profile: 'RTP/SAVP', crypto: [gcm] }) });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('is transferred while one holds the other, who is busy when it is taken up', three, (it) => {
    const { flow, alice, bob } = it;
    const carol = flow.phone('carol');
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    alice.acks(alice.response(200, 'INVITE'));
    alice.asks('REFER', { headers: [{ name: 'Refer-To', value: '<sip:1003@acme.example>' }] });
    alice.answers(alice.request('NOTIFY'), 200);
    carol.answers(carol.request('INVITE'), 200, { body: carol.sdp() });
    alice.answers(alice.request('NOTIFY'), 200);
    alice.answers(alice.request('BYE'), 200);
    bob.answers(bob.request('INVITE'), 491);
    flow.advance(5_000);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ version: 3 }) });
    hangUp(bob, carol);
  });

  it('was adopted in the middle of everything that the table names', () => {
    expect([...adoptions.keys()].filter((name) => !adoptedIn.has(name))).toEqual([]);
  });
});

const noFigures = {
  packetsReceived: 1,
  packetsSent: 1,
  octetsReceived: 160,
  octetsSent: 160,
  packetsLost: 0,
  jitterMs: 0,
  packetsRefused: { auth: 0, replay: 0, stranger: 0, malformed: 0, unmapped: 0 },
  takenOver: 0,
};
