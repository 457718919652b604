import { describe, expect } from 'vitest';
import { hangUp, scene } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

const twoPhones = { alice: { extension: '1001' }, bob: { extension: '1002', phones: 2 } };
const withSrtp = { alice: { extension: '1001' }, bob: { extension: '1002', profile: 'desk-256' } } as const;
const inOrder = {
  alice: { extension: '1001' },
  bob: { extension: '1002', phones: 2, ring: { mode: 'in-order', maxWaitSec: 40 } },
} as const;

describe('several phones of one user', () => {
  scene('both ring, one answers, the other is cancelled', { people: twoPhones }, ({ flow, alice, bob }) => {
    const bob2 = flow.phone('bob2');
    alice.calls('1002');
    const first = bob.request('INVITE');
    const second = bob2.request('INVITE');
    expect(header(first, 'Call-ID')).not.toBe(header(second, 'Call-ID'));
    bob.answers(first, 180);
    bob2.answers(second, 180);
    expect(
      alice.heard.filter((message) => message.kind === 'response' && message.status === 180),
    ).toHaveLength(1);
    bob2.answers(second, 200, { body: bob2.sdp() });
    const cancel = bob.request('CANCEL');
    expect(header(cancel, 'Reason')).toContain('Call completed elsewhere');
    bob.answers(cancel, 200);
    bob.answers(first, 487);
    alice.acks(alice.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob2);
    expect(bob.hasHeard('BYE')).toBe(false);
  });

  scene(
    'both answer at once, and the second hangs up itself: the call goes on',
    { people: twoPhones },
    (it) => {
      const { flow, alice, bob } = it;
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      const first = bob.request('INVITE');
      const second = bob2.request('INVITE');
      bob.answers(first, 200, { body: bob.sdp() });
      bob2.answers(second, 200, { body: bob2.sdp() });
      bob2.request('ACK');
      const bye = bob2.request('BYE');
      // It may find our ACK of its late answer wanting.
      bob2.asks('BYE');
      bob2.response(200, 'BYE');
      bob2.answers(bye, 200);
      alice.acks(alice.response(200, 'INVITE'));
      expect(flow.call?.state).toBe('talking');
      expect(alice.hasHeard('BYE')).toBe(false);
      hangUp(alice, bob);
    },
  );

  scene('both answer at once: the second gets ACK and BYE', { people: twoPhones }, ({ flow, alice, bob }) => {
    const bob2 = flow.phone('bob2');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    bob2.answers(bob2.request('INVITE'), 200, { body: bob2.sdp() });
    bob2.request('ACK');
    bob2.answers(bob2.request('BYE'), 200);
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(bob, alice);
  });

  scene('one is busy, the other answers', { people: twoPhones }, ({ flow, alice, bob }) => {
    const bob2 = flow.phone('bob2');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 486);
    expect(flow.call?.end).toBeUndefined();
    bob2.answers(bob2.request('INVITE'), 200, { body: bob2.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob2);
  });

  scene(
    'one declines: it speaks for the person, the other stops ringing',
    { people: twoPhones },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      const second = bob2.request('INVITE');
      bob2.answers(second, 180);
      bob.answers(bob.request('INVITE'), 603);
      bob2.answers(bob2.request('CANCEL'), 200);
      bob2.answers(second, 487);
      alice.acks(alice.response(603));
      expect(flow.record.outcome).toBe('declined');
    },
  );

  scene(
    'one is busy, one does not exist any more: busy is the better answer',
    { people: twoPhones },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 404);
      bob2.answers(bob2.request('INVITE'), 486);
      alice.acks(alice.response(486));
      expect(flow.record.outcome).toBe('busy');
    },
  );

  scene(
    'in order: the second rings when the first one has had its share',
    { people: inOrder },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      const first = bob.request('INVITE');
      bob.answers(first, 180);
      expect(bob2.heard).toEqual([]);
      flow.advance(20_100);
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(first, 487);
      bob2.answers(bob2.request('INVITE'), 200, { body: bob2.sdp() });
      alice.acks(alice.response(200, 'INVITE'));
      hangUp(bob2, alice);
      expect(flow.record.outcome).toBe('answered');
    },
  );

  scene(
    'in order: the first is busy, the second does not answer',
    { people: inOrder },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 480);
      const second = bob2.request('INVITE');
      bob2.answers(second, 180);
      flow.advance(40_100);
      bob2.answers(bob2.request('CANCEL'), 200);
      bob2.answers(second, 487);
      alice.acks(alice.response(480));
      expect(flow.record.outcome).toBe('no-answer');
    },
  );

  scene(
    "alice's own number rings her other phone only",
    {
      people: { alice: { extension: '1001', phones: 2 }, bob: { extension: '1002' } },
    },
    ({ flow, alice }) => {
      const alice2 = flow.phone('alice2');
      alice.calls('1001');
      alice2.answers(alice2.request('INVITE'), 486);
      alice.acks(alice.response(486));
      expect(alice.hasHeard('INVITE')).toBe(false);
    },
  );

  scene(
    "a phone's connection ends while it rings: the other goes on",
    {
      people: {
        alice: { extension: '1001', transport: 'tcp' },
        bob: { extension: '1002', phones: 2, transport: 'tcp' },
      },
    },
    ({ flow, alice, bob }) => {
      const bob2 = flow.phone('bob2');
      alice.calls('1002');
      bob.request('INVITE');
      const { id } = bob.flow;
      flow.forget('bob');
      flow.feed({ type: 'flow-closed', flow: id });
      bob2.answers(bob2.request('INVITE'), 200, { body: bob2.sdp() });
      alice.acks(alice.response(200, 'INVITE'));
      hangUp(alice, bob2);
    },
  );

  scene(
    'the caller gives up before a phone with SRTP has said a word: it is cancelled all the same',
    { people: withSrtp },
    (it) => {
      const { flow, alice, bob } = it;
      alice.calls('1002');
      const invite = bob.request('INVITE');
      expect(invite.body).toContain('a=crypto:');
      alice.cancels();
      alice.response(200, 'CANCEL');
      alice.acks(alice.response(487));
      // The call is over and its keys are erased, when the phone begins to ring.
      flow.advance(100);
      bob.answers(invite, 180);
      bob.answers(bob.request('CANCEL'), 200);
      bob.answers(invite, 487);
      bob.request('ACK');
    },
  );

  scene('a phone that was given up says something after all: it is cancelled', {}, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    flow.forget('bob');
    flow.feed({ type: 'flow-closed', flow: bob.flow.id });
    alice.acks(alice.response(480));
    bob.answers(invite, 100);
    bob.answers(bob.request('CANCEL'), 200);
  });
});
