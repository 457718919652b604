import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

const withUpdate = [{ name: 'Allow', value: 'INVITE, ACK, BYE, CANCEL, UPDATE, INFO' }];
const secure = {
  profile: 'RTP/AVP',
  crypto: [`1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 1).toString('base64')}`],
};

describe('hold and resume', () => {
  scene('alice holds bob by re-INVITE and comes back', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    alice.response(100);
    const hold = bob.request('INVITE');
    expect(hold.body).toContain('a=sendonly');
    expect(hold.body).toMatch(/^o=- \d+ 2 IN/m);
    bob.answers(hold, 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    bob.request('ACK');
    const held = alice.response(200, 'INVITE');
    expect(held.body).toContain('a=recvonly');
    alice.acks(held);
    expect(flow.call?.state).toBe('held');
    const [aliceStream, bobStream] = [...flow.streams.values()];
    expect(aliceStream?.direction).toBe('recvonly');
    expect(bobStream?.direction).toBe('sendonly');
    alice.asks('INVITE', { body: alice.sdp({ version: 3 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ version: 3 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('talking');
    expect([...flow.streams.values()].map(({ direction }) => direction)).toEqual(['sendrecv', 'sendrecv']);
    hangUp(alice, bob);
  });

  scene('bob says his answer to the hold again while he is asked to resume: its ACK was lost', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    const hold = bob.request('INVITE');
    const held = { body: bob.sdp({ direction: 'recvonly', version: 2 }) };
    bob.answers(hold, 200, held);
    bob.request('ACK');
    alice.acks(alice.response(200, 'INVITE'));
    alice.asks('INVITE', { body: alice.sdp({ version: 3 }) });
    const resume = bob.request('INVITE');
    let { repeats } = bob;
    bob.answers(hold, 200, held);
    expect(bob.repeats).toBeGreaterThan(repeats);
    bob.answers(resume, 200, { body: bob.sdp({ version: 3 }) });
    expect(header(bob.request('ACK'), 'CSeq')).toBe(header(resume, 'CSeq')?.replace('INVITE', 'ACK'));
    alice.acks(alice.response(200, 'INVITE'));
    // The older 2xx is acknowledged still, though another ACK went out since.
    repeats = bob.repeats;
    bob.answers(hold, 200, held);
    expect(bob.repeats).toBeGreaterThan(repeats);
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('bob holds alice the old way, by c=0.0.0.0', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    bob.asks('INVITE', { body: bob.sdp({ version: 2 }).replace(/c=IN IP4 \S+/, 'c=IN IP4 0.0.0.0') });
    const hold = alice.request('INVITE');
    expect(hold.body).toContain('a=sendonly');
    alice.answers(hold, 200, { body: alice.sdp({ direction: 'recvonly', version: 2 }) });
    bob.acks(bob.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('held');
    hangUp(bob, alice);
  });

  scene('hold by UPDATE goes on as UPDATE where the other phone allows it', {}, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', {}, { headers: withUpdate });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(), headers: withUpdate });
    alice.acks(alice.response(200));
    alice.asks('UPDATE', { body: alice.sdp({ direction: 'sendonly', version: 2 }), headers: withUpdate });
    const update = bob.request('UPDATE');
    bob.answers(update, 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    expect(alice.response(200, 'UPDATE').body).toContain('a=recvonly');
    expect(flow.call?.state).toBe('held');
    hangUp(bob, alice);
  });

  scene('hold by UPDATE becomes a re-INVITE for a phone without it', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('UPDATE', { body: alice.sdp({ direction: 'sendonly', version: 2 }), headers: withUpdate });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    bob.request('ACK');
    alice.response(200, 'UPDATE');
    expect(flow.call?.state).toBe('held');
    hangUp(alice, bob);
  });

  scene('a re-INVITE that changes nothing for bob is answered without him', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    const heard = bob.heard.length;
    alice.asks('INVITE', { body: alice.sdp({ port: 4010, version: 2 }) });
    const ok = alice.response(200, 'INVITE');
    alice.acks(ok);
    expect(bob.heard).toHaveLength(heard);
    expect([...flow.streams.values()][0]?.remote?.port).toBe(4010);
    // RFC 3264 §8: our description is the same, so its version is too.
    expect(ok.body).toMatch(/^o=- \d+ 1 IN/m);
    hangUp(alice, bob);
  });

  scene('a body that is not SDP: 415', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: '--x', contentType: 'multipart/mixed;boundary=x' });
    alice.acks(alice.response(415));
    expect(
      bob.heard.filter((message) => message.kind === 'request' && message.method === 'INVITE'),
    ).toHaveLength(1);
    hangUp(alice, bob);
  });

  scene('an UPDATE in early media goes through before bob has answered', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', {}, { headers: withUpdate });
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: bob.sdp(), headers: withUpdate });
    alice.response(183);
    alice.asks('UPDATE', { body: alice.sdp({ direction: 'sendonly', version: 2 }), headers: withUpdate });
    bob.answers(bob.request('UPDATE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    expect(alice.response(200, 'UPDATE').body).toContain('a=recvonly');
    expect([...flow.streams.values()][0]?.direction).toBe('recvonly');
    bob.answers(invite, 486);
    alice.acks(alice.response(486));
  });

  scene('an UPDATE before there is any answer must wait: 500 with Retry-After', {}, ({ alice, bob }) => {
    alice.calls('1002', {}, { headers: withUpdate });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.response(180);
    alice.asks('UPDATE', { body: alice.sdp({ direction: 'sendonly', version: 2 }), headers: withUpdate });
    alice.response(500);
    bob.answers(invite, 486);
    alice.acks(alice.response(486));
  });

  scene('bob refuses the change: the call stays as it was', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ codecs: ['9 G722/8000'], version: 2 }) });
    bob.answers(bob.request('INVITE'), 488);
    alice.acks(alice.response(488));
    expect(flow.call?.state).toBe('talking');
    expect([...flow.streams.values()][0]?.codecs[0]?.name).toBe('pcmu');
    hangUp(alice, bob);
  });

  scene('another codec is agreed on both legs', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    bob.asks('INVITE', { body: bob.sdp({ codecs: ['9 G722/8000'], version: 2 }) });
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ codecs: ['9 G722/8000'], version: 2 }) });
    bob.acks(bob.response(200, 'INVITE'));
    expect([...flow.streams.values()].map(({ codecs }) => codecs[0]?.name)).toEqual(['g722', 'g722']);
    hangUp(bob, alice);
  });

  scene('alice cancels her re-INVITE', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    const invite = bob.request('INVITE');
    bob.answers(invite, 100);
    alice.cancels();
    alice.response(200, 'CANCEL');
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
    alice.acks(alice.response(487));
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('bob hangs up while alice asks for a change', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    bob.request('INVITE');
    bob.asks('BYE');
    bob.response(200, 'BYE');
    alice.acks(alice.response(487, 'INVITE'));
    alice.answers(alice.request('BYE'), 200);
  });

  scene('bob no longer knows the call: 481 ends it', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 481);
    alice.acks(alice.response(500, 'INVITE'));
    alice.answers(alice.request('BYE'), 200);
    bob.answers(bob.request('BYE'), 481);
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'system' });
  });

  scene('a re-INVITE without an offer goes through, and the answer in its ACK too', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE');
    const invite = bob.request('INVITE');
    expect(invite.body).toBe('');
    bob.answers(invite, 200, { body: bob.sdp({ version: 2, codecs: ['8 PCMA/8000'] }) });
    const offer = alice.response(200, 'INVITE');
    expect(offer.body).toContain('PCMA');
    alice.acks(offer, { body: alice.sdp({ version: 2, codecs: ['8 PCMA/8000'] }) });
    expect(bob.heard.at(-1)?.body).toContain('PCMA');
    expect([...flow.streams.values()].map(({ codecs }) => codecs[0]?.name)).toEqual(['pcma', 'pcma']);
    hangUp(alice, bob);
  });

  scene(
    'on hold the keys stay',
    { people: { alice: { extension: '1001', profile: 'desk-128' }, bob: { extension: '1002' } } },
    (it) => {
      const { flow, alice, bob } = it;
      alice.calls('1002', secure);
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      alice.acks(alice.response(200));
      const before = [...flow.streams.values()][0];
      alice.asks('INVITE', { body: alice.sdp({ ...secure, direction: 'sendonly', version: 2 }) });
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
      alice.acks(alice.response(200, 'INVITE'));
      const after = [...flow.streams.values()][0];
      expect(after?.sendKey).toEqual(before?.sendKey);
      expect(after?.receiveKey).toEqual(before?.receiveKey);
      // A change that would take the encryption away is refused.
      alice.asks('INVITE', { body: alice.sdp({ version: 3 }) });
      alice.acks(alice.response(488));
      bob.asks('INVITE', { body: bob.sdp({ direction: 'sendrecv', version: 3, codecs: ['8 PCMA/8000'] }) });
      const toAlice = alice.request('INVITE');
      expect(toAlice.body).toContain(`inline:${before?.sendKey?.keySalt}`);
      alice.answers(toAlice, 200, { body: alice.sdp({ ...secure, version: 4, codecs: ['8 PCMA/8000'] }) });
      bob.acks(bob.response(200, 'INVITE'));
      hangUp(alice, bob);
    },
  );
});

