import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, talk } from '../../test/support/call-scenario.ts';

const overTls = {
  people: {
    alice: { extension: '1001', transport: 'tls' },
    bob: { extension: '1002', transport: 'tls' },
  },
} as const;

describe('what died with the owner is said again over streams', () => {
  it('an INVITE', () => {
    const flow = new CallFlow(overTls);
    flow.losing = true;
    flow.phone('alice').calls('1002');
    flow.losing = false;
    flow.feed({ type: 'adopted' });
    flow.phone('bob').request('INVITE');
  });

  it("the caller's 200", () => {
    const flow = new CallFlow(overTls);
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    alice.calls('1002');
    flow.losing = true;
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    flow.losing = false;
    flow.feed({ type: 'adopted' });
    alice.acks(alice.response(200));
    expect(flow.call?.state).toBe('talking');
  });

  it('a BYE', () => {
    const flow = new CallFlow(overTls);
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    talk({ flow, alice, bob });
    flow.losing = true;
    alice.asks('BYE');
    flow.losing = false;
    flow.feed({ type: 'adopted' });
    bob.answers(bob.request('BYE'), 200);
    expect(flow.call?.legs[1]?.state).toBe('ended');
  });
});

describe('the record', () => {
  it('is complete with the figures of both streams, and written once', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    talk({ flow, alice, bob });
    hangUp(alice, bob);
    flow.runOut();
    expect(flow.records).toHaveLength(1);
    expect(flow.record.legs.map(({ media }) => media?.packetsReceived)).toEqual([50, 50]);
  });

  it('does not wait for figures that are lost longer than 2 s', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    talk({ flow, alice, bob });
    flow.reportsLost = true;
    hangUp(alice, bob);
    flow.advance(1_900);
    expect(flow.records).toEqual([]);
    flow.advance(200);
    expect(flow.record.legs.map(({ media }) => media)).toEqual([undefined, undefined]);
  });

  it('says how long media heard nothing of a leg', () => {
    const flow = new CallFlow();
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    talk({ flow, alice, bob });
    const stream = [...flow.streams.keys()][1]!;
    flow.feed({ type: 'media-event', event: { type: 'silent', stream, forMs: 4_000 } });
    flow.feed({ type: 'media-event', event: { type: 'silent', stream, forMs: 2_000 } });
    hangUp(alice, bob);
    expect(flow.record.legs[1]?.silentForMs).toBe(4_000);
  });

  it('leaves no key behind in the call once it is written', () => {
    const flow = new CallFlow({
      people: {
        alice: { extension: '1001', profile: 'desk-128' },
        bob: { extension: '1002', profile: 'desk-128' },
      },
    });
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    const crypto = [`1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 1).toString('base64')}`];
    alice.calls('1002', { crypto });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ crypto }) });
    alice.acks(alice.response(200));
    const keys = [...flow.streams.values()].flatMap(({ sendKey, receiveKey }) => [sendKey, receiveKey]);
    expect(keys.every((key) => key !== undefined)).toBe(true);
    alice.asks('BYE');
    expect(flow.call?.state).toBe('ended');
    const left = JSON.stringify(flow.call);
    for (const key of keys) expect(left).not.toContain(key?.keySalt);
  });
});

describe('the size of a call', () => {
  it('stays below 10 KB from INVITE to BYE', () => {
    const flow = new CallFlow({
      people: { alice: { extension: '1001', profile: 'app' }, bob: { extension: '1002', profile: 'app' } },
    });
    const alice = flow.phone('alice');
    const bob = flow.phone('bob');
    const crypto = [`1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`];
    alice.calls('1002', { profile: 'RTP/SAVP', crypto });
    bob.answers(bob.request('INVITE'), 180);
    const invite = bob.heard[0];
    if (invite?.kind === 'request')
      bob.answers(invite, 200, { body: bob.sdp({ profile: 'RTP/SAVP', crypto }) });
    alice.acks(alice.response(200));
    hangUp(alice, bob);
    expect(flow.largestCallBytes).toBeLessThan(10_240);
  });
});
