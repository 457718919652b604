import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { loadCiphers } from '../native/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  keySaltLength,
  SRTP_AUTH,
  SRTP_EXHAUSTED,
  SRTP_MALFORMED,
  SRTP_NO_ROOM,
  SRTP_REPLAY,
  type SrtpKey,
  type SrtpSuite,
  setRtpSequence,
  writeRtcp,
  writeRtpHeader,
} from './index.ts';

const SUITES: SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
const SSRC = 0xcafe0001;

const keyOf = (suite: SrtpSuite, seed = 1): SrtpKey => ({
  suite,
  keySalt: Buffer.from(seededRandom(seed).bytes(keySaltLength(suite))).toString('base64'),
});

/** A packet with 160 octets that tell its index, in a buffer with room. */
function packetOf(index: number, ssrc = SSRC): Buffer {
  const packet = Buffer.alloc(12 + 160 + 20);
  writeRtpHeader(packet, 0, false, index & 0xffff, index * 160, ssrc);
  packet.fill(index & 0xff, 12, 172);
  return packet;
}

describe.each(SUITES)('%s', (suite) => {
  const key = keyOf(suite);

  /** What a sender makes of the packets from `first` on. */
  function protectedRow(first: number, count: number): { packet: Buffer; length: number }[] {
    const sender = createSrtpSender(key);
    return Array.from({ length: count }, (_, i) => {
      const packet = packetOf(first + i);
      return { packet, length: sender.protectRtpAt(packet, 172, first + i) };
    });
  }

  it('seeks the rollover counter of a peer that has talked for hours, a packet for each try', () => {
    const first = 9 * 65_536 + 65_530;
    const seeking = createSrtpReceiver(key);
    seeking.seekRollover(32);
    const results = protectedRow(first, 30).map(({ packet, length }) => seeking.unprotectRtp(packet, length));
    // The sequence wraps during the search: the counter is ten by then.
    expect(results.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => SRTP_AUTH));
    expect(results.slice(10)).toEqual(Array.from({ length: 20 }, () => 172));
    expect(seeking.highestIndex(SSRC)).toBe(first + 29);
    // Who does not seek never finds it, and who has found it tries no other.
    const plain = createSrtpReceiver(key);
    for (const { packet, length } of protectedRow(first, 30))
      expect(plain.unprotectRtp(packet, length)).toBe(SRTP_AUTH);
    const [old] = protectedRow(3 * 65_536 + 300, 1);
    expect(seeking.unprotectRtp(old!.packet, old!.length)).toBe(SRTP_AUTH);
  });

  it('opens what it protected, and nothing of the payload shows in between', () => {
    const packet = packetOf(7);
    const sealed = createSrtpSender(key).protectRtp(packet, 172);
    expect(sealed).toBeGreaterThan(172);
    expect(packet.subarray(12, 172).equals(packetOf(7).subarray(12, 172))).toBe(false);
    expect(packet.subarray(0, 12)).toEqual(packetOf(7).subarray(0, 12));
    expect(createSrtpReceiver(key).unprotectRtp(packet, sealed)).toBe(172);
    expect(packet.subarray(0, 172)).toEqual(packetOf(7).subarray(0, 172));
  });

  it('goes on over the wrap of the sequence number, counting the rollover on both sides', () => {
    const sender = createSrtpSender(key);
    const receiver = createSrtpReceiver(key);
    for (let index = 65_500; index < 65_600; index++) {
      const packet = packetOf(index);
      const sealed = sender.protectRtp(packet, 172);
      expect(receiver.unprotectRtp(packet, sealed)).toBe(172);
      expect(receiver.lastIndex).toBe(index);
    }
    expect(sender.highestIndex(SSRC)).toBe(65_599);
  });

  it('takes packets out of order around the wrap', () => {
    const row = protectedRow(65_520, 32);
    const receiver = createSrtpReceiver(key);
    // Start before the wrap, then jump over it, then the ones that were overtaken.
    const order = [0, 20, 15, 16, 1, 31, 14, 30, 2, 17];
    const indices = order.map((at) => {
      const { packet, length } = row[at]!;
      expect(receiver.unprotectRtp(packet, length)).toBe(172);
      return receiver.lastIndex;
    });
    expect(indices).toEqual(order.map((at) => 65_520 + at));
  });

  it('takes each packet once', () => {
    const row = protectedRow(100, 3);
    const receiver = createSrtpReceiver(key);
    const copies = row.map(({ packet }) => Buffer.from(packet));
    row.forEach(({ packet, length }) => {
      expect(receiver.unprotectRtp(packet, length)).toBe(172);
    });
    copies.forEach((packet, i) => {
      expect(receiver.unprotectRtp(packet, row[i]!.length)).toBe(SRTP_REPLAY);
    });
  });

  it('refuses what is older than its window of 128', () => {
    const row = protectedRow(1000, 130);
    const receiver = createSrtpReceiver(key);
    const last = row[129]!;
    receiver.unprotectRtp(last.packet, last.length);
    expect(receiver.unprotectRtp(row[2]!.packet, row[2]!.length)).toBe(172);
    expect(receiver.unprotectRtp(row[1]!.packet, row[1]!.length)).toBe(SRTP_REPLAY);
  });

  it('refuses a packet in which any one bit was turned, and then still takes the genuine one', () => {
    fc.assert(
      fc.property(fc.nat(), (bit) => {
        const { packet, length } = protectedRow(5, 1)[0]!;
        const genuine = Buffer.from(packet);
        // Not in the first octet: turning there makes it another kind of packet, refused as malformed.
        const at = 8 + (bit % (8 * (length - 1)));
        packet[at >> 3]! ^= 1 << (at & 7);
        const receiver = createSrtpReceiver(key);
        expect(receiver.unprotectRtp(packet, length)).toBe(SRTP_AUTH);
        expect(receiver.unprotectRtp(genuine, length)).toBe(172);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses what another key protected', () => {
    const { packet, length } = protectedRow(5, 1)[0]!;
    expect(createSrtpReceiver(keyOf(suite, 2)).unprotectRtp(packet, length)).toBe(SRTP_AUTH);
  });

  it('never uses an index twice', () => {
    const sender = createSrtpSender(key);
    expect(sender.protectRtp(packetOf(9), 172)).toBeGreaterThan(0);
    expect(sender.protectRtp(packetOf(9), 172)).toBe(SRTP_REPLAY);
    expect(sender.protectRtpAt(packetOf(9), 172, 9)).toBe(SRTP_REPLAY);
    expect(sender.protectRtpAt(packetOf(9), 172, 10)).toBeGreaterThan(0);
  });

  it('keeps the last index of 48 bits, and refuses to go beyond', () => {
    const sender = createSrtpSender(key);
    const receiver = createSrtpReceiver(key);
    const last = 2 ** 48 - 1;
    receiver.expectIndex(SSRC, last - 1);
    const packet = packetOf(last);
    const sealed = sender.protectRtpAt(packet, 172, last);
    expect(receiver.unprotectRtp(packet, sealed)).toBe(172);
    expect(receiver.lastIndex).toBe(last);
    expect(sender.protectRtp(packetOf(last + 1), 172)).toBe(SRTP_EXHAUSTED);
    expect(sender.protectRtpAt(packetOf(0), 172, 2 ** 48)).toBe(SRTP_EXHAUSTED);
  });

  it('says when the buffer has no room, and leaves it untouched', () => {
    const packet = packetOf(3).subarray(0, 172 + 9);
    const before = Buffer.from(packet);
    expect(createSrtpSender(key).protectRtp(packet, 172)).toBe(SRTP_NO_ROOM);
    expect(packet.equals(before)).toBe(true);
  });

  it('goes on in another process from exported state, after the wrap too', () => {
    const sender = createSrtpSender(key);
    const receiver = createSrtpReceiver(key);
    const exchange = (from: number, to: number, s = sender, r = receiver): void => {
      for (let index = from; index < to; index++) {
        const packet = packetOf(index);
        expect(r.unprotectRtp(packet, s.protectRtp(packet, 172))).toBe(172);
        const rtcp = report();
        expect(r.unprotectRtcp(rtcp, s.protectRtcp(rtcp, REPORT_LENGTH))).toBe(REPORT_LENGTH);
      }
    };
    exchange(65_530, 65_545);
    const twinSender = createSrtpSender(key);
    twinSender.importState(JSON.parse(JSON.stringify(sender.exportState())));
    const twinReceiver = createSrtpReceiver(key);
    twinReceiver.importState(JSON.parse(JSON.stringify(receiver.exportState())));
    expect(twinSender.rtcpIndex).toBe(15);
    exchange(65_545, 65_560, twinSender, twinReceiver);
    // What the first one has taken, the twin takes no more.
    const old = packetOf(65_540);
    expect(twinReceiver.unprotectRtp(old, createSrtpSender(key).protectRtpAt(old, 172, 65_540))).toBe(
      SRTP_REPLAY,
    );
    // A stand-by that never heard of the wrap is deaf: why the counter is mirrored.
    const fresh = packetOf(65_560);
    expect(createSrtpReceiver(key).unprotectRtp(fresh, twinSender.protectRtp(fresh, 172))).toBe(SRTP_AUTH);
  });

  it('protects reports under an index that only grows, takes each once, and notices tampering', () => {
    const sender = createSrtpSender(key);
    const receiver = createSrtpReceiver(key);
    const rows = [report(), report(), report()].map((packet) => ({
      packet,
      length: sender.protectRtcp(packet, REPORT_LENGTH),
    }));
    const again = Buffer.from(rows[0]!.packet);
    const tampered = Buffer.from(rows[2]!.packet);
    tampered[12]! ^= 1;
    expect(receiver.unprotectRtcp(tampered, rows[2]!.length)).toBe(SRTP_AUTH);
    for (const at of [1, 0, 2]) {
      const { packet, length } = rows[at]!;
      expect(receiver.unprotectRtcp(packet, length)).toBe(REPORT_LENGTH);
      expect(packet.subarray(0, REPORT_LENGTH)).toEqual(report().subarray(0, REPORT_LENGTH));
    }
    expect(receiver.unprotectRtcp(again, rows[0]!.length)).toBe(SRTP_REPLAY);
    sender.rtcpIndex = 2 ** 31;
    expect(sender.protectRtcp(report(), REPORT_LENGTH)).toBe(SRTP_EXHAUSTED);
  });

  it('survives whatever comes from the network', () => {
    const receiver = createSrtpReceiver(key);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.boolean(),
        fc.integer({ min: -2, max: 310 }),
        (bytes, valid, length) => {
          if (valid && bytes.length > 1) bytes[0] = 0x80 | (bytes[0]! & 0x3f);
          expect(receiver.unprotectRtp(Uint8Array.from(bytes), length)).toBeLessThan(0);
          expect(receiver.unprotectRtcp(Uint8Array.from(bytes), length)).toBeLessThan(0);
          const sent = createSrtpSender(key).protectRtp(Uint8Array.from(bytes), length);
          expect(sent < 0 || sent <= bytes.length).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
    // Strangers leave no trace.
    expect(receiver.exportState().streams).toEqual([]);
  });

  it('agrees with node:crypto on any packet', () => {
    const node = loadCiphers('node')!;
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 1400 }),
        fc.nat({ max: 2 ** 31 }),
        fc.integer({ min: 0, max: 15 }),
        fc.nat(),
        (payload, index, csrcs, ssrc) => {
          const length = 12 + 4 * csrcs + payload.length;
          const fast = Buffer.alloc(length + 16);
          writeRtpHeader(fast, 96, true, index & 0xffff, index, ssrc);
          fast[0]! |= csrcs;
          fast.set(payload, 12 + 4 * csrcs);
          const slow = Buffer.from(fast);
          const sealed = createSrtpSender(key).protectRtpAt(fast, length, index);
          expect(createSrtpSender(key, node).protectRtpAt(slow, length, index)).toBe(sealed);
          expect(fast.equals(slow)).toBe(true);
          const receiver = createSrtpReceiver(key, node);
          receiver.expectIndex(ssrc, index - 1);
          expect(receiver.unprotectRtp(fast, sealed)).toBe(length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses everything once closed', () => {
    const sender = createSrtpSender(key);
    const receiver = createSrtpReceiver(key);
    const packet = packetOf(1);
    const sealed = sender.protectRtp(packet, 172);
    sender.close();
    sender.close();
    receiver.close();
    expect(sender.protectRtp(packetOf(2), 172)).toBe(SRTP_MALFORMED);
    expect(receiver.unprotectRtp(packet, sealed)).toBe(SRTP_MALFORMED);
  });
});

const REPORT_LENGTH = 28;
function report(): Buffer {
  const packet = Buffer.alloc(100);
  writeRtcp(packet, [
    {
      type: 'sr',
      ssrc: SSRC,
      ntpSec: 1,
      ntpFraction: 2,
      rtpTimestamp: 3,
      packetCount: 4,
      octetCount: 5,
      reports: [],
    },
  ]);
  return packet;
}

describe('many sources under one key', () => {
  const key = keyOf('AEAD_AES_256_GCM');

  it('a receiver remembers the 32 heard last', () => {
    const receiver = createSrtpReceiver(key);
    for (let ssrc = 1; ssrc <= 40; ssrc++) {
      const packet = packetOf(1, ssrc);
      receiver.unprotectRtp(packet, createSrtpSender(key).protectRtp(packet, 172));
    }
    expect(receiver.exportState().streams.map((stream) => stream.ssrc)).toEqual(
      Array.from({ length: 32 }, (_, i) => i + 9),
    );
  });

  it('a sender forgets none, and takes no more than 32', () => {
    const sender = createSrtpSender(key);
    for (let ssrc = 1; ssrc <= 32; ssrc++)
      expect(sender.protectRtp(packetOf(1, ssrc), 172)).toBeGreaterThan(0);
    expect(sender.protectRtp(packetOf(1, 33), 172)).toBe(SRTP_EXHAUSTED);
    expect(sender.protectRtp(packetOf(1, 1), 172)).toBe(SRTP_REPLAY);
  });

  it('a sender goes not back to a state older than its own', () => {
    const sender = createSrtpSender(key);
    sender.protectRtp(packetOf(5), 172);
    const old = sender.exportState();
    sender.protectRtp(packetOf(6), 172);
    sender.importState(old);
    expect(sender.protectRtp(packetOf(6), 172)).toBe(SRTP_REPLAY);
  });

  it('the sequence number follows the index that a relay decides', () => {
    const packet = packetOf(0);
    setRtpSequence(packet, 4711);
    createSrtpSender(key).protectRtpAt(packet, 172, 65_536 * 3 + 12);
    expect(packet.readUInt16BE(2)).toBe(12);
  });
});
