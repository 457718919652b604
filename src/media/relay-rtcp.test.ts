import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PacketPath, rtpPacket, type Sent } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import {
  createSrtpReceiver,
  keySaltLength,
  parseRtcp,
  type ReportBlock,
  type RtcpPacket,
  writeRtcp,
} from '../rtp/index.ts';
import type { SrtpKey } from './protocol.ts';
import { prepare } from './take-over.ts';

const newKey = (): SrtpKey => ({
  suite: 'AEAD_AES_256_GCM',
  keySalt: randomBytes(keySaltLength('AEAD_AES_256_GCM')).toString('base64'),
});

/** A call in which both have spoken: alice under SSRC 7, bob under 8, bob's numbers moved by a transfer. */
function call(): PacketPath {
  const path = new PacketPath();
  path.put(spec('alice', { port: 5000, source: 'before' }));
  path.put(spec('before', { port: 5500, source: 'alice' }));
  path.turn('before', rtpPacket({ sequence: 400, timestamp: 1000, ssrc: 3 }), '127.0.0.1:5500');
  path.put(spec('before', { port: 5500 }));
  path.put(spec('alice', { port: 5000, source: 'bob' }));
  path.put(spec('bob', { port: 6000, source: 'alice' }));
  path.turn('alice', rtpPacket({ sequence: 10, ssrc: 7 }), '127.0.0.1:5000');
  path.turn('bob', rtpPacket({ sequence: 20, timestamp: 500, ssrc: 8 }), '127.0.0.1:6000');
  return path;
}

const block = (ssrc: number, highestSequence: number): ReportBlock => ({
  ssrc,
  fractionLost: 3,
  cumulativeLost: 5,
  highestSequence,
  jitter: 9,
  lastSr: 0x12345678,
  delaySinceLastSr: 77,
});

function rtcp(packets: Exclude<RtcpPacket, { type: 'other' }>[]): Buffer {
  const bytes = Buffer.alloc(1024);
  return bytes.subarray(0, writeRtcp(bytes, packets));
}

function read(sent: Sent | undefined): readonly RtcpPacket[] {
  const parsed = parseRtcp(sent!.packet, sent!.packet.length);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

const senderReport = (ssrc: number, rtpTimestamp: number, reports: ReportBlock[]) =>
  ({
    type: 'sr',
    ssrc,
    ntpSec: 1,
    ntpFraction: 2,
    rtpTimestamp,
    packetCount: 3,
    octetCount: 4,
    reports,
  }) as const;

describe('RTCP', () => {
  test('a sender report names our SSRC and times; its report block is about what the other sent us', () => {
    const path = call();
    const { alice, bob } = { alice: path.stream('alice'), bob: path.stream('bob') };
    const [sent] = path.turn(
      'bob',
      rtcp([senderReport(8, 500, [block(bob.ssrc, 10)])]),
      '127.0.0.1:6001',
      true,
    );
    expect(sent).toMatchObject({ by: 'alice', to: '127.0.0.1:5001', fromRtcp: true });
    expect(read(sent)).toEqual([senderReport(alice.ssrc, 1000, [block(7, 10)])]);

    // Alice hears bob under numbers that go on behind the transfer: 401 is his 20.
    const [back] = path.turn(
      'alice',
      rtcp([{ type: 'rr', ssrc: 7, reports: [block(alice.ssrc, 401)] }]),
      '127.0.0.1:5001',
      true,
    );
    expect(read(back)).toEqual([{ type: 'rr', ssrc: bob.ssrc, reports: [block(8, 20)] }]);
  });

  test('the CNAME may hold an inner address and is replaced; BYE and blocks about strangers stay here', () => {
    const path = call();
    const packets = [
      senderReport(8, 500, [block(99, 1)]),
      { type: 'sdes', chunks: [{ ssrc: 8, items: [{ type: 1, text: 'bob@10.1.2.3' }] }] },
      { type: 'bye', ssrcs: [8], reason: 'gone' },
    ] as const;
    const [sent] = path.turn('bob', rtcp([...packets]), '127.0.0.1:6001', true);
    expect(sent!.packet.includes('10.1.2.3')).toBe(false);
    expect(read(sent).map(({ type }) => type)).toEqual(['sr', 'sdes']);
    expect(read(sent)[0]).toMatchObject({ reports: [] });
    expect(path.turn('bob', rtcp([{ type: 'bye', ssrcs: [8] }]), '127.0.0.1:6001', true)).toEqual([]);
  });

  test('on one port with RTP where that was negotiated (RFC 5761), on its own where not', () => {
    const path = call();
    path.put(spec('alice', { port: 5000, source: 'bob', rtcpMux: true }));
    const [toAlice] = path.turn('bob', rtcp([senderReport(8, 500, [])]), '127.0.0.1:6001', true);
    expect(toAlice).toMatchObject({ by: 'alice', to: '127.0.0.1:5000', fromRtcp: false });
    const [toBob] = path.turn('alice', rtcp([senderReport(7, 1600, [])]), '127.0.0.1:5000');
    expect(toBob).toMatchObject({ by: 'bob', to: '127.0.0.1:6001', fromRtcp: true });
  });

  test('plain RTCP from another host is a stranger’s', () => {
    const path = call();
    expect(path.turn('bob', rtcp([senderReport(8, 500, [])]), '127.0.0.66:6001', true)).toEqual([]);
    expect(path.stream('bob').counts.refusedStranger).toBe(1);
  });

  test('SRTCP leaves under indices that the twin was told of first; an adopter goes on behind them', () => {
    const path = call();
    const key = newKey();
    path.put(spec('alice', { port: 5000, source: 'bob', sendKey: key, receiveKey: newKey() }));
    const alice = createSrtpReceiver(key);
    path.told.length = 0;
    const indices: number[] = [];
    const hear = () => {
      for (const { packet } of path.turn('bob', rtcp([senderReport(8, 500, [])]), '127.0.0.1:6001', true)) {
        expect(alice.unprotectRtcp(Buffer.from(packet), packet.length)).toBeGreaterThan(0);
        indices.push(packet.readUInt32BE(packet.length - 4) & 0x7fffffff);
      }
    };
    for (let i = 0; i < 150; i++) hear();
    expect(path.told.filter((told) => told === 'commit alice')).toHaveLength(2);
    prepare(path.stream('alice'), path.nowMs);
    hear();
    expect(indices.slice(0, 3)).toEqual([0, 1, 2]);
    expect(indices.slice(-2)).toEqual([149, 200]);
    path.twinListens = false;
    for (let i = 0; i < 200; i++) hear();
    expect(indices.at(-1)).toBeLessThan(300);
    expect(new Set(indices).size).toBe(indices.length);
  });
});
