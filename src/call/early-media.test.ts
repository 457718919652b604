import { describe, expect } from 'vitest';
import { hangUp, scene } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

const reliable = (rseq: number) => [
  { name: 'Require', value: '100rel' },
  { name: 'RSeq', value: String(rseq) },
];
const supported = [{ name: 'Supported', value: '100rel' }];
const required = [{ name: 'Require', value: '100rel' }];

describe('early media', () => {
  scene('bob announces something before he answers', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: bob.sdp() });
    const early = alice.response(183);
    expect(early.body).toContain('m=audio');
    const [one, other] = [...flow.streams.values()];
    expect(one?.source).toBe(other?.id);
    expect(other?.remote?.address).toBe(bob.address);
    bob.answers(invite, 200, { body: bob.sdp() });
    const ok = alice.response(200);
    expect(ok.body).toBe(early.body);
    alice.acks(ok);
    hangUp(alice, bob);
  });

  scene(
    'with two phones ringing the caller hears its own tone',
    {
      people: { alice: { extension: '1001' }, bob: { extension: '1002', phones: 2 } },
    },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      const first = bob.request('INVITE');
      const second = bob2.request('INVITE');
      bob.answers(first, 183, { body: bob.sdp() });
      expect(alice.response(180).body).toBe('');
      bob2.answers(second, 200, { body: bob2.sdp({ codecs: ['8 PCMA/8000'] }) });
      const ok = alice.response(200, 'INVITE');
      expect(ok.body).toContain('m=audio 20000 RTP/AVP 8\r\n');
      alice.acks(ok);
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(first, 487);
      hangUp(alice, bob2);
    },
  );

  scene(
    'in order: what the first phone agreed to is what the second is offered',
    {
      people: {
        alice: { extension: '1001' },
        bob: { extension: '1002', phones: 2, ring: { mode: 'in-order', maxWaitSec: 40 } },
      },
    },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      const first = bob.request('INVITE');
      bob.answers(first, 183, { body: bob.sdp({ codecs: ['8 PCMA/8000'] }) });
      alice.response(183);
      bob.answers(first, 486);
      const second = bob2.request('INVITE');
      expect(second.body).toContain('RTP/AVP 8\r\n');
      bob2.answers(second, 200, { body: bob2.sdp({ codecs: ['8 PCMA/8000'] }) });
      alice.acks(alice.response(200, 'INVITE'));
      const streams = [...flow.streams.values()];
      expect(streams[0]?.source).toBe(streams[2]?.id);
      hangUp(bob2, alice);
    },
  );
});

describe('reliable provisional responses', () => {
  scene("bob's 183 is reliable, alice's phone is of before 100rel", {}, ({ alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    expect(header(invite, 'Supported')).toContain('100rel');
    bob.answers(invite, 183, { body: bob.sdp(), headers: reliable(7) });
    const prack = bob.request('PRACK');
    expect(header(prack, 'RAck')).toBe('7 1 INVITE');
    bob.answers(prack, 200);
    expect(header(alice.response(183), 'Require')).toBeUndefined();
    // The answer was in the reliable 183, so the 2xx needs none.
    bob.answers(invite, 200);
    const ok = alice.response(200);
    expect(ok.body).toContain('m=audio');
    alice.acks(ok);
    hangUp(bob, alice);
  });

  scene('alice demands 100rel: she gets it though bob does not do it', {}, ({ alice, bob }) => {
    alice.calls('1002', {}, { headers: required });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    const ringing = alice.response(180);
    expect(header(ringing, 'Require')).toBe('100rel');
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(ringing, 'RSeq')} 1 INVITE` }] });
    alice.response(200, 'PRACK');
    bob.answers(invite, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('the 2xx waits until the reliable 183 with SDP has its PRACK', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', {}, { headers: supported });
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: bob.sdp(), headers: reliable(1) });
    bob.answers(bob.request('PRACK'), 200);
    bob.answers(invite, 200);
    const early = alice.response(183);
    expect(alice.hasHeard(200)).toBe(false);
    flow.advance(600);
    expect(alice.repeats).toBeGreaterThan(0);
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(early, 'RSeq')} 1 INVITE` }] });
    alice.response(200, 'PRACK');
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('a PRACK that the answer crossed is served: 481 would end the dialog', {}, ({ alice, bob }) => {
    alice.calls('1002', {}, { headers: required });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    const ringing = alice.response(180);
    bob.answers(invite, 200, { body: bob.sdp() });
    const ok = alice.response(200, 'INVITE');
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(ringing, 'RSeq')} 1 INVITE` }] });
    alice.response(200, 'PRACK');
    alice.acks(ok);
    hangUp(alice, bob);
  });

  scene('a PRACK for nothing gets 481', {}, ({ alice, bob }) => {
    alice.calls('1002', {}, { headers: required });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    const ringing = alice.response(180);
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: '99999 1 INVITE' }] });
    alice.response(481);
    alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(ringing, 'RSeq')} 1 INVITE` }] });
    bob.answers(invite, 486);
    alice.acks(alice.response(486));
  });

  scene(
    'a reliable 1xx that never gets its PRACK: 504',
    {
      people: {
        alice: { extension: '1001' },
        bob: { extension: '1002', ring: { mode: 'all', maxWaitSec: 60 } },
      },
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002', {}, { headers: required });
      const invite = bob.request('INVITE');
      bob.answers(invite, 180);
      alice.response(180);
      flow.advance(31_900);
      expect(alice.repeats).toBeGreaterThanOrEqual(5);
      expect(alice.hasHeard(504)).toBe(false);
      flow.advance(200);
      alice.acks(alice.response(504));
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(invite, 487);
    },
  );
});

describe('an INVITE without an offer', () => {
  scene("bob's 2xx makes it, alice's ACK answers it", {}, ({ flow, alice, bob }) => {
    alice.invite('1002');
    const invite = bob.request('INVITE');
    expect(invite.body).toBe('');
    expect(header(invite, 'Supported')).not.toContain('100rel');
    bob.answers(invite, 180);
    bob.answers(invite, 200, { body: bob.sdp({ codecs: ['8 PCMA/8000', '0 PCMU/8000'] }) });
    expect(bob.hasHeard('ACK')).toBe(false);
    const offer = alice.response(200);
    expect(offer.body).toContain('RTP/AVP 8 0');
    alice.acks(offer, { body: alice.sdp({ codecs: ['0 PCMU/8000'] }) });
    expect(bob.request('ACK').body).toContain('RTP/AVP 0');
    expect(flow.call?.state).toBe('talking');
    expect([...flow.streams.values()].map(({ codecs }) => codecs[0]?.name)).toEqual(['pcmu', 'pcmu']);
    hangUp(alice, bob);
  });

  scene('the ACK has no answer: both get BYE', {}, ({ flow, alice, bob }) => {
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200));
    bob.request('ACK');
    bob.answers(bob.request('BYE'), 200);
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({ outcome: 'failed', status: 488 });
  });
});
