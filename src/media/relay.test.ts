import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerOf, PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import type { StreamId } from '../base/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  keySaltLength,
  writeRtcp,
  writeTelephoneEvent,
} from '../rtp/index.ts';
import type { SrtpKey, SrtpSuite } from './protocol.ts';
import { applyState, stateOf } from './record.ts';
import { reportOn } from './report.ts';
import { prepare } from './take-over.ts';

const ALICE = '127.0.0.1:5000';
const BOB = '127.0.0.1:6000';
const newKey = (suite: SrtpSuite = 'AEAD_AES_256_GCM'): SrtpKey => ({
  suite,
  keySalt: randomBytes(keySaltLength(suite)).toString('base64'),
});

function call(more: Parameters<typeof spec>[1] = {}): PacketPath {
  const path = new PacketPath();
  path.put(spec('alice', { port: 5000, source: 'bob', ...more }));
  path.put(spec('bob', { port: 6000, source: 'alice' }));
  return path;
}

describe('plain RTP', () => {
  test('passes with its number and time, under our SSRC, whichever of the two was opened first', () => {
    const path = call();
    const [sent] = path.turn(
      'alice',
      rtpPacket({ sequence: 65_535, timestamp: 4_294_967_295, ssrc: 7 }),
      ALICE,
    );
    expect(sent).toMatchObject({ by: 'bob', to: BOB, fromRtcp: false });
    expect(headerOf(sent!.packet)).toEqual({
      type: 0,
      sequence: 65_535,
      timestamp: 4_294_967_295,
      ssrc: path.stream('bob').ssrc,
    });
    expect(path.turn('bob', rtpPacket({}), BOB)).toMatchObject([{ by: 'alice', to: ALICE }]);
  });

  test('payload types are each leg’s own; what the other did not negotiate stays here', () => {
    const path = call({ opus: 96, telephoneEvent: 97 });
    path.put(spec('bob', { port: 6000, source: 'alice', telephoneEvent: 101 }));
    const typesOf = (type: number) =>
      path
        .turn('alice', rtpPacket({ type, payload: Buffer.alloc(4) }), ALICE)
        .map((sent) => headerOf(sent.packet).type);
    expect([0, 8, 97, 96, 5].map(typesOf)).toEqual([[0], [8], [101], [], []]);
    expect(reportOn(path.stream('alice'))).toMatchObject({
      packetsReceived: 5,
      packetsRefused: { unmapped: 2 },
    });
  });

  test('nothing goes to a peer that is on hold, nothing passes from one that may not send', () => {
    const path = call();
    for (const direction of ['recvonly', 'inactive'] as const) {
      path.put(spec('bob', { port: 6000, source: 'alice', direction }));
      expect(path.turn('alice', rtpPacket({}), ALICE)).toEqual([]);
    }
    path.put(spec('bob', { port: 6000, source: 'alice', direction: 'sendonly' }));
    expect(path.turn('bob', rtpPacket({}), BOB)).toEqual([]);
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), ALICE)).toHaveLength(1);
  });

  test('two may hear the same source; each gets a packet of its own', () => {
    const path = call();
    const key = newKey();
    path.put(spec('carol', { port: 7000, source: 'alice', sendKey: key, receiveKey: newKey() }));
    const sent = path.turn('alice', rtpPacket({ payload: 'hello' }), ALICE);
    expect(sent.map(({ by }) => by)).toEqual(['bob', 'carol']);
    expect(sent[0]!.packet.subarray(12).toString()).toBe('hello');
    const packet = Buffer.concat([sent[1]!.packet]);
    const length = createSrtpReceiver(key).unprotectRtp(packet, packet.length);
    expect(packet.subarray(12, length).toString()).toBe('hello');
  });

  test('no octets from the network throw, and none but RTP passes', () => {
    const path = call();
    const keyed = call();
    keyed.put(spec('alice', { port: 5000, source: 'bob', sendKey: newKey(), receiveKey: newKey() }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, onRtcp) => {
        for (const sent of path.turn('alice', Buffer.from(bytes), ALICE, onRtcp))
          expect(sent.packet[0]! >> 6).toBe(2);
        expect(keyed.turn('alice', Buffer.from(bytes), ALICE, onRtcp)).toEqual([]);
      }),
    );
    for (const length of [0, 1, 2, 11])
      expect(path.turn('alice', Buffer.alloc(length, 0x80), ALICE)).toEqual([]);
  });
});

