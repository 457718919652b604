import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeIdentity } from '../../test/support/dtls-peer.ts';
import { iceCheck } from '../../test/support/ice-peer.ts';
import { PacketPath, rtpPacket, type Sent } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { silentLogger, VirtualClock } from '../base/index.ts';
import { type DtlsSession, loadDtls } from '../native/index.ts';
import { createSrtpReceiver, createSrtpSender } from '../rtp/index.ts';
import { applySpec } from './apply-spec.ts';
import { Dtls } from './dtls.ts';
import { problemOfTerms, usableFingerprints } from './dtls-terms.ts';
import type { DtlsTerms } from './protocol.ts';
import { applyState, stateOf } from './record.ts';
import { Stream } from './stream.ts';

const ours = makeIdentity();
const oursToo = makeIdentity();
const theirs = makeIdentity();
const library = loadDtls('process')!;
const theirContext = library.newContext(theirs);
const ourContexts = [ours, oursToo].map((identity) => library.newContext(identity));
const log = silentLogger;
const dtls = new Dtls({ clock: new VirtualClock(), log, identities: [ours, oursToo] });
const fingerprints = [{ hash: 'SHA-256', value: theirContext.fingerprint.toLowerCase() }];
const wrongFingerprints = [{ hash: 'sha-256', value: ourContexts[0]!.fingerprint }];
afterAll(() => {
  for (const identity of [ours, oursToo, theirs]) identity.remove();
  for (const context of [theirContext, ...ourContexts]) context.free();
  dtls.close();
});

const ALICE = '127.0.0.1:5000';
const STRANGER = '203.0.113.66:666';
let path: PacketPath;
/** The other end's sessions. */
const sessions: DtlsSession[] = [];
beforeEach(() => {
  path = new PacketPath();
  path.put(spec('bob', { port: 6000, source: 'alice' }));
});
afterEach(() => {
  for (const stream of path.graph) stream.dtls?.close();
  for (const session of sessions.splice(0)) session.free();
});

function put(terms: Partial<DtlsTerms> & Pick<DtlsTerms, 'role'>, on = path): Sent[] {
  on.put(spec('alice', { port: 5000, source: 'bob', dtls: { fingerprints, ...terms } }));
  return on.negotiate('alice', dtls);
}

function peer(role: 'client' | 'server', certificate = ours): DtlsSession {
  const session = theirContext.open({ role, fingerprints: [certificate.sha256] });
  sessions.push(session);
  if (role === 'client') session.start();
  return session;
}

/** What the peer wants to say is said, what it hears answered, until nobody says anything any more; our datagrams. */
function talk(session: DtlsSession, first: readonly Sent[] = [], from = ALICE, on = path): Sent[] {
  const all = [...first];
  for (const { packet } of first) session.receive(packet, packet.length);
  for (;;) {
    const said = session.takeDatagrams();
    if (said.length === 0) return all;
    for (const datagram of said)
      for (const sent of on.turn('alice', Buffer.from(datagram), from)) {
        expect(sent.to).toBe(from);
        session.receive(sent.packet, sent.packet.length);
        all.push(sent);
      }
  }
}

/** Media passes both ways under the keys that the peer has. */
function expectMedia(session: DtlsSession, role: 'client' | 'server', on = path, sequence = 100): void {
  const { suite, client, server } = session.keys()!;
  const key = (bytes: Uint8Array) => ({ suite, keySalt: Buffer.from(bytes).toString('base64') });
  const sender = createSrtpSender(key(role === 'client' ? client : server));
  const receiver = createSrtpReceiver(key(role === 'client' ? server : client));
  const packet = Buffer.concat([rtpPacket({ sequence }), Buffer.alloc(64)]);
  const length = sender.protectRtp(packet, packet.length - 64);
  expect(on.turn('alice', packet.subarray(0, length), ALICE).map(({ by }) => by)).toEqual(['bob']);
  const [toAlice] = on.turn('bob', rtpPacket({ sequence }), '127.0.0.1:6000');
  expect(receiver.unprotectRtp(toAlice!.packet, toAlice!.packet.length)).toBe(17);
}

const outcomes = (on = path) => on.events.filter(({ type }) => type === 'transport');
const connected = { type: 'transport', stream: 'alice', state: 'connected', suite: 'AEAD_AES_256_GCM' };
const failed = (problem: RegExp) => ({
  type: 'transport',
  stream: 'alice',
  state: 'failed',
  problem: expect.stringMatching(problem),
});

