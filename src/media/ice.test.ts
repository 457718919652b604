import { describe, expect, test } from 'vitest';
import { type CheckWishes, iceCheck, type StunAnswer, stunAnswer } from '../../test/support/ice-peer.ts';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { writeRtcp } from '../rtp/index.ts';
import { applySpec } from './apply-spec.ts';
import type { IceCredentials } from './protocol.ts';
import { applyState, recordOf } from './record.ts';
import { Stream } from './stream.ts';
import { prepare } from './take-over.ts';

const OURS: IceCredentials = {
  localUfrag: 'ourS',
  localPassword: 'a-password-of-22-chars'.replaceAll('-', '+'),
};
const ICE: IceCredentials = {
  ...OURS,
  remoteUfrag: 'theirs',
  remotePassword: 'another+password+of+the+peer',
};
const RESTARTED: IceCredentials = {
  localUfrag: 'anew',
  localPassword: 'a+new+password+of+ours+',
  remoteUfrag: 'theirsToo',
  remotePassword: 'yet+another+password+of+it',
};
const WIFI = '192.0.2.10:5000';
const MOBILE = '198.51.100.20:6000';
const STRANGER = '203.0.113.66:666';
const BOB = '127.0.0.1:7000';

/** Alice is a browser, bob a phone. */
class Call extends PacketPath {
  constructor(ice: IceCredentials = ICE) {
    super();
    this.say(ice);
    this.put(spec('bob', { port: 7000, source: 'alice' }));
  }

  say(ice: IceCredentials): void {
    this.put(spec('alice', { port: 9, address: '192.0.2.99', source: 'bob', rtcpMux: true, ice }));
  }

  /** A check from there, and what came back to there. */
  check(from: string, wishes: CheckWishes = {}, credentials = ICE): StunAnswer | undefined {
    const request = iceCheck(credentials, wishes);
    const sent = this.turn('alice', request, from);
    expect(sent.length).toBeLessThanOrEqual(1);
    if (sent[0] === undefined) return undefined;
    expect(sent[0]).toMatchObject({ by: 'alice', to: from, fromRtcp: false });
    return stunAnswer(sent[0].packet, request, credentials.localPassword);
  }

  nominate(from: string, priority = 1000, credentials = ICE): void {
    expect(this.check(from, { useCandidate: true, priority }, credentials)?.code).toBe(0);
  }

  #sequence = 0;

