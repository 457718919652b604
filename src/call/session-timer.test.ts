import { describe, expect } from 'vitest';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

const timer = [{ name: 'Supported', value: 'timer' }];
const withUpdate = { name: 'Allow', value: 'INVITE, ACK, BYE, CANCEL, UPDATE' };

describe('session timers, on each leg by itself', () => {
  scene(
    'phones without them: we refresh at half the time by re-INVITE, saying again what was agreed',
    {},
    (it) => {
      const { flow, alice, bob } = it;
      talk(it);
      flow.advance(900_000);
      const toBob = bob.request('INVITE');
      expect(toBob.body).toContain('m=audio 20002 RTP/AVP 0 8 101');
      // Bob has not agreed to one port for RTP and RTCP, so that is not asked for again: RFC 3264 §8, one version on.
      expect(toBob.body).toMatch(/^o=- \d+ 2 IN/m);
      expect(header(toBob, 'Session-Expires')).toBe('1800;refresher=uac');
      bob.answers(toBob, 200, { body: bob.sdp() });
      const toAlice = alice.request('INVITE');
      alice.answers(toAlice, 200, { body: alice.sdp() });
      alice.request('ACK');
      flow.advance(900_000);
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
      expect(flow.call?.state).toBe('talking');
      hangUp(alice, bob);
    },
  );

  scene(
    'a refresh after a refused change says what is agreed, not what was refused',
    {
      people: { alice: { extension: '1001' }, bob: { extension: '1002', profile: 'desk-128' } },
    },
    ({ flow, alice, bob }) => {
      const crypto = [`1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`];
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ crypto }) });
      alice.acks(alice.response(200));
      alice.asks('INVITE', { body: alice.sdp({ codecs: ['9 G722/8000'], version: 2 }) });
      bob.answers(bob.request('INVITE'), 488);
      alice.acks(alice.response(488));
      flow.advance(900_000);
      const refresh = bob.request('INVITE');
      expect(refresh.body).toContain('RTP/AVP 0 8 101');
      expect(refresh.body.match(/a=crypto/g)).toHaveLength(1);
      expect(refresh.body).toContain(
        `AEAD_AES_256_GCM inline:${[...flow.streams.values()][1]?.sendKey?.keySalt}`,
      );
      expect(refresh.body).toMatch(/^o=- \d+ 3 IN/m);
      bob.answers(refresh, 200, { body: bob.sdp({ crypto }) });
      alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
      hangUp(alice, bob);
    },
  );

  scene('a phone that allows UPDATE is refreshed by it, without SDP', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', {}, { headers: [withUpdate] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(), headers: [withUpdate] });
    alice.acks(alice.response(200));
    flow.advance(900_000);
    const update = bob.request('UPDATE');
    expect(update.body).toBe('');
    bob.answers(update, 200, {
      headers: [withUpdate, { name: 'Session-Expires', value: '1800;refresher=uac' }],
    });
    alice.answers(alice.request('UPDATE'), 200);
    hangUp(bob, alice);
  });

  scene('a phone that refreshes itself is answered here', {}, ({ flow, alice, bob }) => {
    alice.calls(
      '1002',
      {},
      {
        headers: [...timer, { name: 'Session-Expires', value: '600;refresher=uac' }],
      },
    );
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    const ok = alice.response(200);
    expect(header(ok, 'Session-Expires')).toBe('600;refresher=uac');
    expect(header(ok, 'Require')).toBe('timer');
    alice.acks(ok);
    const heard = bob.heard.length;
    flow.advance(300_000);
    alice.asks('UPDATE', { headers: [...timer, { name: 'Session-Expires', value: '600;refresher=uac' }] });
    expect(header(alice.response(200, 'UPDATE'), 'Session-Expires')).toBe('600;refresher=uac');
    flow.advance(400_000);
    expect(flow.call?.state).toBe('talking');
    expect(bob.heard).toHaveLength(heard);
    hangUp(alice, bob);
  });

  scene(
    'a phone that should refresh and does not: both get BYE before the time is over',
    {},
    ({ flow, alice, bob }) => {
      alice.calls(
        '1002',
        {},
        {
          headers: [...timer, { name: 'Session-Expires', value: '600;refresher=uac' }],
        },
      );
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      alice.acks(alice.response(200));
      flow.advance(569_000);
      alice.answers(alice.request('BYE'), 200);
      bob.answers(bob.request('BYE'), 200);
      expect(flow.record).toMatchObject({
        outcome: 'answered',
        endedBy: 'system',
        reason: 'the session timer ran out',
      });
    },
  );

  scene('a phone that is gone does not answer the refresh: the call ends', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.advance(900_000);
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
    flow.advance(33_000);
    bob.request('BYE');
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({ endedBy: 'system', reason: 'one end no longer answered' });
  });

  scene("the refresh meets the phone's own re-INVITE: 491, and again a little later", {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.advance(900_000);
    bob.answers(bob.request('INVITE'), 491);
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
    flow.advance(4_100);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    hangUp(alice, bob);
  });

  scene(
    'an UPDATE that the phone does not serve after all becomes a re-INVITE',
    {},
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(), headers: [withUpdate] });
      alice.acks(alice.response(200));
      flow.advance(900_000);
      bob.answers(bob.request('UPDATE'), 501);
      flow.advance(10);
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      alice.answers(alice.request('INVITE'), 200, { body: alice.sdp() });
      hangUp(alice, bob);
    },
  );

  scene('an interval below 90 s: 422', {}, ({ alice }) => {
    alice.calls('1002', {}, { headers: [...timer, { name: 'Session-Expires', value: '60' }] });
    const refusal = alice.response(422);
    expect(header(refusal, 'Min-SE')).toBe('90');
    alice.acks(refusal);
  });
});
