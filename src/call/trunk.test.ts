import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header, type SipRequest } from '../sip/index.ts';
import { readTrunkCall } from './index.ts';

const bobIsIn = (...dataCentres: string[]) => ({
  people: { alice: { extension: '1001' }, bob: { extension: '1002', dataCentres } },
});
const aliceIsIn = (dataCentre: string) => ({
  people: { alice: { extension: '1001', dataCentres: [dataCentre] }, bob: { extension: '1002' } },
});
const gcm = {
  profile: 'RTP/SAVP',
  crypto: [`1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`],
};
const fromAlice = {
  name: 'Twinline-Call',
  value: 'call-at-fra;account=acme;caller=user-alice;callee=user-bob',
};

describe('a call to a user of another data centre', () => {
  scene('goes there, encrypted, and says who calls whom', bobIsIn('ams'), ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    expect(readTrunkCall(invite)).toEqual({
      call: flow.call!.id,
      account: 'acme',
      caller: 'user-alice',
      callee: 'user-bob',
    });
    expect(header(invite, 'P-Asserted-Identity')).toMatch(/<sip:1001@acme\.example>/);
    expect(header(invite, 'Session-ID')).toContain(alice.sessionUuid);
    expect(header(invite, 'Resource-Priority')).toBeUndefined();
    expect(invite.body).toMatch(/m=audio \d+ RTP\/SAVP /);
    expect(invite.body).toMatch(/a=crypto:1 AEAD_AES_256_GCM /);
    bob.answers(invite, 200, { body: bob.sdp(gcm) });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      sessionId: alice.sessionUuid,
      legs: [{ role: 'caller' }, { role: 'callee', dataCentre: 'ams', srtp: 'AEAD_AES_256_GCM' }],
    });
    expect(flow.record.legs[1]).not.toHaveProperty('leftRegion');
  });

  scene('is refused without encryption there', bobIsIn('ams'), ({ flow, alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    bob.answers(bob.request('BYE'), 200);
    alice.acks(alice.response(488));
    expect(flow.record.outcome).toBe('failed');
  });

  it('is sent again until it is answered, although over TLS: the connection may have ended with an edge', () => {
    const flow = new CallFlow(bobIsIn('ams'));
    const bob = flow.phone('bob');
    flow.phone('alice').calls('1002');
    flow.advance(499);
    expect(bob.repeats).toBe(0);
    flow.advance(1_100);
    expect(bob.repeats).toBe(2);
  });

  scene(
    'tries the next one when nobody is registered there, and none when somebody refuses',
    bobIsIn('ams', 'lon'),
    (it) => {
      const { flow, alice, bob } = it;
      const lon = flow.phone('bob2');
      alice.calls('1002');
      expect(lon.hasHeard('INVITE')).toBe(false);
      bob.answers(bob.request('INVITE'), 480);
      lon.answers(lon.request('INVITE'), 486);
      alice.acks(alice.response(486));
      expect(flow.record.outcome).toBe('busy');
    },
  );

  it('whose phone rang there and was not answered is not tried elsewhere', () => {
    const flow = new CallFlow(bobIsIn('ams', 'lon'));
    const bob = flow.phone('bob');
    flow.phone('alice').calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.answers(invite, 480);
    flow.phone('alice').response(480);
    expect(flow.phone('bob2').heard).toEqual([]);
  });

  it('that leaves the region to which the account is locked says so in its record (PH-ZONE-14)', () => {
    const flow = new CallFlow({ ...bobIsIn('nyc.us'), regionLock: 'eu' });
    const bob = flow.phone('bob');
    flow.phone('alice').calls('1002');
    bob.answers(bob.request('INVITE'), 486);
    flow.runOut();
    expect(flow.record.legs[1]).toMatchObject({ dataCentre: 'nyc.us', leftRegion: 'us' });
  });

  it('that was dialled as an emergency call is marked as one, and a mark of the caller counts for nothing', () => {
    const marks = ['112', '1002'].map((extension) => {
      const flow = new CallFlow({
        people: { alice: { extension: '1001' }, bob: { extension, dataCentres: ['ams'] } },
      });
      flow
        .phone('alice')
        .calls(extension, {}, { headers: [{ name: 'Resource-Priority', value: 'esnet.1' }] });
      return header(flow.phone('bob').request('INVITE'), 'Resource-Priority');
    });
    expect(marks).toEqual(['esnet.1', undefined]);
  });

  it('survives that the trunk is down for a while, and ends when that data centre stays lost', () => {
    const flow = new CallFlow(bobIsIn('ams'));
    const [alice, bob] = [flow.phone('alice'), flow.phone('bob')];
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(gcm) });
    alice.acks(alice.response(200, 'INVITE'));
    flow.feed({ type: 'flow-closed', flow: 'i:ams' });
    flow.advance(20_000);
    bob.answers(bob.request('OPTIONS'), 200);
    flow.advance(120_000);
    expect(flow.call?.state).toBe('talking');
    flow.feed({ type: 'flow-closed', flow: 'i:ams' });
    flow.advance(61_000);
    alice.answers(alice.request('BYE'), 200);
    flow.runOut();
    expect(flow.record).toMatchObject({ outcome: 'answered', reason: 'data centre ams was lost' });
  });

  it('goes on when one of our edges dies: any leads there', () => {
    const flow = new CallFlow(bobIsIn('ams'));
    const [alice, bob] = [flow.phone('alice'), flow.phone('bob')];
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(gcm) });
    alice.acks(alice.response(200, 'INVITE'));
    flow.feed({ type: 'edge', edge: bob.flow.edge, up: false });
    expect(flow.call?.legs.map(({ lost }) => lost !== undefined)).toEqual([true, false]);
  });
});

