import { describe, expect } from 'vitest';
import { hangUp, scene, talk } from '../../test/support/call-scenario.ts';
import { header } from '../sip/index.ts';

const tcp = {
  people: {
    alice: { extension: '1001', transport: 'tcp' },
    bob: { extension: '1002', transport: 'tcp' },
  },
} as const;
const sharedDevice = {
  people: { alice: { extension: '1001', transport: 'tcp', phones: 2 }, bob: { extension: '1002' } },
} as const;

describe('a phone with a flow to each of two edges', () => {
  scene('rings once, over the flow registered last', tcp, (it) => {
    const { flow, alice, bob } = it;
    flow.opensFlow('bob', 'edge2');
    alice.calls('1002');
    const invite = bob.request('INVITE');
    expect(bob.heard).toHaveLength(1);
    expect(bob.heardOver).toBe(bob.flow.id);
    bob.answers(invite, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('its edge dies while it rings: it answers over the other', tcp, ({ flow, alice, bob }) => {
    const second = flow.opensFlow('bob', 'edge2');
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.flow = second;
    flow.edge('edge1', false);
    alice.flow = flow.opensFlow('alice', 'edge2');
    expect(bob.heardOver, 'the INVITE again').toBe(second.id);
    bob.answers(invite, 200, { body: bob.sdp() });
    bob.request('ACK');
    flow.feed({ type: 'bindings', user: 'user-alice' as never, bindings: [] });
    flow.advance(1_000);
    alice.acks(alice.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('the edge of a running call dies: the BYE comes over the other', tcp, (it) => {
    const { flow, alice, bob } = it;
    const second = flow.opensFlow('bob', 'edge2');
    alice.flow = { ...flow.opensFlow('alice', 'edge2') };
    talk(it);
    bob.flow = second;
    flow.edge('edge1', false);
    expect(flow.call?.legs[1]).toMatchObject({ flow: { id: second.id } });
    hangUp(alice, bob);
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'caller' });
  });

  scene('the phone hears where its requests go now', tcp, (it) => {
    const { flow, bob } = it;
    const second = flow.opensFlow('bob', 'edge2');
    it.alice.flow = flow.opensFlow('alice', 'edge2');
    talk(it);
    bob.flow = second;
    flow.edge('edge1', false);
    flow.advance(3_500);
    const refresh = bob.request('INVITE');
    expect(header(refresh, 'Contact')).toContain('198.51.100.2');
    bob.answers(refresh, 200, { body: bob.sdp() });
    bob.request('ACK');
    hangUp(bob, it.alice);
  });

  scene('its own requests over the other flow are welcome', tcp, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    bob.flow = flow.opensFlow('bob', 'edge2');
    hangUp(bob, alice);
    expect(flow.record.endedBy).toBe('callee');
  });

  scene('its answer over the other flow counts', tcp, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.flow = flow.opensFlow('bob', 'edge2');
    bob.answers(invite, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('a flow that says nothing for three seconds: the INVITE goes over the other', {}, (it) => {
    const { flow, alice, bob } = it;
    const second = flow.opensFlow('bob', 'edge2');
    alice.flow = flow.opensFlow('alice', 'edge2');
    flow.goesDeaf('edge1');
    alice.calls('1002');
    bob.flow = second;
    flow.advance(2_900);
    expect(bob.heard).toEqual([]);
    flow.advance(200);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('430 from a proxy before it: the other flow is asked anew', tcp, ({ flow, alice, bob }) => {
    const second = flow.opensFlow('bob', 'edge2');
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 430);
    bob.flow = second;
    const again = bob.request('INVITE');
    expect(bob.heardOver).toBe(second.id);
    expect(header(again, 'Call-ID')).not.toBe(header(invite, 'Call-ID'));
    bob.answers(again, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('430 from both flows: nobody is reached', tcp, ({ flow, alice, bob }) => {
    const second = flow.opensFlow('bob', 'edge2');
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 430);
    bob.flow = second;
    bob.answers(bob.request('INVITE'), 430);
    alice.acks(alice.response(480));
    expect(flow.record.outcome).toBe('no-answer');
  });

  scene('the caller gives up over its other flow when its edge has died', tcp, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    bob.flow = flow.opensFlow('bob', 'edge2');
    alice.flow = flow.opensFlow('alice', 'edge2');
    flow.edge('edge1', false);
    alice.cancels();
    alice.response(200, 'CANCEL');
    alice.acks(alice.response(487));
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
  });

  scene('the caller sends its INVITE anew over its other flow: one call, no loop', tcp, (it) => {
    const { flow, alice, bob } = it;
    const before = alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.response(180);
    bob.flow = flow.opensFlow('bob', 'edge2');
    alice.flow = flow.opensFlow('alice', 'edge2');
    flow.edge('edge1', false);
    const via = {
      name: 'Via',
      value: `${header(before, 'Via')?.replace(/branch=[^;]*/, 'branch=z9hG4bKanew')}`,
    };
    alice.saysAgain({
      ...before,
      headers: before.headers.map((entry) => (entry.name === 'Via' ? via : entry)),
    });
    expect(header(alice.response(180), 'Via')).toContain('z9hG4bKanew');
    expect(alice.hasHeard(482)).toBe(false);
    bob.answers(invite, 200, { body: bob.sdp() });
    const answer = alice.response(200, 'INVITE');
    expect(header(answer, 'Via')).toContain('z9hG4bKanew');
    alice.acks(answer);
    hangUp(bob, alice);
  });

  scene('the call of one phone does not go to another with the same credentials', sharedDevice, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    const alice2 = flow.phone('alice2');
    flow.forget('alice');
    flow.feed({ type: 'flow-closed', flow: alice.flow.id });
    bob.asks('BYE');
    bob.response(200, 'BYE');
    expect(alice2.heard).toEqual([]);
  });
});

describe('a phone with one flow', () => {
  scene('registers at the other edge: the call goes on there', tcp, (it) => {
    const { flow, alice, bob } = it;
    alice.flow = flow.opensFlow('alice', 'edge2');
    talk(it);
    flow.edge('edge1', false);
    flow.advance(12_000);
    flow.registersAt('bob', 'edge2');
    flow.advance(9_000);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    hangUp(alice, bob);
  });

  scene('does not come back: the call ends after a minute, and the record says why', tcp, (it) => {
    const { flow, alice } = it;
    alice.flow = flow.opensFlow('alice', 'edge2');
    talk(it);
    flow.edge('edge1', false);
    flow.advance(59_000);
    expect(flow.call?.state).toBe('talking');
    flow.advance(2_000);
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      endedBy: 'system',
      reason: "the callee's connection ended and the phone did not come back",
    });
  });

  scene('over UDP is there again with its edge', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.edge('edge1', false);
    flow.advance(2_000);
    flow.edge('edge1', true);
    flow.advance(120_000);
    hangUp(alice, bob);
    expect(flow.record.endedBy).toBe('caller');
  });

  scene('rings over an edge that dies: the ring is waited for', {}, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    flow.edge('edge1', false);
    flow.advance(1_500);
    flow.edge('edge1', true);
    bob.answers(invite, 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('hangs up over a new connection, unasked', tcp, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    flow.feed({ type: 'flow-closed', flow: bob.flow.id });
    flow.registersAt('bob', 'edge2');
    hangUp(bob, alice);
  });

  const restarted = {
    people: { alice: { extension: '1001' }, bob: { extension: '1002', phones: 2, nameless: true } },
  } as const;
  scene(
    'was started anew on another port: it rings once, its old registration is given up',
    restarted,
    (it) => {
      const { flow, alice, bob } = it;
      const gone = flow.phones.get('bob2')!;
      talk(it);
      expect(gone.heard.length, 'the INVITE to where it was').toBeGreaterThan(0);
      flow.advance(40_000);
      // Nothing of that INVITE came to the phone that talks: neither the INVITE over again nor its CANCEL.
      expect(bob.heard.map((message) => message.kind === 'request' && message.method)).toEqual([
        'INVITE',
        'ACK',
      ]);
      hangUp(alice, bob);
      expect(flow.record).toMatchObject({ outcome: 'answered' });
    },
  );
});
