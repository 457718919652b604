import { describe, expect } from 'vitest';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import { header, type SipRequest } from '../sip/index.ts';

const suite = 'AES_CM_128_HMAC_SHA1_80';
const key = (fill: number): string => Buffer.alloc(30, fill).toString('base64');
const cryptoOf = (fill: number): readonly string[] => [`1 ${suite} inline:${key(fill)}`];
const desk = {
  people: {
    alice: { extension: '1001', profile: 'desk-128' },
    bob: { extension: '1002', profile: 'desk-128' },
  },
} as const;
const half = {
  people: { alice: { extension: '1001', profile: 'desk-128' }, bob: { extension: '1002' } },
} as const;
const reliably = [{ name: 'Supported', value: '100rel' }];
const withUpdate = { name: 'Allow', value: 'INVITE, ACK, BYE, CANCEL, UPDATE, PRACK' };

const keyIn = ({ body }: SipRequest): string => /inline:(\S+)/.exec(body)?.[1] ?? '';
const portIn = ({ body }: SipRequest): number => Number(/m=audio (\d+)/.exec(body)?.[1]);

/** Alice and Bob talk, each with SRTP. */
function talkInSecret({ alice, bob }: Scene): { toBob: SipRequest } {
  alice.calls('1002', { crypto: cryptoOf(1) });
  const toBob = bob.request('INVITE');
  const [tag] = /a=crypto:(\d+ AES_CM_128_HMAC_SHA1_80)/.exec(toBob.body)!.slice(1);
  bob.answers(toBob, 200, { body: bob.sdp({ crypto: [`${tag} inline:${key(2)}`] }) });
  bob.request('ACK');
  alice.acks(alice.response(200, 'INVITE'));
  return { toBob };
}

/** The streams that are open: Alice's, then Bob's. */
const open = ({ flow }: Scene) =>
  flow.call!.legs.flatMap(({ media }) =>
    media.stream === undefined ? [] : [flow.streams.get(media.stream)!],
  );

describe('both media processes of a call are gone', () => {
  scene('each phone with SRTP gets a new port and new keys, and they hear each other', desk, (it) => {
    const { flow, alice, bob } = it;
    talkInSecret(it);
    const before = open(it);
    flow.loseMedia();
    const [toAlice, toBob] = [alice.request('INVITE'), bob.request('INVITE')];
    for (const [invite, stream] of [
      [toAlice, before[0]!],
      [toBob, before[1]!],
    ] as const) {
      expect(keyIn(invite)).toMatch(/^\S{40}$/);
      expect(keyIn(invite)).not.toBe(stream.sendKey?.keySalt);
      expect(invite.body.match(/a=crypto/g)).toHaveLength(1);
      expect(portIn(invite)).not.toBe(flow.portOf(stream.id));
      expect(invite.body).toMatch(/^o=- \d+ 2 IN/m);
    }
    // Until the phones have the new keys there is nothing that anyone could send or hear.
    for (const stream of open(it)) expect(stream).toMatchObject({ direction: 'inactive', codecs: [] });
    alice.answers(toAlice, 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    bob.answers(toBob, 200, { body: bob.sdp({ crypto: cryptoOf(4), version: 2 }) });
    alice.request('ACK');
    bob.request('ACK');
    const [left, right] = open(it);
    expect(left).toMatchObject({
      source: right!.id,
      direction: 'sendrecv',
      sendKey: { suite, keySalt: keyIn(toAlice) },
      receiveKey: { suite, keySalt: key(3) },
    });
    expect(right).toMatchObject({
      source: left!.id,
      sendKey: { keySalt: keyIn(toBob) },
      receiveKey: { keySalt: key(4) },
    });
    expect(flow.closedStreams).toEqual(before.map(({ id }) => id));
    expect(flow.call?.state).toBe('talking');
    hangUp(bob, alice);
  });

  scene('a phone that keeps its key: its rollover counter has to be found', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    expect(open(it)[0]).not.toHaveProperty('receiveKeyKept');
    flow.loseMedia();
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto: cryptoOf(1), version: 2 }) });
    expect(open(it)[0]).toMatchObject({ receiveKey: { keySalt: key(1) }, receiveKeyKept: true });
    alice.asks('INVITE', { body: alice.sdp({ crypto: cryptoOf(2), version: 3 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(open(it)[0]).not.toHaveProperty('receiveKeyKept');
    hangUp(alice, bob);
  });

  scene('a plain phone goes on at its old port and hears nothing of it', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    const [, plain] = open(it);
    flow.loseMedia();
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    const [left, right] = open(it);
    expect(right!.id).toBe(plain!.id);
    expect([right!.source, left!.source]).toEqual([left!.id, right!.id]);
    expect(bob.heard.filter((message) => message.kind === 'request').map(({ method }) => method)).toEqual([
      'INVITE',
      'ACK',
    ]);
    hangUp(alice, bob);
  });

  scene('a plain phone whose port is taken meanwhile is told another', {}, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    const [left] = open(it);
    flow.takenPorts.add(flow.portOf(left!.id));
    flow.loseMedia();
    const toAlice = alice.request('INVITE');
    expect(toAlice.body).not.toContain('a=crypto');
    expect(portIn(toAlice)).not.toBe(flow.portOf(left!.id));
    alice.answers(toAlice, 200, { body: alice.sdp({ version: 2 }) });
    expect(open(it)[1]!.source).toBe(open(it)[0]!.id);
    expect(bob.hasHeard('UPDATE')).toBe(false);
    hangUp(alice, bob);
  });

  scene('it happens again while the first offer is under way: another offer follows it', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    const first = alice.request('INVITE');
    const plainPort = flow.portOf(open(it)[0]!.id);
    flow.takenPorts.add(plainPort);
    flow.loseMedia();
    alice.answers(first, 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    const second = alice.request('INVITE');
    expect(keyIn(second)).not.toBe(keyIn(first));
    alice.answers(second, 200, { body: alice.sdp({ crypto: cryptoOf(4), version: 3 }) });
    expect(open(it)[0]).toMatchObject({
      sendKey: { keySalt: keyIn(second) },
      receiveKey: { keySalt: key(4) },
    });
    hangUp(alice, bob);
  });
});

