import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header, type SipRequest } from '../sip/index.ts';

const dtmf = { body: 'Signal=5\r\nDuration=160\r\n', contentType: 'application/dtmf-relay' };

describe('requests inside a call', () => {
  scene('INFO with a digit goes to the other phone, its answer comes back', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INFO', dtmf);
    const info = bob.request('INFO');
    expect(info.body).toBe(dtmf.body);
    expect(header(info, 'Content-Type')).toBe(dtmf.contentType);
    bob.answers(info, 200);
    alice.response(200, 'INFO');
    hangUp(alice, bob);
  });

  scene(
    'a digit goes to a phone whose ACK is not here yet: it may have been lost with its connection',
    {},
    (it) => {
      const { alice, bob } = it;
      alice.calls('1002');
      const invite = bob.request('INVITE');
      bob.answers(invite, 200, { body: bob.sdp() });
      bob.request('ACK');
      const answer = alice.response(200, 'INVITE');
      bob.asks('INFO', dtmf);
      alice.answers(alice.request('INFO'), 200);
      bob.response(200, 'INFO');
      alice.acks(answer);
      hangUp(alice, bob);
    },
  );

  scene('forty digits in a row all arrive, and the call stays small', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    for (let digit = 0; digit < 40; digit++) {
      alice.asks('INFO', dtmf);
      bob.answers(bob.request('INFO'), 200);
      alice.response(200, 'INFO');
    }
    expect(flow.largestCallBytes).toBeLessThan(40_000);
    hangUp(alice, bob);
  });

  scene('INFO of another kind stays here', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INFO', { body: '<x/>', contentType: 'application/media_control+xml' });
    expect(header(alice.response(415), 'Accept')).toContain('application/dtmf-relay');
    alice.asks('INFO', { ...dtmf, headers: [{ name: 'Info-Package', value: 'foo' }] });
    alice.response(469);
    alice.asks('INFO');
    alice.response(200, 'INFO');
    expect(bob.hasHeard('INFO')).toBe(false);
    hangUp(alice, bob);
  });

  scene('OPTIONS is answered, MESSAGE and what nobody knows are not served', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    bob.asks('OPTIONS');
    expect(header(bob.response(200, 'OPTIONS'), 'Allow')).toContain('UPDATE');
    alice.asks('MESSAGE');
    expect(header(alice.response(405), 'Allow')).toContain('INVITE');
    alice.asks('DANCE');
    alice.response(501);
    hangUp(alice, bob);
  });

  scene('an option that is required but not known: 420', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.asks('INFO', { ...dtmf, headers: [{ name: 'Require', value: 'teleport' }] });
    expect(header(alice.response(420), 'Unsupported')).toBe('teleport');
    hangUp(alice, bob);
  });

  scene('a CSeq that runs backwards: 500', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    alice.cseq += 10;
    alice.asks('INFO');
    alice.cseq -= 5;
    alice.asks('INFO');
    alice.response(500);
    alice.cseq += 10;
    hangUp(alice, bob);
  });

  scene('a dialog that we do not know: 481', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    const { remoteTag } = alice;
    alice.remoteTag = 'nobody';
    alice.asks('BYE');
    alice.response(481);
    alice.remoteTag = remoteTag;
    hangUp(alice, bob);
  });

  scene('after the call a late request gets 481', {}, (it) => {
    const { alice, bob } = it;
    talk(it);
    hangUp(alice, bob);
    alice.asks('INFO');
    alice.response(481);
  });
});

