import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { header } from '../sip/index.ts';

describe('a call from ringing to its end', () => {
  it('alice calls bob, bob answers, they talk, bob hangs up', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    alice.calls('1002');
    alice.response(100);
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    alice.response(180);
    expect(flow.call?.state).toBe('ringing');
    bob.answers(invite, 200, { body: bob.sdp() });
    bob.request('ACK');
    const ok = alice.response(200);
    expect(flow.call?.state).toBe('answered');
    alice.acks(ok);
    expect(flow.call?.state).toBe('talking');
    bob.asks('BYE');
    bob.response(200, 'BYE');
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({ outcome: 'answered', status: 200, endedBy: 'callee' });
    flow.runOut();
    expect(flow.call).toBeUndefined();
    expect(header(invite, 'From')).toContain('"Alice" <sip:1001@acme.example>');
  });
});