  /** Where alice's browser gets what bob says now. */
  get goesTo(): string | undefined {
    return this.turn('bob', rtpPacket({ sequence: ++this.#sequence }), BOB)[0]?.to;
  }

  get refused(): Record<string, number> {
    const { refusedAuth, refusedMalformed, refusedStranger } = this.stream('alice').counts;
    return { auth: refusedAuth, malformed: refusedMalformed, stranger: refusedStranger };
  }
}

describe('checks (RFC 8445 §7.3, RFC 8489 §9.1)', () => {
  test('an authenticated one is answered with where it came from, of either family, signed', () => {
    const call = new Call();
    for (const from of [WIFI, '[2001:db8::7]:40000'])
      expect(call.check(from)).toEqual({
        type: 0x0101,
        code: 0,
        mapped: from,
        authentic: true,
        fingerprint: true,
        sameTransaction: true,
      });
  });

  test('before the peer’s half is known its checks are answered, and its nomination holds', () => {
    const call = new Call(OURS);
    expect(call.check(WIFI, { username: 'ourS:whoever' })?.code).toBe(0);
    call.nominate(WIFI);
    call.say(ICE);
    expect(call.goesTo).toBe(WIFI);
    expect(call.check(WIFI, { username: 'ourS:whoever' })?.code).toBe(401);
  });

  test.each([
    ['another password', { password: 'another' }, 401, false],
    ['a username of nobody', { username: 'nobody:theirs' }, 401, false],
    ['another peer’s username', { username: 'ourS:others' }, 401, false],
    ['a username that only begins like ours', { username: 'ourS:theirs2' }, 401, false],
    ['the role that we have', { role: 'controlled' }, 487, true],
    [
      'an attribute that must be understood',
      { more: (into: Buffer, at: number) => into.writeUInt32BE(0x7f010000, at) },
      420,
      true,
    ],
  ] as [string, CheckWishes, number, boolean][])('%s is refused', (_, wishes, code, authentic) => {
    const call = new Call();
    expect(call.check(WIFI, { ...wishes, useCandidate: true })).toMatchObject({
      type: 0x0111,
      code,
      authentic,
      fingerprint: true,
      sameTransaction: true,
    });
    expect(call.goesTo).toBeUndefined();
  });

  test('neither username nor integrity: 400', () => {
    const call = new Call();
    const request = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
    const [sent] = call.turn('alice', request, WIFI);
    expect(stunAnswer(sent!.packet, request, ICE.localPassword)).toMatchObject({ code: 400 });
  });

  test('what is no request gets no answer, nor does anything on the RTCP port or from nobody’s address', () => {
    const call = new Call();
    for (const type of [0x0011, 0x0101, 0x0111, 0x0003]) expect(call.check(WIFI, { type })).toBeUndefined();
    expect(call.turn('alice', iceCheck(ICE), WIFI, true)).toEqual([]);
    expect(call.check('0.0.0.0:7')).toBeUndefined();
    expect(call.check('224.0.0.1:7')).toBeUndefined();
    expect(call.turn('alice', Buffer.from([2, 1, 0, 0]), WIFI)).toEqual([]);
  });

  test('refusals are few, so that nobody is flooded through us; they cost the peer none of its answers', () => {
    const call = new Call();
    const refusals = () =>
      Array.from({ length: 100 }, () => call.check(STRANGER, { username: 'x:y' })).filter(Boolean).length;
    expect(refusals()).toBe(10);
    call.nowMs += 500;
    expect(refusals()).toBe(5);
    expect(call.check(WIFI)?.code).toBe(0);
    for (let i = 0; i < 500; i++) call.check(STRANGER, { password: 'guessed' });
    const answers = Array.from({ length: 400 }, () => call.check(WIFI)).filter(Boolean).length;
    expect(answers).toBe(199);
  });
});

describe('where media goes', () => {
  test('nowhere before a nomination: neither to what was signalled nor to where checks or audio come from', () => {
    const call = new Call();
    expect(call.goesTo).toBeUndefined();
    call.check(WIFI);
    expect(call.turn('alice', rtpPacket({}), WIFI)).toHaveLength(1);
    expect(call.goesTo).toBeUndefined();
    call.nominate(WIFI);
    expect(call.goesTo).toBe(WIFI);
    expect(call.events).toEqual([{ type: 'transport', stream: 'alice', state: 'connected' }]);
    expect(call.told).toContain('note alice');
  });

  test('a nominated address of higher priority is followed at once', () => {
    const call = new Call();
    call.nominate(WIFI, 1000);
    call.nominate(MOBILE, 1001);
    expect(call.goesTo).toBe(MOBILE);
  });

  test('one of lower priority only when the other was not nominated for a second, even if it is said once', () => {
    const call = new Call();
    call.nominate(WIFI, 1000);
    for (let i = 0; i < 5; i++) {
      call.wait(500);
      call.nominate(WIFI, 1000);
      call.nominate(MOBILE, 900);
      expect(call.goesTo).toBe(WIFI);
    }
    call.wait(1000);
    expect(call.goesTo).toBe(WIFI);
    call.wait(250);
    expect(call.goesTo).toBe(MOBILE);
    call.nominate(WIFI, 1000);
    expect(call.goesTo).toBe(WIFI);
    call.wait(5000);
    expect(call.goesTo).toBe(WIFI);
  });

  test('a check without USE-CANDIDATE moves nothing', () => {
    const call = new Call();
    call.nominate(WIFI, 1);
    call.check(MOBILE, { priority: 2 ** 31 });
    call.wait(5000);
    expect(call.goesTo).toBe(WIFI);
  });

  test('audio is taken from where the peer has checked, and from nobody else; it moves nothing', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.check(MOBILE);
    let sequence = 0;
    const heard = (from: string) => call.turn('alice', rtpPacket({ sequence: ++sequence }), from).length;
    expect([WIFI, MOBILE, STRANGER].map(heard)).toEqual([1, 1, 0]);
    expect(call.goesTo).toBe(WIFI);
    call.nowMs += 60_000;
    expect([STRANGER, MOBILE].map(heard)).toEqual([0, 1]);
    expect(call.goesTo).toBe(WIFI);
    expect(call.refused).toMatchObject({ stranger: 2 });
    const report = Buffer.alloc(64);
    const length = writeRtcp(report, [{ type: 'rr', ssrc: 7, reports: [] }]);
    const reportFrom = (from: string) => call.turn('alice', report.subarray(0, length), from).length;
    expect([STRANGER, WIFI].map(reportFrom)).toEqual([0, 1]);
  });

  test('of many addresses the eight last seen may send', () => {
    const call = new Call();
    call.nominate(WIFI);
    for (let i = 0; i < 50; i++) {
      call.nowMs += 100;
      call.check(`192.0.2.${100 + i}:4000`);
    }
    expect(call.stream('alice').ice?.peers).toHaveLength(8);
    const heard = (from: string) => call.turn('alice', rtpPacket({ sequence: 1 }), from).length;
    expect([WIFI, '192.0.2.100:4000', '192.0.2.149:4000'].map(heard)).toEqual([1, 0, 1]);
  });
});

test('a browser over IPv6 and a phone over IPv4 hear each other', () => {
  const call = new Call();
  const home = '[2001:db8::7]:40000';
  call.put(spec('carol', { family: 6, source: 'bob', rtcpMux: true, ice: ICE }));
  call.put(spec('bob', { port: 7000, source: 'carol' }));
  call.turn('carol', iceCheck(ICE, { useCandidate: true }), home);
  expect(call.turn('bob', rtpPacket({}), BOB)).toMatchObject([{ by: 'carol', to: home }]);
  expect(call.turn('carol', rtpPacket({}), home)).toMatchObject([{ by: 'bob', to: BOB }]);
  expect(call.turn('carol', rtpPacket({ sequence: 2 }), '[2001:db8::8]:40000')).toEqual([]);
});

describe('consent (RFC 7675)', () => {
  test('lapses 30 s after the last check; one more brings the peer back', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.wait(20_000);
    call.check(WIFI);
    call.wait(30_000);
    expect(call.goesTo).toBe(WIFI);
    call.wait(250);
    expect(call.goesTo).toBeUndefined();
    expect(call.turn('alice', rtpPacket({}), WIFI)).toEqual([]);
    call.wait(60_000);
    call.check(MOBILE);
    expect(call.goesTo).toBeUndefined();
    call.check(WIFI);
    expect(call.goesTo).toBe(WIFI);
    expect(call.events.map((event) => event.type === 'transport' && event.state)).toEqual([
      'connected',
      'failed',
      'connected',
    ]);
  });

  test('does not lapse because this process stood still', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.wait(29_000);
    call.nowMs += 100_000;
    call.wait(250);
    expect(call.goesTo).toBe(WIFI);
    call.wait(30_000);
    expect(call.goesTo).toBeUndefined();
  });

  test('no path within 30 s after the peer’s half was known: said once', () => {
    const call = new Call(OURS);
    call.wait(60_000);
    expect(call.events).toEqual([]);
    call.say(ICE);
    call.wait(90_000);
    expect(call.events).toMatchObject([{ type: 'transport', state: 'failed' }]);
    call.nominate(WIFI);
    expect(call.events.at(-1)).toMatchObject({ state: 'connected' });
  });
});