describe('a re-INVITE with new keys meets something else', () => {
  scene('the phone holds just then: its own offer brings it the new port and key', desk, (it) => {
    const { flow, alice, bob } = it;
    talkInSecret(it);
    const [before] = open(it);
    flow.holdMedia = true;
    flow.loseMedia();
    alice.asks('INVITE', { body: alice.sdp({ crypto: cryptoOf(1), direction: 'sendonly', version: 2 }) });
    alice.acks(alice.response(491));
    flow.releaseMedia();
    const toBob = bob.request('INVITE');
    const toAlice = alice.request('INVITE');
    // Both ends meet: each waits by its own chance, and ours comes later.
    alice.answers(toAlice, 491);
    bob.answers(toBob, 200, { body: bob.sdp({ crypto: cryptoOf(4), version: 2 }) });
    alice.asks('INVITE', { body: alice.sdp({ crypto: cryptoOf(5), direction: 'sendonly', version: 3 }) });
    bob.answers(bob.request('INVITE'), 200, {
      body: bob.sdp({ crypto: cryptoOf(4), direction: 'recvonly', version: 3 }),
    });
    const held = alice.response(200, 'INVITE');
    alice.acks(held);
    expect(held.body).not.toContain(before!.sendKey!.keySalt);
    expect(open(it)[0]).toMatchObject({ direction: 'recvonly', receiveKey: { keySalt: key(5) } });
    flow.advance(5_000);
    expect(() => alice.request('INVITE')).toThrow();
    expect(flow.call?.state).toBe('held');
    hangUp(alice, bob);
  });

  scene('a hold that waits for the other end: the offer waits for it', desk, (it) => {
    const { flow, alice, bob } = it;
    talkInSecret(it);
    alice.asks('INVITE', { body: alice.sdp({ crypto: cryptoOf(1), direction: 'sendonly', version: 2 }) });
    const hold = bob.request('INVITE');
    flow.loseMedia();
    bob.answers(hold, 200, { body: bob.sdp({ crypto: cryptoOf(2), direction: 'recvonly', version: 2 }) });
    // Bob has the old port yet; Alice, asked last, the new one already.
    alice.acks(alice.response(200, 'INVITE'));
    const renewed = bob.request('INVITE');
    expect(renewed.body).toContain('a=sendonly');
    bob.answers(renewed, 200, { body: bob.sdp({ crypto: cryptoOf(6), direction: 'recvonly', version: 3 }) });
    expect(open(it)[1]).toMatchObject({ receiveKey: { keySalt: key(6) }, source: open(it)[0]!.id });
    hangUp(alice, bob);
  });
});

describe('a phone that does not take the new keys', () => {
  scene('488: without audio the call is over, and both hear why', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    alice.answers(alice.request('INVITE'), 488);
    for (const phone of [alice, bob]) {
      const bye = phone.request('BYE');
      expect(header(bye, 'Reason')).toContain('SIP;cause=488');
      phone.answers(bye, 200);
    }
    flow.runOut();
    expect(flow.record).toMatchObject({ outcome: 'answered', endedBy: 'system' });
    expect(flow.record.reason).toContain('audio was lost');
  });

  scene('481: the phone knows of no call', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    alice.answers(alice.request('INVITE'), 481);
    for (const phone of [alice, bob]) phone.answers(phone.request('BYE'), 200);
    flow.runOut();
    expect(flow.record.reason).toBe('one end no longer knew the call');
  });

  scene('it says nothing at all', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    flow.advance(33_000);
    bob.answers(bob.request('BYE'), 200);
    expect(flow.call?.end?.reason).toBe('one end no longer answered');
  });

  scene('busy for a moment: it is asked again', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    alice.answers(alice.request('INVITE'), 500);
    flow.advance(2_000);
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    expect(open(it)[0]).toMatchObject({ receiveKey: { keySalt: key(3) } });
    hangUp(bob, alice);
  });
});