describe('a handshake', () => {
  test('that the peer begins: a cookie first, the twin hears of each step before it can be seen', () => {
    expect(put({ role: 'passive' })).toEqual([]);
    const states: string[] = [];
    path.onTold = ({ association, id }) => void (id === 'alice' && states.push(association.phase));
    const session = peer('client');
    const sent = talk(session);
    // HelloVerifyRequest, then two flights.
    expect(sent.map(({ packet }) => packet[13])).toEqual([3, 2, expect.anything()]);
    expect(states).toEqual(['begun', 'done']);
    expect(outcomes()).toEqual([connected]);
    expect(session.state).toBe('connected');
    expectMedia(session, 'client');
  });

  test('that we begin', () => {
    const session = peer('server');
    const first = put({ role: 'active' });
    expect(first).toHaveLength(1);
    talk(session, first);
    expect(outcomes()).toEqual([connected]);
    expectMedia(session, 'server');
  });

  test('said again, or held, nothing begins anew', () => {
    put({ role: 'passive' });
    const session = peer('client');
    talk(session);
    path.put(
      spec('alice', {
        port: 5000,
        source: 'bob',
        direction: 'recvonly',
        dtls: { role: 'passive', fingerprints },
      }),
    );
    path.negotiate('alice', dtls);
    expect(put({ role: 'passive' })).toEqual([]);
    expect(talk(peer('client'))).toEqual([]);
    expectMedia(session, 'client');
    expect(outcomes()).toEqual([connected]);
  });

  test('nothing plain is taken or sent before it is done', () => {
    put({ role: 'passive' });
    expect(path.turn('alice', rtpPacket({}), ALICE)).toEqual([]);
    expect(path.turn('bob', rtpPacket({}), '127.0.0.1:6000')).toEqual([]);
  });

  test('a ClientHello that is faster than its SDP waits for it', () => {
    path.put(spec('alice', { source: 'bob', dtls: { role: 'passive', fingerprints: [] } }));
    path.negotiate('alice', dtls);
    const session = peer('client');
    for (const datagram of session.takeDatagrams())
      expect(path.turn('alice', Buffer.from(datagram), ALICE)).toEqual([]);
    talk(session, put({ role: 'passive' }));
    expect(outcomes()).toEqual([connected]);
  });

  test('while the twin cannot be told, nothing leaves', () => {
    put({ role: 'passive' });
    path.twinListens = false;
    const session = peer('client');
    const [hello] = session.takeDatagrams();
    expect(path.turn('alice', Buffer.from(hello!), ALICE)).toEqual([]);
    path.twinListens = true;
    const [verify] = path.turn('alice', Buffer.from(hello!), ALICE);
    session.receive(verify!.packet, verify!.packet.length);
    const [again] = session.takeDatagrams();
    const [flight] = path.turn('alice', Buffer.from(again!), ALICE);
    session.receive(flight!.packet, flight!.packet.length);
    path.twinListens = false;
    for (const datagram of session.takeDatagrams())
      expect(path.turn('alice', Buffer.from(datagram), ALICE)).toEqual([]);
    expect(outcomes()).toEqual([]);
    path.twinListens = true;
    path.wait(250);
    expect(outcomes()).toEqual([connected]);
    // The last flight was held back; the peer asks for it again.
    const untilMs = performance.now() + session.timeoutMs()! + 1;
    while (performance.now() < untilMs);
    session.handleTimeout();
    talk(session);
    expect(session.state).toBe('connected');
    expectMedia(session, 'client');
  });

  test('that nobody begins is given up; a peer without a usable fingerprint at once', () => {
    put({ role: 'passive' });
    path.wait(30_000);
    expect(outcomes()).toEqual([]);
    path.wait(500);
    expect(outcomes()).toEqual([failed(/no DTLS within 30 s/)]);
    expect(put({ role: 'active', fingerprints: [{ hash: 'md5', value: '00:11' }] })).toEqual([]);
    expect(outcomes().at(-1)).toEqual(failed(/no hash that we know/));
  });

  describe('that its peer gives up for another, because our fingerprint reached it too late', () => {
    const ICE = {
      localUfrag: 'ours',
      localPassword: 'a+password+of+22+chars',
      remoteUfrag: 'theirs',
      remotePassword: 'another+password+of+22',
    };
    /** What the first one gets is lost. */
    const begin = () => {
      const terms = { role: 'passive', fingerprints } as const;
      path.put(spec('alice', { source: 'bob', rtcpMux: true, ice: ICE, dtls: terms }));
      path.negotiate('alice', dtls);
      path.turn('alice', iceCheck(ICE, { useCandidate: true }), ALICE);
      return flightFor(peer('client'));
    };
    const flightFor = (session: DtlsSession): Sent[] => {
      const [hello] = session.takeDatagrams();
      return path.turn('alice', Buffer.from(hello!), ALICE);
    };

    test('goes on with that one', () => {
      expect(begin().length).toBeGreaterThan(0);
      const session = peer('client');
      talk(session);
      expect(session.state).toBe('connected');
      expect(outcomes()).toEqual([connected]);
      expectMedia(session, 'client');
    });

    test.each([
      ['begins anew', true],
      ['does not', false],
    ])('also when it says by an alert that it did not believe us, and %s', (_, again) => {
      begin();
      const doubter = theirContext.open({ role: 'client', fingerprints: [oursToo.sha256] });
      sessions.push(doubter);
      doubter.start();
      talk(doubter);
      expect(doubter.state).toBe('failed');
      expect(outcomes()).toEqual([]);
      path.wait(2900);
      if (again) talk(peer('client'));
      path.wait(250);
      expect(outcomes()).toEqual([again ? connected : failed(/refused our certificate/)]);
    });

    test('eight times and no more; a copy of the same ClientHello begins nothing', () => {
      begin();
      const last = Array.from({ length: 8 }, () => peer('client')).at(-1)!;
      for (const session of sessions.slice(1))
        if (session !== last) expect(flightFor(session).length).toBe(1);
      const hello = Buffer.from(last.takeDatagrams()[0]!);
      const [flight] = path.turn('alice', hello, ALICE);
      path.turn('alice', hello, ALICE);
      flightFor(peer('client'));
      talk(last, [flight!]);
      expect(outcomes()).toEqual([connected]);
    });
  });

  test('of more than 500 at once the last one waits', () => {
    const many = new PacketPath();
    // Streams know nothing of each other, so all can be said the same.
    const hello = Buffer.from(peer('client').takeDatagrams()[0]!);
    const begun = Array.from({ length: 501 }, (_, i) => i).filter((i) => {
      many.put(spec(`s${i}`, { port: 5000, dtls: { role: 'passive', fingerprints } }));
      many.negotiate(`s${i}`, dtls);
      return many.turn(`s${i}`, hello, ALICE).length > 0;
    });
    expect(begun).toHaveLength(500);
    many.stream('s0').dtls!.close();
    expect(many.turn('s500', hello, ALICE)).toHaveLength(1);
    for (const stream of many.graph) stream.dtls?.close();
  });
});

