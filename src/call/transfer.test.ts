import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import type { ScriptedPhone } from '../../test/support/scripted-phone.ts';
import type { StreamSpec } from '../media/index.ts';
import { header } from '../sip/index.ts';

const people = { alice: { extension: '1001' }, bob: { extension: '1002' }, carol: { extension: '1003' } };
const VOICES = ['pcmu', 'pcma', 'opus', 'g722'];

function talkHere(it: Scene): ScriptedPhone {
  it.flow.transcodes = VOICES;
  talk(it);
  return it.flow.phone('carol');
}

function refer(by: ScriptedPhone, to: string, more: readonly { name: string; value: string }[] = []): void {
  by.asks('REFER', { headers: [{ name: 'Refer-To', value: `<sip:${to}@acme.example>` }, ...more] });
}

/** What the phone is told next of the transfer that it asked for. */
function told(phone: ScriptedPhone): { said: string; state: string } {
  const notify = phone.request('NOTIFY');
  phone.answers(notify, 200);
  expect(header(notify, 'Event')).toMatch(/^refer;id=\d+$/);
  expect(header(notify, 'Content-Type')).toBe('message/sipfrag;version=2.0');
  return { said: notify.body.trim(), state: header(notify, 'Subscription-State') ?? '' };
}

/** Of the streams in use: whom each phone hears, by the order in which the streams were opened, and what of ours. */
function hearing({ flow }: Scene): readonly string[] {
  const ids = [...flow.streams.keys()];
  const who = (id: string | undefined): string =>
    id === undefined ? '' : 'abcdef'[ids.indexOf(id as never)]!;
  return [...flow.streams.values()].map(({ source, plays }: StreamSpec) => {
    const [item] = plays?.items ?? [];
    return `${who(source)}${item === undefined ? '' : ` ${'tone' in item ? item.tone : 'music'}`}`.trim();
  });
}

function hold(one: ScriptedPhone, other: ScriptedPhone): void {
  one.asks('INVITE', { body: one.sdp({ direction: 'sendonly', version: 2 }) });
  other.answers(other.request('INVITE'), 200, { body: other.sdp({ direction: 'recvonly', version: 2 }) });
  other.request('ACK');
  one.acks(one.response(200, 'INVITE'));
}