describe('what comes again or by another way', () => {
  scene('a repeated INVITE gets the last answer again and rings nobody twice', {}, ({ alice, bob, flow }) => {
    const invite = alice.calls('1002');
    alice.saysAgain(invite);
    bob.answers(bob.request('INVITE'), 180);
    alice.saysAgain(invite);
    expect(bob.heard.filter((message) => message.kind === 'request')).toHaveLength(1);
    expect(alice.repeats).toBeGreaterThan(0);
    alice.cancels();
    alice.acks(alice.response(487));
    bob.answers(bob.request('CANCEL'), 200);
    flow.advance(1);
  });

  scene('the same INVITE under another branch is merged: 482', {}, ({ alice, bob }) => {
    const invite = alice.calls('1002');
    const other: SipRequest = {
      ...invite,
      headers: invite.headers.map((entry) =>
        entry.name === 'Via' ? { ...entry, value: entry.value.replace('alice-1', 'elsewhere') } : entry,
      ),
    };
    alice.saysAgain(other);
    alice.response(482);
    bob.answers(bob.request('INVITE'), 486);
    alice.acks(alice.response(486));
  });

  scene('Max-Forwards counts down over both legs and ends a loop', {}, ({ alice }) => {
    alice.calls('1002', {}, { headers: [{ name: 'Max-Forwards', value: '0' }] });
    alice.acks(alice.response(483));
  });

  scene('the 2xx is said again until the ACK comes', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    const ok = alice.response(200);
    flow.advance(3_600);
    expect(alice.repeats).toBeGreaterThanOrEqual(3);
    alice.acks(ok);
    flow.advance(10_000);
    hangUp(bob, alice);
  });

  scene("bob's repeated 2xx gets its ACK again", {}, ({ alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 200, { body: bob.sdp() });
    const before = bob.repeats;
    bob.answers(invite, 200, { body: bob.sdp() });
    expect(bob.repeats).toBeGreaterThan(before);
    alice.acks(alice.response(200));
    hangUp(alice, bob);
  });

  it('no ACK for 32 s: both get BYE', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    flow.advance(33_000);
    alice.answers(alice.request('BYE'), 481);
    bob.answers(bob.request('BYE'), 200);
    flow.runOut();
    expect(flow.record).toMatchObject({ outcome: 'failed', reason: 'the answer was never acknowledged' });
  });

  it('bob hangs up before the ACK has come: the BYE to alice waits for it', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    bob.asks('BYE');
    bob.response(200, 'BYE');
    expect(alice.hasHeard('BYE')).toBe(false);
    alice.acks(alice.response(200));
    alice.answers(alice.request('BYE'), 200);
    flow.runOut();
    expect(flow.call).toBeUndefined();
  });

  it('a phone behind a Via without rport is answered at the port it names', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const invite = alice.calls('4711');
    alice.response(404);
    expect(alice.lastRemote).toBeUndefined();
    const old: SipRequest = {
      ...invite,
      headers: invite.headers.map((entry) =>
        entry.name === 'Via'
          ? { ...entry, value: `SIP/2.0/UDP ${alice.address}:5099;branch=z9hG4bK-old` }
          : entry,
      ),
    };
    alice.saysAgain(old);
    expect(alice.lastRemote).toEqual({ address: alice.address, port: 5099 });
  });
});

describe('the way a request came', () => {
  scene('from an address that is not registered: 403, and the call goes on', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    const home = bob.flow;
    flow.moves('bob', '203.0.113.66', false);
    bob.asks('BYE');
    bob.response(403);
    expect(flow.call?.state).toBe('talking');
    bob.flow = home;
    hangUp(alice, bob);
  });

  scene('from a flow that the phone has registered meanwhile: the leg moves there', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.moves('bob', '203.0.113.66', true);
    bob.asks('INVITE', { body: bob.sdp({ direction: 'sendonly', version: 2 }) });
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ direction: 'recvonly', version: 2 }) });
    bob.acks(bob.response(200, 'INVITE'));
    alice.asks('BYE');
    bob.answers(bob.request('BYE'), 200);
    expect(flow.record.outcome).toBe('answered');
  });

  scene(
    'the connection ends, the phone has registered over another: BYE finds it',
    {
      people: {
        alice: { extension: '1001', transport: 'tls' },
        bob: { extension: '1002', transport: 'tls' },
      },
    },
    (it) => {
      const { flow, alice, bob } = it;
      talk(it);
      const { id } = bob.flow;
      flow.moves('bob', '203.0.113.66', true);
      flow.feed({ type: 'flow-closed', flow: id });
      expect(flow.call?.state).toBe('talking');
      alice.asks('BYE');
      bob.answers(bob.request('BYE'), 200);
    },
  );

  scene(
    "the caller's connection ends while it rings: bob is cancelled",
    {
      people: {
        alice: { extension: '1001', transport: 'tcp' },
        bob: { extension: '1002', transport: 'tcp' },
      },
    },
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      bob.answers(invite, 180);
      flow.forget('alice');
      flow.feed({ type: 'flow-closed', flow: alice.flow.id });
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(invite, 487);
      expect(flow.record).toMatchObject({ outcome: 'cancelled', endedBy: 'system' });
    },
  );

  it("a stranger's CANCEL does nothing", () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    const invite = alice.calls('1002');
    bob.answers(bob.request('INVITE'), 180);
    const home = alice.flow;
    flow.moves('alice', '203.0.113.66', false);
    alice.cancels(invite);
    expect(flow.call?.state).toBe('ringing');
    alice.flow = home;
    alice.cancels(invite);
    expect(flow.call?.state).not.toBe('ringing');
  });
});