describe('who is not the peer', () => {
  test('another certificate than the fingerprint’s: no keys, no media, said once', () => {
    put({ role: 'passive', fingerprints: wrongFingerprints });
    const session = peer('client');
    talk(session);
    expect(session.state).toBe('failed');
    expect(outcomes()).toEqual([failed(/not the one that its fingerprint/)]);
    expect(path.stream('alice').sender).toBeUndefined();
    expect(talk(peer('client'))).toEqual([]);
    path.wait(1000);
    expect(outcomes()).toHaveLength(1);
  });

  test('a stranger with a certificate of his own costs nothing but his place; the peer still gets through', () => {
    put({ role: 'passive' });
    const context = library.newContext(ours);
    for (let i = 0; i < 12; i++) {
      const stranger = context.open({ role: 'client', fingerprints: [ours.sha256] });
      sessions.push(stranger);
      stranger.start();
      talk(stranger, [], STRANGER);
      expect(stranger.state).not.toBe('connected');
    }
    expect(path.stream('alice').counts.refusedStranger).toBeGreaterThanOrEqual(12);
    const session = peer('client');
    talk(session);
    expect(outcomes()).toEqual([connected]);
    context.free();
  });

  test('records from elsewhere do not disturb a handshake, nor later ones the keys', () => {
    put({ role: 'passive' });
    const session = peer('client');
    const nonsense = Buffer.from([21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40]);
    const [hello] = session.takeDatagrams();
    const [verify] = path.turn('alice', Buffer.from(hello!), ALICE);
    expect(path.turn('alice', nonsense, STRANGER)).toEqual([]);
    talk(session, [verify!]);
    expect(outcomes()).toEqual([connected]);
    path.turn('alice', nonsense, ALICE);
    path.turn('alice', Buffer.alloc(1500, 22), ALICE);
    expectMedia(session, 'client');
  });
});

