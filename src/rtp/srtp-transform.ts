import { type CipherLibrary, ciphers } from '../native/index.ts';
import { readUint32, writeUint32 } from './packet.ts';
import { rolloverOf } from './packet-index.ts';
import { type SessionKeySet, type SrtpSessionKeys, SUITES } from './srtp-keys.ts';

/**
 * Encryption and authentication of one packet whose index is known; no memory of packets. Buffers are the caller's, lengths
 * were checked by it; `seal…` returns the new length, `open…` the plain length, or -1 when the tag is wrong.
 */
export interface SrtpTransform {
  sealRtp(packet: Uint8Array, headerLength: number, length: number, index: number): number;
  openRtp(packet: Uint8Array, headerLength: number, length: number, index: number): number;
  sealRtcp(packet: Uint8Array, length: number, index: number): number;
  openRtcp(packet: Uint8Array, length: number): number;
  /** Octets that RTP and RTCP packets grow by. */
  readonly rtpOverhead: number;
  readonly rtcpOverhead: number;
  free(): void;
}

const RTCP_HEADER_LENGTH = 8;
/** E flag of the SRTCP index word. */
const ENCRYPTED = 0x80;

/** The index word of a protected RTCP packet: 31 bits, without the E flag (RFC 3711 §3.4). */
export function srtcpIndex(packet: Uint8Array, length: number, gcm: boolean): number {
  return readUint32(packet, gcm ? length - 4 : length - 14) & 0x7fffffff;
}

export function newTransform(keys: SrtpSessionKeys, library: CipherLibrary = ciphers()): SrtpTransform {
  return SUITES[keys.suite].gcm ? gcmTransform(keys, library) : counterTransform(keys, library);
}

/** RFC 7714 §8 and §9. */
function gcmTransform(keys: SrtpSessionKeys, library: CipherLibrary): SrtpTransform {
  const TAG = 16;
  const rtp = library.gcm(keys.rtp.key);
  const rtcp = library.gcm(keys.rtcp.key);
  const rtpSalt = keys.rtp.salt;
  const rtcpSalt = keys.rtcp.salt;

  /** §8.1: 00 00, SSRC, rollover counter, sequence number; xor the salt. */
  const setRtpIv = (packet: Uint8Array, index: number): void => {
    const { iv } = rtp;
    const rollover = rolloverOf(index);
    iv[0] = rtpSalt[0]!;
    iv[1] = rtpSalt[1]!;
    iv[2] = packet[8]! ^ rtpSalt[2]!;
    iv[3] = packet[9]! ^ rtpSalt[3]!;
    iv[4] = packet[10]! ^ rtpSalt[4]!;
    iv[5] = packet[11]! ^ rtpSalt[5]!;
    iv[6] = (rollover >>> 24) ^ rtpSalt[6]!;
    iv[7] = (rollover >>> 16) ^ rtpSalt[7]!;
    iv[8] = (rollover >>> 8) ^ rtpSalt[8]!;
    iv[9] = rollover ^ rtpSalt[9]!;
    iv[10] = (index >>> 8) ^ rtpSalt[10]!;
    iv[11] = index ^ rtpSalt[11]!;
  };

  /** §9.1: 00 00, SSRC, 00 00, index; xor the salt. */
  const setRtcpIv = (packet: Uint8Array, index: number): void => {
    const { iv } = rtcp;
    iv.set(rtcpSalt);
    for (let at = 0; at < 4; at++) {
      iv[2 + at] = iv[2 + at]! ^ packet[4 + at]!;
      iv[8 + at] = iv[8 + at]! ^ (index >>> (24 - 8 * at));
    }
  };

  return {
    rtpOverhead: TAG,
    rtcpOverhead: TAG + 4,
    sealRtp(packet, headerLength, length, index) {
      setRtpIv(packet, index);
      return rtp.seal(packet, headerLength, length, -1) ? length + TAG : -1;
    },
    openRtp(packet, headerLength, length, index) {
      setRtpIv(packet, index);
      return rtp.open(packet, headerLength, length - TAG, -1) ? length - TAG : -1;
    },
    sealRtcp(packet, length, index) {
      setRtcpIv(packet, index);
      const wordAt = length + TAG;
      writeUint32(packet, wordAt, index);
      packet[wordAt] = packet[wordAt]! | ENCRYPTED;
      return rtcp.seal(packet, RTCP_HEADER_LENGTH, length, wordAt) ? wordAt + 4 : -1;
    },
    openRtcp(packet, length) {
      const wordAt = length - 4;
      setRtcpIv(packet, srtcpIndex(packet, length, true));
      // §9.3: without the E flag the whole packet is authenticated and nothing encrypted.
      const end = wordAt - TAG;
      const headerLength = (packet[wordAt]! & ENCRYPTED) !== 0 ? RTCP_HEADER_LENGTH : end;
      return rtcp.open(packet, headerLength, end, wordAt) ? end : -1;
    },
    free() {
      rtp.free();
      rtcp.free();
    },
  };
}