describe('restart (RFC 8445 §9)', () => {
  test('the old path is used and kept open until the new credentials nominate', () => {
    const call = new Call();
    call.nominate(WIFI, 5000);
    call.say(RESTARTED);
    expect(call.goesTo).toBe(WIFI);
    call.wait(25_000);
    expect(call.check(WIFI)?.code).toBe(0);
    call.wait(25_000);
    expect(call.goesTo).toBe(WIFI);
    call.nominate(MOBILE, 1, RESTARTED);
    expect(call.goesTo).toBe(MOBILE);
    call.nominate(WIFI, 9000);
    call.wait(2000);
    expect(call.goesTo).toBe(MOBILE);
    call.nominate(MOBILE, 1, RESTARTED);
    call.wait(29_000);
    call.nominate(MOBILE, 1, RESTARTED);
    call.wait(2000);
    // Nobody used the old ones for 30 s.
    expect(call.check(WIFI)?.code).toBe(401);
  });

  test('after consent lapsed it brings the call back', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.wait(31_000);
    call.say(RESTARTED);
    call.nominate(MOBILE, 1, RESTARTED);
    expect(call.goesTo).toBe(MOBILE);
    expect(call.events.at(-1)).toMatchObject({ state: 'connected' });
  });

  test('saying the same again is none', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.say({ ...ICE });
    expect(call.stream('alice').ice).toMatchObject({ generation: 0, previous: undefined });
  });

  test('a peer that comes back without ICE is sent to where its SDP says', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.put(spec('alice', { port: 9, address: '192.0.2.99', source: 'bob', rtcpMux: true }));
    expect(call.goesTo).toBe('192.0.2.99:9');
    expect(call.check(WIFI)).toBeUndefined();
    expect(call.refused.malformed).toBe(1);
  });

  test('a phone that turns to ICE is sent to where it was until it nominates', () => {
    const call = new Call();
    call.put(spec('alice', { port: 5000, source: 'bob' }));
    call.turn('alice', rtpPacket({}), '127.0.0.1:5000');
    call.say(ICE);
    expect(call.goesTo).toBe('127.0.0.1:5000');
    call.nominate(WIFI, 1);
    expect(call.goesTo).toBe(WIFI);
  });
});

