/**
 * Fields of an RTP packet (RFC 3550 §5.1) read and written where they lie: no object per packet. `packet` is a view that
 * starts at the packet, `length` the octets of it that count (a receive buffer is longer). Accessors other than
 * `rtpHeaderLength` and `rtpPayloadEnd` expect a packet that these two have accepted.
 */
export const RTP_HEADER_LENGTH = 12;
/** RTCP's packet types in the octet where RTP has marker and payload type: payload types 64 to 95 (RFC 5761 §4). */
const FIRST_RTCP_TYPE = 192;
const LAST_RTCP_TYPE = 223;

export type PacketKind = 'stun' | 'dtls' | 'rtp' | 'rtcp' | 'other';

/** What came on a port that RTP shares with others (RFC 7983, RFC 5761). */
export function kindOfPacket(packet: Uint8Array, length: number): PacketKind {
  if (length < 2 || length > packet.length) return 'other';
  const first = packet[0]!;
  if (first < 4) return 'stun';
  if (first >= 20 && first < 64) return 'dtls';
  if (first < 128 || first > 191) return 'other';
  return isRtcp(packet, length) ? 'rtcp' : 'rtp';
}

/** RTCP rather than RTP, for ports that carry both (RFC 5761 §4). */
export function isRtcp(packet: Uint8Array, length: number): boolean {
  if (length < 2) return false;
  const type = packet[1]!;
  return type >= FIRST_RTCP_TYPE && type <= LAST_RTCP_TYPE;
}

/** Octets of header, CSRCs and extension; -1 for what is no RTP packet of version 2. */
export function rtpHeaderLength(packet: Uint8Array, length: number): number {
  if (length < RTP_HEADER_LENGTH || length > packet.length) return -1;
  const first = packet[0]!;
  if (first >> 6 !== 2) return -1;
  let end = RTP_HEADER_LENGTH + 4 * (first & 15);
  if ((first & 0x10) !== 0) {
    if (end + 4 > length) return -1;
    end += 4 + 4 * ((packet[end + 2]! << 8) | packet[end + 3]!);
  }
  return end <= length ? end : -1;
}

/** Where the payload ends, padding taken off; -1 when the padding cannot be. For plain packets: SRTP encrypts the padding. */
export function rtpPayloadEnd(packet: Uint8Array, headerLength: number, length: number): number {
  if ((packet[0]! & 0x20) === 0) return length;
  const padding = packet[length - 1]!;
  return padding === 0 || headerLength + padding > length ? -1 : length - padding;
}

export const rtpMarker = (packet: Uint8Array): boolean => packet[1]! >= 128;
export const rtpPayloadType = (packet: Uint8Array): number => packet[1]! & 127;
export const rtpSequence = (packet: Uint8Array): number => (packet[2]! << 8) | packet[3]!;
export const rtpTimestamp = (packet: Uint8Array): number => readUint32(packet, 4);
export const rtpSsrc = (packet: Uint8Array): number => readUint32(packet, 8);

export function setRtpMarker(packet: Uint8Array, marker: boolean): void {
  packet[1] = marker ? packet[1]! | 128 : packet[1]! & 127;
}

export function setRtpPayloadType(packet: Uint8Array, payloadType: number): void {
  packet[1] = (packet[1]! & 128) | (payloadType & 127);
}

/** Modulo 2^16. */
export function setRtpSequence(packet: Uint8Array, sequence: number): void {
  packet[2] = sequence >>> 8;
  packet[3] = sequence;
}

/** Modulo 2^32. */
export const setRtpTimestamp = (packet: Uint8Array, timestamp: number): void =>
  writeUint32(packet, 4, timestamp);
export const setRtpSsrc = (packet: Uint8Array, ssrc: number): void => writeUint32(packet, 8, ssrc);

/** Writes a fixed header without CSRCs and returns its 12 octets of length; -1 when the view is shorter. */
export function writeRtpHeader(
  packet: Uint8Array,
  payloadType: number,
  marker: boolean,
  sequence: number,
  timestamp: number,
  ssrc: number,
): number {
  if (packet.length < RTP_HEADER_LENGTH) return -1;
  packet[0] = 0x80;
  packet[1] = (marker ? 128 : 0) | (payloadType & 127);
  setRtpSequence(packet, sequence);
  setRtpTimestamp(packet, timestamp);
  setRtpSsrc(packet, ssrc);
  return RTP_HEADER_LENGTH;
}

/** Signed distance from `from` to `to` on the circle of 16-bit sequence numbers: -32768 to 32767. */
export const sequenceDistance = (from: number, to: number): number => ((to - from) << 16) >> 16;

/** The same for 32-bit timestamps. */
export const timestampDistance = (from: number, to: number): number => (to - from) | 0;

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
