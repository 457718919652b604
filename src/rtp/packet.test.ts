import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  estimateIndex,
  isFresh,
  kindOfPacket,
  markSeen,
  newReplayWindow,
  rtpHeaderLength,
  rtpMarker,
  rtpPayloadEnd,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
  sequenceDistance,
  setRtpMarker,
  setRtpPayloadType,
  timestampDistance,
  writeRtpHeader,
} from './index.ts';

describe('an RTP header', () => {
  it('is read as it was written, and rewritten field by field', () => {
    const packet = Buffer.alloc(172);
    writeRtpHeader(packet, 101, true, 65_535, 0xfffffff0, 0xdeadbeef);
    expect(rtpHeaderLength(packet, 172)).toBe(12);
    expect([rtpPayloadType(packet), rtpMarker(packet), rtpSequence(packet)]).toEqual([101, true, 65_535]);
    expect([rtpTimestamp(packet), rtpSsrc(packet)]).toEqual([0xfffffff0, 0xdeadbeef]);
    setRtpPayloadType(packet, 0);
    expect(rtpMarker(packet)).toBe(true);
    setRtpMarker(packet, false);
    expect([rtpPayloadType(packet), rtpMarker(packet)]).toEqual([0, false]);
  });

  it('counts contributing sources and the extension', () => {
    const packet = Buffer.alloc(60);
    packet[0] = 0x80 | 0x10 | 2;
    packet.writeUInt16BE(3, 12 + 8 + 2);
    expect(rtpHeaderLength(packet, 60)).toBe(12 + 8 + 4 + 12);
    expect(rtpHeaderLength(packet, 35)).toBe(-1);
    expect(rtpHeaderLength(packet, 22)).toBe(-1);
  });

  it('is refused when it is too short or of another version', () => {
    expect(rtpHeaderLength(Buffer.alloc(11, 0x80), 11)).toBe(-1);
    expect(rtpHeaderLength(Buffer.alloc(12), 12)).toBe(-1);
    expect(rtpHeaderLength(Buffer.alloc(12, 0x80), 13)).toBe(-1);
  });

  it('is followed by a payload without its padding', () => {
    const packet = Buffer.alloc(20);
    packet[0] = 0x80 | 0x20;
    packet[19] = 4;
    expect(rtpPayloadEnd(packet, 12, 20)).toBe(16);
    packet[19] = 9;
    expect(rtpPayloadEnd(packet, 12, 20)).toBe(-1);
    packet[19] = 0;
    expect(rtpPayloadEnd(packet, 12, 20)).toBe(-1);
    packet[0] = 0x80;
    expect(rtpPayloadEnd(packet, 12, 20)).toBe(20);
  });
});

it('what shares a port is told apart by its first octets (RFC 7983, RFC 5761)', () => {
  const kind = (...bytes: number[]) => kindOfPacket(Buffer.from([...bytes, 0, 0]), bytes.length + 2);
  expect(kind(0, 1)).toBe('stun');
  expect(kind(22, 254)).toBe('dtls');
  expect(kind(0x80, 0)).toBe('rtp');
  expect(kind(0x80, 128 | 101)).toBe('rtp');
  expect([kind(0x80, 200), kind(0x81, 201), kind(0x81, 206)]).toEqual(['rtcp', 'rtcp', 'rtcp']);
  expect([kind(64, 0), kind(200, 0), kindOfPacket(Buffer.alloc(1), 1)]).toEqual(['other', 'other', 'other']);
});

it('distances go round the circle', () => {
  expect(sequenceDistance(65_535, 2)).toBe(3);
  expect(sequenceDistance(2, 65_535)).toBe(-3);
  expect(timestampDistance(0xffffffff, 159)).toBe(160);
});

it('an index is estimated within half a circle of the highest, both ways (RFC 3711 Appendix A)', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 30 }), fc.integer({ min: -32_768, max: 32_767 }), (base, offset) => {
      const highest = base * 1000 + 40_000;
      expect(estimateIndex((highest + offset) & 0xffff, highest)).toBe(highest + offset);
    }),
  );
});

it('the replay window agrees with a set of everything seen', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -140, max: 140 }), { maxLength: 200 }), (steps) => {
      const window = newReplayWindow();
      const seen = new Set<number>();
      let at = 10_000;
      for (const step of steps) {
        at += step;
        const highest = Math.max(-1, ...seen);
        expect(isFresh(window, at)).toBe(!seen.has(at) && at > highest - 128);
        if (!isFresh(window, at)) continue;
        markSeen(window, at);
        seen.add(at);
      }
      expect(JSON.parse(JSON.stringify(window))).toEqual(window);
    }),
  );
});
