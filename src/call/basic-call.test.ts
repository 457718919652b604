import { describe, expect } from 'vitest';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header, headerValues } from '../sip/index.ts';

describe('a call from ringing to its end', () => {
  scene('alice calls bob, they talk, bob hangs up', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', {}, { headers: [{ name: 'Subject', value: 'lunch' }] });
    alice.response(100);
    expect(flow.call?.state).toBe('calling');
    const invite = bob.request('INVITE');
    bob.answers(invite, 100);
    bob.answers(invite, 180);
    alice.response(180);
    expect(flow.call?.state).toBe('ringing');
    bob.answers(invite, 200, { body: bob.sdp() });
    bob.request('ACK');
    const ok = alice.response(200);
    expect(flow.call?.state).toBe('answered');
    alice.acks(ok);
    expect(flow.call?.state).toBe('talking');
    const [one, other] = [...flow.streams.values()];
    expect(one?.source).toBe(other?.id);
    expect(other?.source).toBe(one?.id);
    expect(one?.remote).toEqual({ address: alice.address, port: 4000, rtcpPort: 4001 });
    expect(other?.direction).toBe('sendrecv');
    expect(header(invite, 'From')).toContain('"Alice" <sip:1001@acme.example>;tag=');
    expect(header(invite, 'To')).toContain('"Bob" <sip:1002@acme.example>');
    expect(header(invite, 'Subject')).toBe('lunch');
    expect(header(invite, 'Max-Forwards')).toBe('69');
    hangUp(bob, alice);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      status: 200,
      endedBy: 'callee',
      from: { display: 'Alice' },
      to: { dialled: '1002', user: 'user-bob' },
      directoryNumber: 3,
      legs: [
        { role: 'caller', transport: 'udp', srtp: 'plain', codec: 'pcmu', media: { packetsReceived: 50 } },
        { role: 'callee', transport: 'udp', srtp: 'plain', codec: 'pcmu', media: { packetsReceived: 50 } },
      ],
    });
  });

  scene('the caller hangs up and says why', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('BYE', { headers: [{ name: 'Reason', value: 'Q.850;cause=16' }] });
    alice.response(200, 'BYE');
    const bye = bob.request('BYE');
    expect(header(bye, 'Reason')).toBe('Q.850;cause=16');
    bob.answers(bye, 200);
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'caller' });
  });

  scene(
    'over TLS nothing is repeated and all ends at once',
    {
      people: {
        alice: { extension: '1001', transport: 'tls' },
        bob: { extension: '1002', transport: 'tls' },
      },
    },
    (it) => {
      talk(it);
      expect(headerValues(it.alice.heard[1]!, 'Contact')[0]).toMatch(/^<sip:.*;transport=tls>$/);
      hangUp(it.alice, it.bob);
    },
  );

  scene('both hang up at the same time', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('BYE');
    // Bob's BYE is on its way while ours comes.
    bob.asks('BYE');
    bob.response(200, 'BYE');
    bob.answers(bob.request('BYE'), 200);
    alice.response(200, 'BYE');
    expect(alice.hasHeard('BYE')).toBe(false);
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'caller' });
  });

  scene(
    'an extension of another site is dialled with its code',
    {
      people: { alice: { extension: '1001' }, bob: { extension: '1002', site: 'south' } },
    },
    (it) => {
      const { flow, alice, bob } = it;
      alice.calls('811002');
      const invite = bob.request('INVITE');
      bob.answers(invite, 486);
      expect(flow.record.to).toEqual({ dialled: '811002', user: 'user-bob' });
      alice.acks(alice.response(486));
    },
  );

  scene('every message of both legs has the Session-IDs of both phones', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    hangUp(alice, bob);
    const toBob = `${alice.sessionUuid};remote=${bob.sessionUuid}`;
    const toAlice = `${bob.sessionUuid};remote=${alice.sessionUuid}`;
    expect(header(bob.heard[0]!, 'Session-ID')).toBe(`${alice.sessionUuid};remote=${'0'.repeat(32)}`);
    expect(header(bob.heard.at(-1)!, 'Session-ID')).toBe(toBob);
    expect(header(alice.heard.at(-1)!, 'Session-ID')).toBe(toAlice);
    expect(
      [...alice.heard, ...bob.heard].every((message) => header(message, 'Session-ID') !== undefined),
    ).toBe(true);
    expect(flow.record.sessionId).toBe(alice.sessionUuid);
  });

  scene('a command ends the call, once', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.feed({ type: 'hangup', commandId: 'c1', actor: 'admin' });
    flow.feed({ type: 'hangup', commandId: 'c1', actor: 'admin' });
    alice.answers(alice.request('BYE'), 200);
    bob.answers(bob.request('BYE'), 200);
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'system', reason: 'ended by admin' });
  });
});