describe('numbers', () => {
  test('a new source goes on where the one before stopped, in number and in time', () => {
    const path = call();
    path.turn('alice', rtpPacket({ sequence: 1000, timestamp: 50_000, ssrc: 7 }), ALICE);
    path.nowMs += 40;
    path.put(spec('carol', { port: 7000, source: 'bob' }));
    path.put(spec('bob', { port: 6000, source: 'carol' }));
    const [sent] = path.turn('carol', rtpPacket({ sequence: 9, timestamp: 99, ssrc: 70 }), '127.0.0.1:7000');
    expect(headerOf(sent!.packet)).toEqual({
      type: 0,
      sequence: 1001,
      timestamp: 50_320,
      ssrc: path.stream('bob').ssrc,
    });
    // RFC 3551 §4.1: the marker says that play-out may be adjusted.
    expect(sent!.packet[1]! >> 7).toBe(1);
    expect(path.told).toContain('commit bob');
  });

  test('a phone that starts its numbers anew under the same SSRC is followed from its second packet on', () => {
    const path = call();
    path.turn('alice', rtpPacket({ sequence: 30_000 }), ALICE);
    expect(path.turn('alice', rtpPacket({ sequence: 5 }), ALICE)).toEqual([]);
    const [sent] = path.turn('alice', rtpPacket({ sequence: 6 }), ALICE);
    expect(headerOf(sent!.packet).sequence).toBe(30_001);
  });

  test('two SSRCs that alternate are not each followed', () => {
    const path = call();
    let passed = 0;
    for (let i = 1; i <= 100; i++) {
      path.nowMs += 10;
      passed += path.turn('alice', rtpPacket({ sequence: i, ssrc: i % 2 }), ALICE).length;
    }
    expect(passed).toBe(50);
    expect(path.told.filter((told) => told === 'commit bob')).toHaveLength(1);
  });

  test('what the twin cannot be told of does not leave', () => {
    const path = call();
    path.twinListens = false;
    expect(path.turn('alice', rtpPacket({ sequence: 1 }), ALICE)).toEqual([]);
    path.twinListens = true;
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), ALICE)).toHaveLength(1);
  });

  test('loss, order and repetition of the source pass unchanged to a plain peer', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 65_535 }),
        fc.array(fc.integer({ min: -20, max: 50 }), { minLength: 1, maxLength: 60 }),
        (first, steps) => {
          const path = call();
          let sequence = first;
          const put = [first, ...steps.map((step) => (sequence = (sequence + step + 65_536) % 65_536))];
          const got = put.flatMap((number) =>
            path
              .turn('alice', rtpPacket({ sequence: number }), ALICE)
              .map(({ packet }) => headerOf(packet).sequence),
          );
          // A jump beyond 100 backwards counts only when confirmed (RFC 3550 A.1); all others pass.
          expect(put.length - got.length).toBeLessThan(put.length / 4);
          let at = 0;
          for (const number of put) if (number === got[at]) at++;
          expect(at).toBe(got.length);
        },
      ),
    );
  });
});

