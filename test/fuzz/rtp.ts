import {
  createSrtpReceiver,
  createSrtpSender,
  keySaltLength,
  kindOfPacket,
  newTelephoneEvents,
  parseRtcp,
  receiveTelephoneEvent,
  rtpHeaderLength,
  rtpPayloadEnd,
  type SrtpSuite,
  writeRtcp,
  writeRtpHeader,
} from '../../src/rtp/index.ts';
import { type FuzzTarget, mustHold } from './target.ts';

const SUITES: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
const keyOf = (suite: SrtpSuite) => ({
  suite,
  keySalt: Buffer.alloc(keySaltLength(suite), 7).toString('base64'),
});
const receivers = SUITES.map((suite) => createSrtpReceiver(keyOf(suite)));

function rtpSeeds(): Uint8Array[] {
  const plain = Buffer.alloc(172);
  writeRtpHeader(plain, 0, true, 1, 160, 0xcafe);
  return [plain, ...SUITES.map((suite) => protectedCopy(plain, suite, false))];
}

function rtcpSeeds(): Uint8Array[] {
  const compound = Buffer.alloc(300);
  const report = {
    ssrc: 1,
    fractionLost: 1,
    cumulativeLost: 2,
    highestSequence: 3,
    jitter: 4,
    lastSr: 5,
    delaySinceLastSr: 6,
  };
  const length = writeRtcp(compound, [
    {
      type: 'sr',
      ssrc: 1,
      ntpSec: 1,
      ntpFraction: 2,
      rtpTimestamp: 3,
      packetCount: 4,
      octetCount: 5,
      reports: [report],
    },
    { type: 'sdes', chunks: [{ ssrc: 1, items: [{ type: 1, text: 'cname' }] }] },
    { type: 'bye', ssrcs: [1], reason: 'over' },
  ]);
  const plain = compound.subarray(0, length);
  return [plain, ...SUITES.map((suite) => protectedCopy(plain, suite, true))];
}

function protectedCopy(plain: Buffer, suite: SrtpSuite, rtcp: boolean): Uint8Array {
  const packet = Buffer.concat([plain, Buffer.alloc(20)]);
  const sender = createSrtpSender(keyOf(suite));
  const length = rtcp ? sender.protectRtcp(packet, plain.length) : sender.protectRtp(packet, plain.length);
  return packet.subarray(0, length);
}

/** A datagram as RTP: plain, and under each suite. A view in the middle of other memory, which must stay as it is. */
export function checkRtp(input: Uint8Array): void {
  kindOfPacket(input, input.length);
  const headerLength = rtpHeaderLength(input, input.length);
  if (headerLength >= 0) {
    mustHold(headerLength >= 12 && headerLength <= input.length, 'a header lies in its packet');
    const end = rtpPayloadEnd(input, headerLength, input.length);
    mustHold(end === -1 || (end >= headerLength && end <= input.length), 'a payload lies in its packet');
    if (end > 0) receiveTelephoneEvent(newTelephoneEvents(), input, headerLength, end, 0, 8000, 0);
  }
  inTheMiddle(input, (packet) => {
    for (const receiver of receivers) {
      const length = receiver.unprotectRtp(packet, packet.length);
      mustHold(length < packet.length, 'opening makes a packet shorter');
    }
  });
}

export function checkRtcp(input: Uint8Array): void {
  const parsed = parseRtcp(input, input.length);
  if (parsed.ok) mustHold(parsed.value.length <= input.length / 4, 'packets have at least four octets');
  inTheMiddle(input, (packet) => {
    for (const receiver of receivers) {
      mustHold(
        receiver.unprotectRtcp(packet, packet.length) < packet.length,
        'opening makes a packet shorter',
      );
    }
  });
}

function inTheMiddle(input: Uint8Array, use: (packet: Uint8Array) => void): void {
  const whole = Buffer.alloc(input.length + 64, 0xa5);
  whole.set(input, 32);
  use(whole.subarray(32, 32 + input.length));
  const untouched =
    whole.subarray(0, 32).every((byte) => byte === 0xa5) &&
    whole.subarray(32 + input.length).every((byte) => byte === 0xa5);
  mustHold(untouched, 'nothing outside the packet is written');
}

export const rtpTargets: readonly FuzzTarget[] = [
  { name: 'rtp-packet', seeds: rtpSeeds, run: checkRtp },
  { name: 'rtp-rtcp', seeds: rtcpSeeds, run: checkRtcp },
];