describe('whoever takes the stream over', () => {
  /** Another process that has been told what the twin is told. */
  function adopt(): PacketPath {
    const there = new PacketPath();
    there.put(spec('bob', { port: 6000, source: 'alice' }));
    const stream = there.put(path.stream('alice').spec);
    applyState(stream, JSON.parse(JSON.stringify(stateOf(path.stream('alice')))));
    return there;
  }

  test('before the first flight: does the handshake itself', () => {
    put({ role: 'passive' });
    const there = adopt();
    there.negotiate('alice', dtls);
    const session = peer('client');
    talk(session, [], ALICE, there);
    expect(outcomes(there)).toEqual([connected]);
  });

  test('in the middle: says that a new offer is needed, and a new association works', () => {
    put({ role: 'passive' });
    const lost = peer('client');
    const [hello] = lost.takeDatagrams();
    path.turn('alice', Buffer.from(hello!), ALICE);
    expect(path.stream('alice').dtls!.handshaking).toBe(true);
    const there = adopt();
    there.negotiate('alice', dtls);
    expect(outcomes(there)).toEqual([failed(/new offer is needed/)]);
    put({ role: 'passive', association: 1 }, there);
    const session = peer('client', oursToo);
    talk(session, [], ALICE, there);
    expect(outcomes(there).at(-1)).toEqual(connected);
    expectMedia(session, 'client', there);
  });

  test('afterwards: has the keys, says nothing, and answers no DTLS', () => {
    put({ role: 'passive' });
    const session = peer('client');
    talk(session);
    expectMedia(session, 'client');
    const there = adopt();
    expect(there.negotiate('alice', dtls)).toEqual([]);
    expect(outcomes(there)).toEqual([]);
    session.close();
    expect(talk(session, [], ALICE, there)).toEqual([]);
    expectMedia(session, 'client', there, 101);
  });

  test('told again by the next state, a stand-by keeps its keys’ indices', () => {
    put({ role: 'passive' });
    talk(peer('client'));
    const record = path.stream('alice').spec;
    const standBy = new Stream(record, { address: '127.0.0.1', port: 1 }, undefined, 1, 0);
    applySpec(standBy, record, 0, true);
    applyState(standBy, stateOf(path.stream('alice')));
    const { sender } = standBy;
    applyState(standBy, stateOf(path.stream('alice')));
    expect(standBy.sender).toBe(sender);
    expect(sender).toBeDefined();
  });
});

describe('afterwards', () => {
  test('another number or certificate in signalling begins anew, the old keys serve meanwhile', () => {
    put({ role: 'passive' });
    const first = peer('client');
    talk(first);
    expectMedia(first, 'client');
    put({ role: 'passive', association: 1 });
    expectMedia(first, 'client', path, 101);
    const second = peer('client', oursToo);
    talk(second);
    expect(outcomes()).toEqual([connected, connected]);
    expectMedia(second, 'client');
  });

  test('a peer that closes and is silent is gone after three seconds; one that still sends is not', () => {
    for (const sends of [false, true]) {
      path.events.length = 0;
      put({ role: 'passive', association: sends ? 1 : 0 });
      const session = peer('client', sends ? oursToo : ours);
      talk(session);
      path.wait(1000);
      session.close();
      talk(session);
      path.wait(1000);
      if (sends) expectMedia(session, 'client');
      path.wait(3000);
      expect(outcomes()).toEqual(sends ? [connected] : [connected, failed(/closed its DTLS/)]);
    }
  });

  test('a server that has heard no media yet is not handed over: its last flight may be asked for again', () => {
    put({ role: 'passive' });
    const session = peer('client');
    talk(session);
    const alice = path.stream('alice');
    expect(alice.dtls!.handshaking).toBe(true);
    expectMedia(session, 'client');
    expect(alice.dtls!.handshaking).toBe(false);
  });
});

test('a process without a certificate says so', () => {
  const without = new Dtls({ clock: new VirtualClock(), log, identities: [] });
  path.put(spec('alice', { port: 5000, dtls: { role: 'passive', fingerprints } }));
  path.negotiate('alice', without);
  path.negotiate('alice', without);
  expect(outcomes()).toEqual([failed(/has no DTLS/)]);
  expect(without.fingerprint(path.stream('alice').spec)).toEqual({});
  expect(dtls.fingerprint(path.stream('alice').spec).fingerprint!.value).toBe(ourContexts[0]!.fingerprint);
});

test('terms are checked', () => {
  expect(problemOfTerms({ role: 'active', fingerprints })).toBeUndefined();
  expect(problemOfTerms({ role: 'passive', fingerprints: [], association: 3 })).toBeUndefined();
  for (const wrong of [
    null,
    {},
    { role: 'actpass', fingerprints },
    { role: 'active', fingerprints: 'x' },
    { role: 'active', fingerprints: [{ hash: 'sha-256' }] },
    { role: 'active', fingerprints: [null] },
    { role: 'active', fingerprints: Array(17).fill(fingerprints[0]) },
    { role: 'active', fingerprints, association: -1 },
    { role: 'active', fingerprints: [{ hash: 'sha-256', value: 'x'.repeat(300) }] },
  ])
    expect(problemOfTerms(wrong)).toBeDefined();
  const usable = usableFingerprints({
    role: 'active',
    fingerprints: [
      ...fingerprints,
      { hash: 'sha-256', value: 'AB:CD' },
      { hash: 'toString', value: fingerprints[0]!.value },
      { hash: 'sha-256', value: fingerprints[0]!.value.replaceAll(':', '') },
    ],
  });
  expect(usable).toEqual([theirs.sha256]);
});