describe('direct transfer by REFER (PH-CALL-01, PH-CALL-02)', () => {
  scene('bob, who was called, sends alice on to carol', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    const accepted = bob.response(202, 'REFER');
    expect(header(accepted, 'Contact')).toBeDefined();
    expect(told(bob)).toMatchObject({ said: 'SIP/2.0 100 Trying' });
    const invite = carol.request('INVITE');
    // Carol sees who wants to talk to her.
    expect(header(invite, 'From')).toContain('sip:1001@');
    expect(hearing(it)).toEqual(['ringback', '', '']);
    carol.answers(invite, 180);
    expect(told(bob)).toMatchObject({ said: 'SIP/2.0 180 Ringing' });
    carol.answers(invite, 200, { body: carol.sdp() });
    carol.request('ACK');
    expect(told(bob)).toEqual({ said: 'SIP/2.0 200 OK', state: 'terminated;reason=noresource' });
    bob.answers(bob.request('BYE'), 200);
    expect(hearing(it)).toEqual(['c', '', 'a']);
    expect(flow.call?.state).toBe('talking');
    // Alice was told nothing: her phone sends where it did before.
    expect(alice.hasHeard('INVITE')).toBe(false);
    hangUp(carol, alice);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      from: { user: 'user-alice' },
      to: { dialled: '1002', user: 'user-carol' },
      transfers: [{ by: 'user-bob', to: 'user-carol', outcome: 'answered' }],
      legs: [{ user: 'user-alice' }, { user: 'user-bob' }, { user: 'user-carol' }],
    });
    // Also the figures of who left in between.
    for (const leg of flow.record.legs) expect(leg.media).toBeDefined();
  });

  scene('alice, who called, puts bob on hold and sends him on to carol', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    hold(alice, bob);
    refer(alice, '1003');
    alice.response(202, 'REFER');
    told(alice);
    const invite = carol.request('INVITE');
    expect(header(invite, 'From')).toContain('sip:1002@');
    carol.answers(invite, 200, { body: carol.sdp() });
    carol.request('ACK');
    expect(told(alice)).toMatchObject({ said: 'SIP/2.0 200 OK' });
    alice.answers(alice.request('BYE'), 200);
    // Nobody holds bob any more.
    const takenUp = bob.request('INVITE');
    expect(takenUp.body).toContain('a=sendrecv');
    bob.answers(takenUp, 200, { body: bob.sdp({ version: 3 }) });
    bob.request('ACK');
    expect(flow.call?.state).toBe('talking');
    expect(hearing(it)).toEqual(['', 'c', 'b']);
    hangUp(bob, carol);
    expect(flow.record.endedBy).toBe('callee');
  });

  scene(
    'who is held is busy with an offer of its own when it is to be taken up: a moment later',
    { people },
    (it) => {
      const { flow, alice, bob } = it;
      const carol = talkHere(it);
      hold(alice, bob);
      refer(alice, '1003');
      told(alice);
      carol.answers(carol.request('INVITE'), 200, { body: carol.sdp() });
      carol.request('ACK');
      told(alice);
      alice.answers(alice.request('BYE'), 200);
      const first = bob.request('INVITE');
      bob.answers(first, 491);
      flow.advance(5_000);
      const second = bob.request('INVITE');
      bob.answers(second, 200, { body: bob.sdp({ version: 3 }) });
      expect(flow.call?.state).toBe('talking');
      hangUp(carol, bob);
    },
  );

  scene('carol is busy: alice and bob talk again', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    told(bob);
    carol.answers(carol.request('INVITE'), 486);
    expect(told(bob)).toEqual({ said: 'SIP/2.0 486 Busy Here', state: 'terminated;reason=noresource' });
    expect(hearing(it).slice(0, 2)).toEqual(['b', 'a']);
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
    expect(flow.record).toMatchObject({
      to: { user: 'user-bob' },
      transfers: [{ to: 'user-carol', outcome: 'busy' }],
    });
  });

  scene('carol does not answer in time: her phones stop, and it is as before', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    told(bob);
    const invite = carol.request('INVITE');
    carol.answers(invite, 180);
    told(bob);
    flow.advance(30_000);
    carol.answers(carol.request('CANCEL'), 200);
    carol.answers(invite, 487);
    expect(told(bob)).toMatchObject({ said: 'SIP/2.0 480 Temporarily Unavailable' });
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('bob hung up and carol is busy: he is called back', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    told(bob);
    const invite = carol.request('INVITE');
    carol.answers(invite, 180);
    told(bob);
    bob.asks('BYE');
    bob.response(200, 'BYE');
    expect(flow.call?.state).toBe('ringing');
    carol.answers(invite, 486);
    const back = bob.request('INVITE');
    expect(header(back, 'From')).toContain('sip:1001@');
    bob.answers(back, 200, { body: bob.sdp() });
    bob.request('ACK');
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('and when he does not take it the call is over', { people }, (it) => {
    const { flow, alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    told(bob);
    bob.asks('BYE');
    bob.response(200, 'BYE');
    carol.answers(carol.request('INVITE'), 486);
    const back = bob.request('INVITE');
    bob.answers(back, 603);
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({ outcome: 'answered', reason: 'nobody took the transferred call' });
  });

  scene('alice hangs up while carol rings: carol stops ringing, bob hears goodbye', { people }, (it) => {
    const { alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    told(bob);
    const invite = carol.request('INVITE');
    carol.answers(invite, 180);
    told(bob);
    alice.asks('BYE');
    alice.response(200, 'BYE');
    carol.answers(carol.request('CANCEL'), 200);
    carol.answers(invite, 487);
    bob.answers(bob.request('BYE'), 200);
  });

  scene(
    'carol sends alice on in her turn, to dave',
    {
      people: { ...people, dave: { extension: '1004' } },
    },
    (it) => {
      const { flow, alice, bob } = it;
      const carol = talkHere(it);
      const dave = flow.phone('dave');
      refer(bob, '1003');
      told(bob);
      carol.answers(carol.request('INVITE'), 200, { body: carol.sdp() });
      told(bob);
      bob.answers(bob.request('BYE'), 200);
      refer(carol, '1004');
      carol.response(202, 'REFER');
      told(carol);
      dave.answers(dave.request('INVITE'), 200, { body: dave.sdp() });
      told(carol);
      carol.answers(carol.request('BYE'), 200);
      expect(hearing(it)).toEqual(['d', '', '', 'a']);
      hangUp(dave, alice);
      expect(flow.record.transfers?.map(({ to }) => to)).toEqual(['user-carol', 'user-dave']);
    },
  );

  scene('a phone that wants no NOTIFY gets none (RFC 4488)', { people }, (it) => {
    const { alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003', [{ name: 'Refer-Sub', value: 'false' }]);
    expect(header(bob.response(202, 'REFER'), 'Refer-Sub')).toBe('false');
    carol.answers(carol.request('INVITE'), 200, { body: carol.sdp() });
    bob.answers(bob.request('BYE'), 200);
    expect(bob.hasHeard('NOTIFY')).toBe(false);
    hangUp(alice, carol);
  });

  scene(
    'whoever is nobody, oneself, or the other end: refused with the reason, and they talk on',
    { people },
    (it) => {
      const { flow, alice, bob } = it;
      talkHere(it);
      const refusal = (status: number): string => header(bob.response(status, 'REFER'), 'Warning') ?? '';
      refer(bob, '1999');
      expect(refusal(404)).toContain('nobody has the number');
      refer(bob, '1002');
      expect(refusal(403)).toContain('a party of this call');
      refer(bob, '1001');
      expect(refusal(403)).toContain('a party of this call');
      bob.asks('REFER');
      expect(refusal(400)).toContain('one Refer-To');
      refer(bob, '1003', [{ name: 'Refer-To', value: '<sip:1003@acme.example>' }]);
      expect(refusal(400)).toContain('one Refer-To');
      bob.asks('REFER', {
        headers: [
          { name: 'Refer-To', value: '<sip:1003@acme.example?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>' },
        ],
      });
      expect(refusal(501)).toContain('Replaces');
      expect(flow.call?.state).toBe('talking');
      hangUp(alice, bob);
    },
  );

  scene('a second one while the first rings, from either end: not now', { people }, (it) => {
    const { alice, bob } = it;
    const carol = talkHere(it);
    refer(bob, '1003');
    bob.response(202, 'REFER');
    told(bob);
    refer(bob, '1003');
    bob.response(491, 'REFER');
    refer(alice, '1003');
    alice.response(491, 'REFER');
    carol.answers(carol.request('INVITE'), 200, { body: carol.sdp() });
    told(bob);
    bob.answers(bob.request('BYE'), 200);
    hangUp(alice, carol);
  });

  it('before there is an answer nobody can be transferred', () => {
    const flow = new CallFlow({ people });
    const [alice, bob] = [flow.phone('alice'), flow.phone('bob')];
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 180);
    const ringing = alice.response(180);
    alice.remoteTag = /tag=(\S+)/.exec(header(ringing, 'To') ?? '')?.[1];
    refer(alice, '1003');
    expect(alice.response(491, 'REFER')).toBeDefined();
  });
});