describe('SRTP', () => {
  const suites = [
    'AEAD_AES_256_GCM',
    'AEAD_AES_128_GCM',
    'AES_256_CM_HMAC_SHA1_80',
    'AES_CM_128_HMAC_SHA1_80',
  ] as const;
  interface Secured {
    readonly path: PacketPath;
    readonly alice: ReturnType<typeof createSrtpSender>;
    readonly bob: ReturnType<typeof createSrtpReceiver>;
  }
  function secured(left: SrtpSuite | undefined, right: SrtpSuite | undefined): Secured {
    const path = new PacketPath();
    const keys = { alice: newKey(left), bob: newKey(right) };
    path.put(
      spec('alice', {
        port: 5000,
        source: 'bob',
        ...(left && { receiveKey: keys.alice, sendKey: newKey(left) }),
      }),
    );
    path.put(
      spec('bob', {
        port: 6000,
        source: 'alice',
        ...(right && { sendKey: keys.bob, receiveKey: newKey(right) }),
      }),
    );
    return { path, alice: createSrtpSender(keys.alice), bob: createSrtpReceiver(keys.bob) };
  }
  function say({ path, alice }: Secured, index: number, payload = 'audio', isPlain = false) {
    const slot = Buffer.alloc(512);
    const packet = rtpPacket({ sequence: index & 0xffff, timestamp: index * 160, payload });
    packet.copy(slot);
    const length = isPlain ? packet.length : alice.protectRtpAt(slot, packet.length, index);
    return path.turn('alice', slot.subarray(0, length), ALICE);
  }
  function open({ bob }: Secured, packet: Buffer): { index: number; payload: string } | number {
    const copy = Buffer.from(packet);
    const length = bob.unprotectRtp(copy, copy.length);
    return length < 0 ? length : { index: bob.lastIndex, payload: copy.subarray(12, length).toString() };
  }

  test.each(suites.flatMap((left) => suites.map((right) => [left, right] as const)))(
    'from %s to %s, over a wrap',
    (left, right) => {
      const call = secured(left, right);
      for (let index = 65_530; index < 65_545; index++) {
        const [sent] = say(call, index, `audio ${index}`);
        expect(open(call, sent!.packet)).toEqual({ index, payload: `audio ${index}` });
      }
      // Rollover counters reach the twin when they change, not a second later.
      expect(call.path.told.filter((told) => told.startsWith('note'))).not.toEqual([]);
    },
  );

  test('plain to SRTP: a packet that comes twice leaves once, so no index is used for two', () => {
    const call = secured(undefined, 'AEAD_AES_256_GCM');
    expect(say(call, 10, 'first', true)).toHaveLength(1);
    expect(say(call, 10, 'other', true)).toEqual([]);
    expect(say(call, 11, 'next', true)).toHaveLength(1);
    expect(reportOn(call.path.stream('alice'))).toMatchObject({ packetsRefused: { replay: 1 } });
  });

  test('whatever a plain source sends, no index is used twice under one key', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 1, max: 2 })), {
          maxLength: 200,
        }),
        (packets) => {
          const call = secured(undefined, 'AEAD_AES_256_GCM');
          const used = new Set<number>();
          for (const [sequence, ssrc] of packets) {
            call.path.nowMs += 400;
            for (const { packet } of call.path.turn('alice', rtpPacket({ sequence, ssrc }), ALICE)) {
              const opened = open(call, packet);
              if (typeof opened === 'number') throw new Error(`bob cannot open it: ${opened}`);
              expect(used).not.toContain(opened.index);
              used.add(opened.index);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('a new key towards the peer starts at rollover counter 0 with the next sequence number', () => {
    const call = secured(undefined, 'AEAD_AES_256_GCM');
    for (const index of [65_534, 65_535, 65_536]) say(call, index, 'x', true);
    const fresh = newKey();
    call.path.put(spec('bob', { port: 6000, source: 'alice', sendKey: fresh, receiveKey: newKey() }));
    const [sent] = say(call, 65_537, 'under the new key', true);
    expect(open({ ...call, bob: createSrtpReceiver(fresh) }, sent!.packet)).toEqual({
      index: 1,
      payload: 'under the new key',
    });
  });

  test('a secured stream takes nothing plain, and sends nothing plain while a key is missing', () => {
    const call = secured('AEAD_AES_256_GCM', 'AEAD_AES_256_GCM');
    expect(say(call, 1, 'plain as can be heard', true)).toEqual([]);
    expect(reportOn(call.path.stream('alice'))).toMatchObject({
      packetsReceived: 0,
      packetsRefused: { auth: 1 },
    });
    call.path.put(spec('bob', { port: 6000, source: 'alice', receiveKey: newKey() }));
    expect(say(call, 2)).toEqual([]);
  });

  test('SRTP follows the source of authenticated packets, never that of old or forged ones', () => {
    const call = secured('AEAD_AES_256_GCM', undefined);
    say(call, 100);
    const moved = '127.0.0.1:5999';
    const slot = Buffer.alloc(512);
    rtpPacket({ sequence: 101 }).copy(slot);
    const length = call.alice.protectRtpAt(slot, 17, 101);
    const forged = Buffer.from(slot.subarray(0, length));
    forged[14]! ^= 1;
    call.path.turn('alice', forged, '127.0.0.1:1');
    expect(`${call.path.stream('alice').rtp.address}`).toBe(ALICE);
    call.path.turn('alice', slot.subarray(0, length), moved);
    expect(`${call.path.stream('alice').rtp.address}`).toBe(moved);
    // Sent before it moved, came late.
    rtpPacket({ sequence: 99 }).copy(slot);
    call.path.turn('alice', slot.subarray(0, call.alice.protectRtpAt(slot, 17, 99)), '127.0.0.1:5001');
    expect(`${call.path.stream('alice').rtp.address}`).toBe(moved);
  });

  test('a twin that was told a second ago goes on without using an index twice, also for a new source', () => {
    const before = secured('AEAD_AES_256_GCM', 'AEAD_AES_256_GCM');
    const seen = new Set<number>();
    const hear = (packet: Buffer) => {
      const opened = open(before, packet);
      if (typeof opened === 'number') throw new Error(`bob cannot open it: ${opened}`);
      expect(seen).not.toContain(opened.index);
      seen.add(opened.index);
    };
    for (let index = 65_500; index < 65_530; index++) hear(say(before, index)[0]!.packet);
    const told = {
      alice: structuredClone(stateOf(before.path.stream('alice'))),
      bob: structuredClone(stateOf(before.path.stream('bob'))),
    };
    for (let index = 65_530; index < 65_550; index++) hear(say(before, index)[0]!.packet);

    const path = new PacketPath();
    path.nowMs = before.path.nowMs;
    for (const id of ['alice', 'bob'] as const) {
      path.put(before.path.stream(id).spec);
      applyState(path.stream(id), told[id]);
      prepare(path.stream(id), path.nowMs);
    }
    const after: Secured = { ...before, path };
    // The first that the dead process did not read; then one that it had sent, replayed by a stranger or the network.
    hear(say(after, 65_550)[0]!.packet);
    const replayed = createSrtpSender(before.path.stream('alice').spec.receiveKey!);
    expect(say({ ...after, alice: replayed }, 65_545)).toEqual([]);
    hear(say(after, 65_551)[0]!.packet);
    // Another source before the old one was heard again: beyond all that can have been sent.
    path.put(spec('carol', { port: 7000 }));
    path.put({ ...path.stream('bob').spec, source: 'carol' as StreamId });
    const [sent] = path.turn('carol', rtpPacket({ sequence: 3 }), '127.0.0.1:7000');
    hear(sent!.packet);
    expect(Math.max(...seen)).toBe(65_529 + 500 + 1);
  });
});

describe('telephone events', () => {
  test('pass, and are told once when they are over', () => {
    const path = call({ telephoneEvent: 101 });
    path.put(spec('bob', { port: 6000, source: 'alice', telephoneEvent: 96 }));
    const event = (sequence: number, isEnd: boolean, duration: number) => {
      const payload = Buffer.alloc(4);
      writeTelephoneEvent(payload, 0, 11, isEnd, 10, duration);
      return path.turn('alice', rtpPacket({ type: 101, sequence, timestamp: 8000, payload }), ALICE);
    };
    const sent = [
      event(1, false, 160),
      event(2, false, 320),
      event(3, true, 480),
      event(4, true, 480),
      event(5, true, 480),
    ];
    expect(sent.flat().map(({ packet }) => headerOf(packet))).toMatchObject(
      [1, 2, 3, 4, 5].map((sequence) => ({ type: 96, sequence, timestamp: 8000 })),
    );
    expect(path.events).toEqual([{ type: 'dtmf', stream: 'alice', digit: '#', durationMs: 60 }]);
  });
});

describe('where packets may come from and go to (PH-EDGE-08)', () => {
  test('plain RTP is learned once; a stranger is refused, also after silence with another SSRC', () => {
    const path = call();
    const nat = '127.0.0.9:1234';
    expect(path.turn('alice', rtpPacket({ sequence: 1 }), nat)).toHaveLength(1);
    expect(path.turn('bob', rtpPacket({ sequence: 1 }), BOB)).toMatchObject([{ to: nat }]);
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), '127.0.0.66:1')).toEqual([]);
    path.nowMs += 2001;
    expect(path.turn('alice', rtpPacket({ sequence: 2, ssrc: 66 }), '127.0.0.66:1')).toEqual([]);
    expect(reportOn(path.stream('alice'))).toMatchObject({ packetsRefused: { stranger: 2 } });
  });

  test('a phone whose NAT gave it another port is heard again after 2 s', () => {
    const path = call();
    path.turn('alice', rtpPacket({ sequence: 1 }), '127.0.0.9:1234');
    let silentMs = 0;
    for (
      let sequence = 2;
      path.turn('alice', rtpPacket({ sequence }), '127.0.0.9:4321').length === 0;
      sequence++
    ) {
      path.nowMs += 20;
      silentMs += 20;
    }
    expect(silentMs).toBeGreaterThan(2000);
    expect(silentMs).toBeLessThan(5000);
    expect(path.turn('bob', rtpPacket({}), BOB)).toMatchObject([{ to: '127.0.0.9:4321' }]);
  });

  test('an address that is only signalled gets 5 s of media, and again when it is heard', () => {
    const path = call();
    const secondsOfMedia = () => {
      let packets = 0;
      for (let i = 0; i < 500; i++) {
        path.nowMs += 20;
        packets += path.turn('alice', rtpPacket({ sequence: 1 + (path.nowMs % 60_000) / 20 }), ALICE).length;
      }
      return packets / 50;
    };
    expect(secondsOfMedia()).toBeCloseTo(5, 1);
    expect(secondsOfMedia()).toBe(0);
    path.turn('bob', rtpPacket({}), BOB);
    expect(secondsOfMedia()).toBe(10);
  });

  test('a listener is confirmed by its RTCP', () => {
    const path = call();
    path.nowMs += 1;
    path.turn('alice', rtpPacket({ sequence: 1 }), ALICE);
    const report = Buffer.alloc(64);
    const length = writeRtcp(report, [{ type: 'rr', ssrc: 9, reports: [] }]);
    path.turn('bob', report.subarray(0, length), '127.0.0.1:6001', true);
    path.nowMs += 60_000;
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), ALICE)).toHaveLength(1);
  });

  test('nothing goes to 0.0.0.0; a packet of no negotiated codec claims no stream', () => {
    const path = call();
    path.put(spec('bob', { address: '0.0.0.0', port: 6000, source: 'alice' }));
    expect(path.turn('alice', rtpPacket({}), ALICE)).toEqual([]);
    path.turn('bob', rtpPacket({ type: 77 }), '127.0.0.66:1');
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), ALICE)).toEqual([]);
  });

  test('after a re-INVITE to a new address, packets still under way from the old one change nothing', () => {
    const path = call();
    path.turn('bob', rtpPacket({ sequence: 1 }), BOB);
    path.put(spec('bob', { port: 6500, source: 'alice' }));
    path.turn('bob', rtpPacket({ sequence: 2 }), BOB);
    expect(path.turn('alice', rtpPacket({}), ALICE)).toMatchObject([{ to: '127.0.0.1:6500' }]);
    path.turn('bob', rtpPacket({ sequence: 3 }), '127.0.0.1:6500');
    expect(path.turn('alice', rtpPacket({ sequence: 2 }), ALICE)).toMatchObject([{ to: '127.0.0.1:6500' }]);
  });
});