describe('glare', () => {
  scene('both ask at once: both hear 491', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    const invite = bob.request('INVITE');
    bob.asks('INVITE', { body: bob.sdp({ direction: 'sendonly', version: 2 }) });
    bob.acks(bob.response(491));
    bob.answers(invite, 491);
    alice.acks(alice.response(491));
    hangUp(alice, bob);
  });

  scene('a second re-INVITE while the first is open: 500 with Retry-After', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    const invite = bob.request('INVITE');
    alice.asks('INVITE', { body: alice.sdp({ direction: 'inactive', version: 3 }) });
    const refusal = alice.response(500);
    expect(Number(header(refusal, 'Retry-After'))).toBeLessThanOrEqual(10);
    alice.acks(refusal);
    bob.answers(invite, 488);
    alice.response(488);
    hangUp(alice, bob);
  });
});

describe('a change that nobody answers', () => {
  it('ends the call after it was cancelled in vain', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    talk({ flow, alice, bob });
    alice.asks('INVITE', { body: alice.sdp({ direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 100);
    flow.advance(33_000);
    bob.request('CANCEL');
    flow.advance(33_000);
    alice.response(500, 'INVITE');
    alice.request('BYE');
    flow.runOut();
    expect(flow.record).toMatchObject({ endedBy: 'system', reason: 'one end no longer answered' });
    expect(flow.call).toBeUndefined();
  });
});
