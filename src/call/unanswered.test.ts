import { describe, expect } from 'vitest';
import { scene } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

describe('calls that nobody answers', () => {
  scene('alice gives up while bob rings', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.cancels();
    alice.response(200, 'CANCEL');
    alice.acks(alice.response(487));
    const cancel = bob.request('CANCEL');
    expect(header(cancel, 'CSeq')).toBe('1 CANCEL');
    expect(header(cancel, 'Via')).toBe(header(invite, 'Via'));
    bob.answers(cancel, 200);
    bob.answers(invite, 487);
    bob.request('ACK');
    expect(flow.record).toMatchObject({ outcome: 'cancelled', status: 487, endedBy: 'caller' });
  });

  scene(
    'alice gives up before bob said anything: the CANCEL waits for the first 1xx',
    {},
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      alice.cancels();
      alice.acks(alice.response(487));
      expect(bob.hasHeard('CANCEL')).toBe(false);
      bob.answers(invite, 180);
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(invite, 487);
      expect(flow.record.outcome).toBe('cancelled');
    },
  );

  scene('bob answers while the CANCEL is on its way: ACK and BYE', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.cancels();
    alice.acks(alice.response(487));
    bob.answers(invite, 200, { body: bob.sdp() });
    bob.request('ACK');
    bob.answers(bob.request('BYE'), 200);
    expect(flow.record.outcome).toBe('cancelled');
  });

  scene('a cancelled phone that never says 487 is forgotten', {}, ({ alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 180);
    alice.cancels();
    alice.acks(alice.response(487));
    bob.answers(bob.request('CANCEL'), 200);
  });

  scene('bob is busy', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 486);
    bob.request('ACK');
    alice.acks(alice.response(486));
    expect(flow.record).toMatchObject({ outcome: 'busy', status: 486, endedBy: 'callee' });
  });

  scene('bob declines', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 180);
    const invite = bob.heard[0];
    if (invite?.kind === 'request') bob.answers(invite, 603);
    alice.acks(alice.response(603));
    expect(flow.record).toMatchObject({ outcome: 'declined', status: 603, endedBy: 'callee' });
  });

  scene('bob lets it ring for 30 s', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    flow.advance(29_900);
    expect(flow.call?.state).toBe('ringing');
    flow.advance(200);
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
    alice.acks(alice.response(480));
    expect(flow.record).toMatchObject({ outcome: 'no-answer', status: 480, endedBy: 'system' });
  });

  scene("bob's phone is gone and never answers: 480 after 30 s", {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    flow.advance(40_000);
    expect(bob.repeats).toBeGreaterThan(4);
    alice.acks(alice.response(480));
  });

  scene('bob has no phone registered', {}, ({ flow, alice }) => {
    flow.forget('bob');
    alice.calls('1002');
    alice.acks(alice.response(480));
    expect(flow.record).toMatchObject({ outcome: 'unreachable', status: 480 });
  });

  scene('nobody has that number', {}, ({ flow, alice }) => {
    alice.calls('4711');
    alice.acks(alice.response(404));
    expect(flow.record).toMatchObject({ outcome: 'failed', status: 404, to: { dialled: '4711' } });
  });

  scene(
    "bob's phone redirects, which is not followed: to alice he is unreachable",
    {},
    ({ flow, alice, bob }) => {
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 302);
      alice.acks(alice.response(480));
      expect(flow.record).toMatchObject({ outcome: 'failed', reason: '302 Said' });
    },
  );

  scene('no media port is free: 503 with Retry-After', {}, ({ flow, alice, bob }) => {
    flow.mediaFails = 'no_ports';
    alice.calls('1002');
    const refusal = alice.response(503);
    expect(header(refusal, 'Retry-After')).toBe('5');
    alice.acks(refusal);
    expect(bob.heard).toEqual([]);
    expect(flow.record).toMatchObject({ outcome: 'failed', status: 503, reason: 'no_ports' });
    flow.streams.clear();
  });

  scene(
    'alice gives up before her stream is open: it is closed when it comes',
    {},
    ({ flow, alice, bob }) => {
      flow.holdMedia = true;
      alice.calls('1002');
      alice.cancels();
      alice.acks(alice.response(487));
      expect(flow.streams.size).toBe(0);
      flow.releaseMedia();
      expect(flow.streams.size).toBe(2);
      expect(bob.heard).toEqual([]);
      expect(flow.record.outcome).toBe('cancelled');
    },
  );

  scene('alice hangs up by BYE in the early dialog', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.asks('BYE');
    alice.response(200, 'BYE');
    alice.response(487, 'INVITE');
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
    expect(flow.record.outcome).toBe('cancelled');
  });

  scene('a command ends a ringing call', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    flow.feed({ type: 'hangup', commandId: 'c1', actor: 'admin' });
    alice.acks(alice.response(487));
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
    expect(flow.record).toMatchObject({ outcome: 'cancelled', endedBy: 'system' });
  });
});
