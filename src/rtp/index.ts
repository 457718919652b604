/**
 * RTP, RTCP, SRTP, STUN and telephone events: octets read and rewritten in place, state as plain data. No sockets, no clock; ciphers
 * come from `native`.
 */
export { type BurstMetrics, type Bursts, burstMetrics, GMIN } from './bursts.ts';
export {
  burstRatio,
  type CallMeasures,
  type CallQuality,
  type CodecImpairment,
  callQuality,
  impairmentOf,
  mosOf,
} from './e-model.ts';
export { JitterBuffer, type JitterCounts, type JitterLimits, type JitterPull } from './jitter-buffer.ts';
export { compactNtp, type NtpTime, ntpOf, roundTripMs, utcMsOf } from './ntp.ts';
export { opusCarriesFec } from './opus-packet.ts';
export {
  isRtcp,
  kindOfPacket,
  type PacketKind,
  RTP_HEADER_LENGTH,
  readUint32,
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
  setRtpSequence,
  setRtpSsrc,
  setRtpTimestamp,
  timestampDistance,
  writeRtpHeader,
  writeUint32,
} from './packet.ts';
export { estimateIndex, INDEX_LIMIT, indexOf, rolloverOf, sequenceOf } from './packet-index.ts';
export {
  countPacket,
  jitterMs,
  newReception,
  packetsExpected,
  packetsLost,
  type Reception,
  reportOn,
  worstJitterMs,
} from './reception.ts';
export {
  isFresh,
  markSeen,
  newReplayWindow,
  REPLAY_WINDOW_LENGTH,
  type ReplayWindow,
} from './replay-window.ts';
export { parseRtcp, type ReportBlock, type RtcpPacket, type SdesChunk, writeRtcp } from './rtcp.ts';
export { RX_CONCEALS_AND_ADAPTS, type VoipMetrics } from './rtcp-xr.ts';
export { SRTP_AUTH, SRTP_EXHAUSTED, SRTP_MALFORMED, SRTP_NO_ROOM, SRTP_REPLAY } from './srtp-codes.ts';
export {
  deriveKeys,
  isUsableKey,
  keySaltLength,
  SRTCP_OVERHEAD,
  SRTP_OVERHEAD,
  type SrtpKey,
  type SrtpSessionKeys,
  type SrtpSuite,
} from './srtp-keys.ts';
export { createSrtpReceiver, type SrtpReceiver, type SrtpReceiverState } from './srtp-receiver.ts';
export { createSrtpSender, type SrtpSender, type SrtpSenderState } from './srtp-sender.ts';
export {
  isIntact,
  parseStun,
  readXorMappedAddress,
  StunMessage,
} from './stun.ts';
export {
  STUN_BAD_REQUEST,
  STUN_BINDING_ERROR,
  STUN_BINDING_INDICATION,
  STUN_BINDING_REQUEST,
  STUN_BINDING_SUCCESS,
  STUN_ROLE_CONFLICT,
  STUN_TRANSACTION_LENGTH,
  STUN_UNAUTHENTICATED,
  STUN_UNKNOWN_ATTRIBUTE,
} from './stun-codes.ts';
export {
  beginStun,
  finishStun,
  writeErrorCode,
  writePriority,
  writeRole,
  writeUnknownAttributes,
  writeUseCandidate,
  writeUsername,
  writeXorMappedAddress,
} from './stun-write.ts';
export {
  type DtmfEvent,
  expireTelephoneEvent,
  LOST_END_MS,
  newTelephoneEvents,
  receiveTelephoneEvent,
  type TelephoneEventState,
  telephoneEventCode,
  writeTelephoneEvent,
} from './telephone-event.ts';
