import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  keySaltLength,
  type SrtpSuite,
  writeRtcp,
  writeRtpHeader,
} from '../../src/rtp/index.ts';
import { loadLibSrtp } from './libsrtp.ts';

const libsrtp = loadLibSrtp();
const SUITES: SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];

/** Ours and Debian's libsrtp2 must understand each other: from one master key, over the wrap, RTP and RTCP. */
describe.skipIf(!libsrtp).each(SUITES)('%s with libsrtp', (suite) => {
  const keySalt = Buffer.from(seededRandom(99).bytes(keySaltLength(suite))).toString('base64');
  const rtp = (index: number): Buffer => {
    const packet = Buffer.alloc(220, index & 0xff);
    writeRtpHeader(packet, 0, false, index & 0xffff, index * 160, 0xdecafbad);
    return packet;
  };
  const rtcp = (n: number): { packet: Buffer; length: number } => {
    const packet = Buffer.alloc(120);
    const length = writeRtcp(packet, [
      {
        type: 'sr',
        ssrc: 0xdecafbad,
        ntpSec: n,
        ntpFraction: 1,
        rtpTimestamp: 2,
        packetCount: n,
        octetCount: 4,
        reports: [],
      },
      { type: 'sdes', chunks: [{ ssrc: 0xdecafbad, items: [{ type: 1, text: 'c' }] }] },
    ]);
    return { packet, length };
  };

  it('it opens what we protect', () => {
    const ours = createSrtpSender({ suite, keySalt });
    const theirs = libsrtp!.session(suite, keySalt, 'receives');
    for (let index = 65_500; index < 65_580; index++) {
      const packet = rtp(index);
      expect(theirs.unprotectRtp(packet, ours.protectRtp(packet, 172))).toBe(172);
      expect(packet.subarray(0, 172).equals(rtp(index).subarray(0, 172))).toBe(true);
    }
    for (let n = 1; n < 5; n++) {
      const { packet, length } = rtcp(n);
      expect(theirs.unprotectRtcp(packet, ours.protectRtcp(packet, length))).toBe(length);
      expect(packet.subarray(0, length).equals(rtcp(n).packet.subarray(0, length))).toBe(true);
    }
    theirs.close();
  });

  it('we open what it protects', () => {
    const theirs = libsrtp!.session(suite, keySalt, 'sends');
    const ours = createSrtpReceiver({ suite, keySalt });
    for (let index = 65_500; index < 65_580; index++) {
      const packet = rtp(index);
      expect(ours.unprotectRtp(packet, theirs.protectRtp(packet, 172))).toBe(172);
      expect(packet.subarray(0, 172).equals(rtp(index).subarray(0, 172))).toBe(true);
    }
    for (let n = 1; n < 5; n++) {
      const { packet, length } = rtcp(n);
      expect(ours.unprotectRtcp(packet, theirs.protectRtcp(packet, length))).toBe(length);
    }
    theirs.close();
  });
});