/** RFC 3711 §4.1.1 and §4.2.1; RFC 6188 for 256 bits. */
function counterTransform(keys: SrtpSessionKeys, library: CipherLibrary): SrtpTransform {
  const TAG = 10;
  const rtp = library.counter(keys.rtp.key);
  const rtcp = library.counter(keys.rtcp.key);
  const rtpMac = library.hmacSha1(keys.rtp.auth);
  const rtcpMac = library.hmacSha1(keys.rtcp.auth);

  /** salt × 2^16 xor SSRC × 2^64 xor index × 2^16. */
  const setIv = (
    iv: Uint8Array,
    set: SessionKeySet,
    packet: Uint8Array,
    ssrcAt: number,
    index: number,
  ): void => {
    const { salt } = set;
    const high = rolloverOf(index);
    iv[0] = salt[0]!;
    iv[1] = salt[1]!;
    iv[2] = salt[2]!;
    iv[3] = salt[3]!;
    iv[4] = salt[4]! ^ packet[ssrcAt]!;
    iv[5] = salt[5]! ^ packet[ssrcAt + 1]!;
    iv[6] = salt[6]! ^ packet[ssrcAt + 2]!;
    iv[7] = salt[7]! ^ packet[ssrcAt + 3]!;
    iv[8] = salt[8]! ^ (high >>> 24);
    iv[9] = salt[9]! ^ (high >>> 16);
    iv[10] = salt[10]! ^ (high >>> 8);
    iv[11] = salt[11]! ^ high;
    iv[12] = salt[12]! ^ (index >>> 8);
    iv[13] = salt[13]! ^ index;
    iv[14] = 0;
    iv[15] = 0;
  };

  return {
    rtpOverhead: TAG,
    rtcpOverhead: TAG + 4,
    sealRtp(packet, headerLength, length, index) {
      setIv(rtp.iv, keys.rtp, packet, 8, index);
      if (!rtp.apply(packet, headerLength, length)) return -1;
      // §4.2: the rollover counter is authenticated behind the packet, where the tag then takes its place.
      writeUint32(packet, length, rolloverOf(index));
      if (!rtpMac.compute(packet, length + 4)) return -1;
      for (let at = 0; at < TAG; at++) packet[length + at] = rtpMac.digest[at]!;
      return length + TAG;
    },
    openRtp(packet, headerLength, length, index) {
      const end = length - TAG;
      const tagHead = readUint32(packet, end);
      writeUint32(packet, end, rolloverOf(index));
      const computed = rtpMac.compute(packet, end + 4);
      writeUint32(packet, end, tagHead);
      if (!computed || !sameTag(packet, end, rtpMac.digest, TAG)) return -1;
      setIv(rtp.iv, keys.rtp, packet, 8, index);
      return rtp.apply(packet, headerLength, end) ? end : -1;
    },
    sealRtcp(packet, length, index) {
      setIv(rtcp.iv, keys.rtcp, packet, 4, index);
      if (!rtcp.apply(packet, RTCP_HEADER_LENGTH, length)) return -1;
      writeUint32(packet, length, index);
      packet[length] = packet[length]! | ENCRYPTED;
      if (!rtcpMac.compute(packet, length + 4)) return -1;
      for (let at = 0; at < TAG; at++) packet[length + 4 + at] = rtcpMac.digest[at]!;
      return length + 4 + TAG;
    },
    openRtcp(packet, length) {
      const tagAt = length - TAG;
      const wordAt = tagAt - 4;
      if (!rtcpMac.compute(packet, tagAt) || !sameTag(packet, tagAt, rtcpMac.digest, TAG)) return -1;
      if ((packet[wordAt]! & ENCRYPTED) === 0) return wordAt;
      setIv(rtcp.iv, keys.rtcp, packet, 4, srtcpIndex(packet, length, false));
      return rtcp.apply(packet, RTCP_HEADER_LENGTH, wordAt) ? wordAt : -1;
    },
    free() {
      rtp.free();
      rtcp.free();
      rtpMac.free();
      rtcpMac.free();
    },
  };
}

/** Takes the same time wherever the first difference is. */
function sameTag(packet: Uint8Array, at: number, digest: Uint8Array, length: number): boolean {
  let difference = 0;
  for (let i = 0; i < length; i++) difference |= packet[at + i]! ^ digest[i]!;
  return difference === 0;
}