describe('the twin', () => {
  /** The stream as its twin has it, by what it was told, taken over. */
  function adopt(call: Call): Call {
    const adopter = new Call();
    const told = JSON.parse(JSON.stringify(recordOf(call.stream('alice'))));
    adopter.graph.remove(adopter.stream('alice'));
    const stream = new Stream(told.spec, told.local, undefined, told.ssrc, call.nowMs);
    applySpec(stream, told.spec, call.nowMs, true);
    applyState(stream, told.state);
    prepare(stream, call.nowMs);
    adopter.nowMs = call.nowMs;
    adopter.graph.connect(stream);
    return adopter;
  }

  test('sends at once to the nominated address, answers checks, and says nothing that was said', () => {
    const call = new Call();
    call.nominate(WIFI, 1000);
    call.check(MOBILE);
    call.wait(29_000);
    const adopter = adopt(call);
    expect(adopter.goesTo).toBe(WIFI);
    expect(adopter.check(WIFI)?.code).toBe(0);
    expect(adopter.turn('alice', rtpPacket({}), MOBILE)).toHaveLength(1);
    expect(adopter.turn('alice', rtpPacket({ sequence: 2 }), STRANGER)).toEqual([]);
    adopter.nominate(MOBILE, 900);
    expect(adopter.goesTo).toBe(WIFI);
    adopter.wait(29_000);
    expect(adopter.goesTo).toBe(MOBILE);
    expect(adopter.events).toEqual([]);
  });

  test('answers a restart, with both generations meanwhile, and knows which one nominated', () => {
    const call = new Call();
    call.nominate(WIFI, 1000);
    call.say(RESTARTED);
    const adopter = adopt(call);
    expect(adopter.goesTo).toBe(WIFI);
    expect(adopter.check(WIFI)?.code).toBe(0);
    adopter.nominate(MOBILE, 1, RESTARTED);
    const next = adopt(adopter);
    next.nominate(WIFI, 9000);
    next.wait(2000);
    expect(next.goesTo).toBe(MOBILE);
  });

  test('after consent lapsed, stays silent until the peer is back', () => {
    const call = new Call();
    call.nominate(WIFI);
    call.wait(31_000);
    const adopter = adopt(call);
    expect(adopter.goesTo).toBeUndefined();
    adopter.nominate(WIFI);
    expect(adopter.goesTo).toBe(WIFI);
    expect(adopter.events).toMatchObject([{ type: 'transport', state: 'connected' }]);
  });
});

describe('DTLS', () => {
  const dtls = { role: 'passive', fingerprints: [] } as const;

  test('nothing plain is taken or sent before there are keys', () => {
    const call = new Call();
    call.put(spec('alice', { source: 'bob', rtcpMux: true, ice: ICE, dtls }));
    call.nominate(WIFI);
    expect(call.turn('alice', rtpPacket({}), WIFI)).toEqual([]);
    expect(call.goesTo).toBeUndefined();
    expect(call.refused).toMatchObject({ auth: 1 });
    expect(call.events).toEqual([]);
  });

  test('its records come to it from where the peer has checked, and from nobody else with ICE; a new path wakes it', () => {
    const call = new Call();
    const seen: string[] = [];
    call.put(spec('alice', { source: 'bob', rtcpMux: true, ice: ICE, dtls }));
    call.stream('alice').dtls = {
      handshaking: true,
      receive: (_port, packet, length, from) => seen.push(`${packet[0]} ${length} ${from}`),
      tick: () => seen.push('tick'),
      close() {},
    };
    const record = (first: number, from: string) => call.turn('alice', Buffer.from([first, 1, 2]), from);
    record(22, WIFI);
    call.nominate(WIFI);
    for (const first of [19, 20, 63, 64, 127]) record(first, WIFI);
    expect(seen).toEqual(['tick', `20 3 ${WIFI}`, `63 3 ${WIFI}`]);
    expect(call.refused).toMatchObject({ stranger: 1, malformed: 3 });
  });
});