describe('no media process is there at first', () => {
  scene('the call waits for one', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.loseMedia();
    flow.mediaFails = 'media_away';
    // The new stream is lost too before its port is told, and then nobody is there to open another.
    const toAlice = alice.request('INVITE');
    flow.feed({ type: 'media-failed', stream: open(it)[0]!.id, code: 'unknown_stream' });
    flow.advance(2_500);
    alice.answers(toAlice, 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    flow.mediaFails = undefined;
    flow.advance(1_000);
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto: cryptoOf(4), version: 3 }) });
    hangUp(bob, alice);
  });

  scene('and is ended when none comes', half, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    alice.acks(alice.response(200, 'INVITE'));
    flow.mediaFails = 'media_away';
    flow.feed({ type: 'media-failed', stream: open(it)[0]!.id, code: 'unknown_stream' });
    flow.advance(31_000);
    for (const phone of [alice, bob]) phone.answers(phone.request('BYE'), 200);
    expect(flow.call?.end?.reason).toContain('media_away');
  });
});

describe('the phone still rings', () => {
  scene(
    'with early media agreed reliably, both get an UPDATE, and the answer changes nothing',
    desk,
    (it) => {
      const { flow, alice, bob } = it;
      alice.calls('1002', { crypto: cryptoOf(1) }, { headers: [...reliably, withUpdate] });
      const invite = bob.request('INVITE');
      const tag = /a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80/.exec(invite.body)![1];
      const rel = [{ name: 'Require', value: '100rel' }, { name: 'RSeq', value: '1' }, withUpdate];
      const answer = bob.sdp({ crypto: [`${tag} ${suite} inline:${key(2)}`] });
      bob.answers(invite, 183, { body: answer, headers: rel });
      bob.answers(bob.request('PRACK'), 200);
      const early = alice.response(183);
      alice.asks('PRACK', { headers: [{ name: 'RAck', value: `${header(early, 'RSeq')} 1 INVITE` }] });
      flow.loseMedia();
      const [toAlice, toBob] = [alice.request('UPDATE'), bob.request('UPDATE')];
      alice.answers(toAlice, 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
      bob.answers(toBob, 200, { body: bob.sdp({ crypto: cryptoOf(4), version: 2 }) });
      // The phone repeats its first answer in the 2xx, as many do (RFC 3261 §13.2.1: to be ignored).
      bob.answers(invite, 200, { body: answer });
      const ok = alice.response(200, 'INVITE');
      expect(ok.body).toBe('');
      alice.acks(ok);
      const [left, right] = open(it);
      expect(left).toMatchObject({
        source: right!.id,
        sendKey: { keySalt: keyIn(toAlice) },
        receiveKey: { keySalt: key(3) },
      });
      expect(right).toMatchObject({
        source: left!.id,
        sendKey: { keySalt: keyIn(toBob) },
        receiveKey: { keySalt: key(4) },
      });
      hangUp(alice, bob);
    },
  );

  scene('with early media and no UPDATE: the re-INVITEs follow the answer', desk, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    const invite = bob.request('INVITE');
    const tag = /a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80/.exec(invite.body)![1];
    const answer = bob.sdp({ crypto: [`${tag} ${suite} inline:${key(2)}`] });
    bob.answers(invite, 183, { body: answer });
    flow.loseMedia();
    bob.answers(invite, 200, { body: answer });
    bob.request('ACK');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ crypto: cryptoOf(4), version: 2 }) });
    alice.acks(alice.response(200, 'INVITE'));
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ crypto: cryptoOf(3), version: 2 }) });
    const [left, right] = open(it);
    expect([left!.receiveKey?.keySalt, right!.receiveKey?.keySalt]).toEqual([key(3), key(4)]);
    expect([left!.source, right!.source]).toEqual([right!.id, left!.id]);
    hangUp(alice, bob);
  });

  scene('without media yet: the offered keys were never used, the old port serves', desk, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { crypto: cryptoOf(1) });
    const invite = bob.request('INVITE');
    bob.answers(invite, 180);
    flow.loseMedia();
    const tag = /a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80/.exec(invite.body)![1];
    bob.answers(invite, 200, { body: bob.sdp({ crypto: [`${tag} ${suite} inline:${key(2)}`] }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(bob.story()).toBe('INVITE, ACK');
    hangUp(alice, bob);
  });
});