describe('a call of a user of another data centre', () => {
  scene('rings here, and its record names the call there', aliceIsIn('fra'), ({ flow, alice, bob }) => {
    alice.calls('1002', gcm, { headers: [fromAlice] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(bob, alice);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      sessionId: alice.sessionUuid,
      origin: { dataCentre: 'fra', call: 'call-at-fra' },
      from: { user: 'user-alice' },
      legs: [{ dataCentre: 'fra', srtp: 'AEAD_AES_256_GCM' }, { role: 'callee' }],
    });
  });

  it('goes to no third data centre: a loop ends here', () => {
    const flow = new CallFlow({
      people: {
        alice: { extension: '1001', dataCentres: ['fra'] },
        bob: { extension: '1002', dataCentres: ['ams'] },
      },
    });
    flow.phone('alice').calls('1002', gcm, { headers: [fromAlice] });
    flow.phone('alice').response(480);
    expect(flow.phone('bob').heard).toEqual([]);
  });

  it('without encryption is refused', () => {
    const flow = new CallFlow(aliceIsIn('fra'));
    flow.phone('alice').calls('1002', {}, { headers: [fromAlice] });
    flow.phone('alice').response(488);
  });

  it('is an ordinary call between phones for everybody else', () => {
    const flow = new CallFlow();
    talk({ flow, alice: flow.phone('alice'), bob: flow.phone('bob') });
    expect(flow.phone('bob').heard.some((message) => header(message, 'Twinline-Call') !== undefined)).toBe(
      false,
    );
  });
});

describe('the header that names a call of another data centre', () => {
  const read = (value: string) =>
    readTrunkCall({
      kind: 'request',
      method: 'INVITE',
      uri: 'sip:x@y',
      headers: [{ name: 'Twinline-Call', value }],
      body: '',
    } satisfies SipRequest);

  it.each([
    ['', 'nothing'],
    ['c1;account=a;caller=b', 'no callee'],
    ['c1;account=a;caller=b;callee=%E0%A4%A', 'an escape that is none'],
    [';account=a;caller=b;callee=c', 'no call'],
    [`c1;account=a;caller=b;callee=${'c'.repeat(1_024)}`, 'more than fits'],
  ])('%#: is none with %2$s', (value) => {
    expect(read(value)).toBeUndefined();
  });

  it('keeps what ids may hold', () => {
    expect(read('c%3B1; account=a%20b;caller=%C3%A4;callee=c;later=x')).toEqual({
      call: 'c;1',
      account: 'a b',
      caller: 'ä',
      callee: 'c',
    });
  });
});
