import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { parseAddress } from '../native/index.ts';
import { applyState, stateOf } from './record.ts';
import { reportOn } from './report.ts';
import { checkSpec } from './spec.ts';
import { prepare } from './take-over.ts';

const ALICE = '127.0.0.1:5000';
const BOB = '127.0.0.1:6000';
/** As a gateway begins: sequence number 0x8000, a primary packet of one octet, no redundancy. */
const datagram = (sequence = 0x8000): Buffer => Buffer.from([sequence >> 8, sequence & 255, 1, 0x06, 0, 0]);
const fax = (id: string, port: number, source: string) => ({
  ...spec(id, { port, source }),
  codecs: [],
  udptl: true,
});

function call(): PacketPath {
  const path = new PacketPath();
  path.put(fax('alice', 5000, 'bob'));
  path.put(fax('bob', 6000, 'alice'));
  return path;
}

describe('a fax by T.38', () => {
  test('passes both ways as it is, whatever its first octet says', () => {
    const path = call();
    for (const sequence of [0, 20, 0x1603, 0x8000, 0x80c8, 0xffff]) {
      const packet = datagram(sequence);
      expect(path.turn('alice', Buffer.from(packet), ALICE)).toMatchObject([{ by: 'bob', to: BOB, packet }]);
      expect(path.turn('bob', Buffer.from(packet), BOB)).toMatchObject([{ by: 'alice', to: ALICE, packet }]);
    }
  });

  test('no octets that come once the peer is known are changed, and none throw', () => {
    const path = call();
    path.turn('alice', datagram(), ALICE);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 1_400 }), (bytes) => {
        const [sent] = path.turn('alice', Buffer.from(bytes), ALICE);
        expect(sent!.packet.equals(bytes)).toBe(true);
      }),
    );
    for (const length of [0, 1, 3]) expect(path.turn('alice', Buffer.alloc(length), ALICE)).toEqual([]);
    expect(path.turn('alice', datagram(), ALICE, true)).toEqual([]);
  });

  test('the peer is where its first datagram comes from; a stranger does not take its place', () => {
    const path = call();
    expect(path.turn('alice', Buffer.from([0, 0, 200, 1, 1]), '127.0.0.9:5999')).toEqual([]);
    expect(path.turn('alice', datagram(), '127.0.0.2:5002')).toHaveLength(1);
    expect(path.turn('bob', datagram(), BOB)).toMatchObject([{ to: '127.0.0.2:5002' }]);
    path.nowMs += 3_000;
    expect(path.turn('alice', datagram(), '127.0.0.9:5999')).toEqual([]);
    // Its NAT has given it another port.
    expect(path.turn('alice', datagram(), '127.0.0.2:5004')).toHaveLength(1);
    expect(path.turn('bob', datagram(), BOB)).toMatchObject([{ to: '127.0.0.2:5004' }]);
    expect(path.told).toContain('note alice');
  });

  test('audio of before and after goes to nobody who has a fax', () => {
    const path = call();
    path.put(spec('bob', { port: 6000, source: 'alice' }));
    expect(path.turn('alice', datagram(), ALICE)).toEqual([]);
    expect(path.turn('bob', rtpPacket({}), BOB)).toEqual([]);
    path.put(spec('alice', { port: 5000, source: 'bob' }));
    expect(path.turn('bob', rtpPacket({ sequence: 2 }), BOB)).toHaveLength(1);
  });

  test('is no gap and no jitter of the audio before and after, and has its part in the bit rate', () => {
    const path = new PacketPath();
    path.put(spec('alice', { port: 5000, source: 'bob' }));
    path.put(spec('bob', { port: 6000, source: 'alice' }));
    let sequence = 0;
    const speak = (): void => {
      for (let i = 0; i < 100; i++) {
        path.nowMs += 20;
        path.turn('alice', rtpPacket({ sequence: ++sequence, payload: Buffer.alloc(160) }), ALICE);
      }
    };
    speak();
    path.put(fax('alice', 5000, 'bob'));
    path.put(fax('bob', 6000, 'alice'));
    for (let i = 0; i < 1_000; i++) {
      path.nowMs += 30;
      path.turn('alice', datagram(i), ALICE);
    }
    path.put(spec('alice', { port: 5000, source: 'bob' }));
    path.put(spec('bob', { port: 6000, source: 'alice' }));
    speak();
    const { received, packetsLost } = reportOn(path.stream('alice'));
    expect(packetsLost).toBe(0);
    expect(received).toMatchObject({ jitterMs: { worst: 0 }, longestGapMs: 20 });
    expect(received!.mos).toBeGreaterThan(4);
    // 4 s of 80 kbit/s, 30 s of 12.3.
    expect(received!.bitsPerSecond).toBeGreaterThan(18_000);
    expect(received!.bitsPerSecond).toBeLessThan(22_000);
  });

  test('goes on at the process that takes over, to where the peer was learned to be', () => {
    const before = call();
    before.turn('alice', datagram(), '127.0.0.2:5002');
    const after = new PacketPath();
    after.nowMs = before.nowMs;
    for (const id of ['alice', 'bob'] as const) {
      after.put(before.stream(id).spec);
      applyState(after.stream(id), structuredClone(stateOf(before.stream(id))));
      prepare(after.stream(id), after.nowMs);
    }
    const packet = datagram(0x8001);
    expect(after.turn('bob', Buffer.from(packet), BOB)).toMatchObject([{ to: '127.0.0.2:5002', packet }]);
    expect(after.turn('alice', datagram(), '127.0.0.9:5999')).toEqual([]);
    expect(after.turn('alice', Buffer.from(packet), '127.0.0.2:5002')).toMatchObject([{ to: BOB, packet }]);
  });

  test('nothing goes to a peer on hold', () => {
    const path = call();
    path.put({ ...fax('bob', 6000, 'alice'), direction: 'recvonly' });
    expect(path.turn('alice', datagram(), ALICE)).toEqual([]);
  });
});

describe('a spec that asks for UDPTL', () => {
  const isOurs = (address: { equals(other: unknown): boolean }) =>
    address.equals(parseAddress('127.0.0.1', 1));
  const check = (more: object) => () => checkSpec({ ...fax('alice', 5000, 'bob'), ...more }, isOurs as never);

  test.each([
    [{ udptl: 1 }, /udptl must be true or false/],
    [
      { sendKey: { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44).toString('base64') } },
      /udptl and sendKey/,
    ],
    [{ codecs: spec('x').codecs }, /udptl has no codecs/],
    [{ detects: { voice: true } }, /udptl and detects/],
  ])('%j is refused', (more, message) => {
    expect(check(more)).toThrow(message);
  });

  test('alone is taken', () => {
    expect(check({})).not.toThrow();
  });
});
