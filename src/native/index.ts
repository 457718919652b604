/**
 * The kernel behind a door: boot-time clock, chance, processes named by pid and start time, many UDP sockets in one loop,
 * Unix sockets that carry descriptors, locks in shared files, OpenSSL's ciphers. The only room that calls C (through koffi); lengths are checked here, so that no
 * caller can make the kernel read or write outside a buffer.
 */
export type { CipherLibrary, CounterContext, GcmContext, HmacContext } from './ciphers.ts';
export { bootId, systemClock } from './clock.ts';
export {
  type BlockDecoder,
  type BlockEncoder,
  hasG722,
  openG722Decoder,
  openG722Encoder,
} from './codecs/g722.ts';
export { type G729Decoder, hasG729, openG729Decoder, openG729Encoder } from './codecs/g729.ts';
export { BCG729, type CodecLibrary, OPUS, SPANDSP } from './codecs/library.ts';
export {
  hasOpus,
  type OpusDecoder,
  type OpusEncoder,
  type OpusEncoderOptions,
  openOpusDecoder,
  openOpusEncoder,
} from './codecs/opus.ts';
export { dtlsLibrary, loadDtls } from './dtls.ts';
export type { DtlsSrtpKeys, DtlsSrtpSuite } from './dtls-srtp.ts';
export {
  type CertificateDigest,
  DIGEST_LENGTHS,
  type DigestName,
  type DtlsContext,
  type DtlsIdentity,
  type DtlsLibrary,
  type DtlsSession,
  type DtlsState,
} from './dtls-types.ts';
export { settleSoon } from './libc.ts';
export { markTraffic } from './mark.ts';
export {
  addressesByCommand,
  addressesOn,
  type MovingAddresses,
  REFRESH_MS,
} from './moving-address.ts';
export { ciphers, loadCiphers } from './openssl.ts';
export { raisePriority } from './priority.ts';
export {
  endProcess,
  isSameProcess,
  killExact,
  onProcessEnd,
  processStartTime,
  type SignalName,
} from './process.ts';
export { systemRandom } from './random.ts';
export { canLockFiles, isByteLocked, lockByte, lockMutexIn } from './shared-lock.ts';
export { atEndOfTurn, type Moderation, moderateTurns, noteTurn } from './turns.ts';
export {
  LONGEST_PACKET_BYTES,
  type PacketBatch,
  type PacketHandler,
  ROOM_BEHIND_BYTES,
  type UdpCounters,
  type UdpLoop,
  type UdpLoopOptions,
  type UdpOpenOptions,
  type UdpSocket,
} from './udp.ts';
export { formatAddress, parseAddress, UdpAddress } from './udp-address.ts';
export { openUdpLoop } from './udp-open.ts';
export { LONGEST_MESSAGE_BYTES } from './unix-message.ts';
export {
  canPassDescriptors,
  closeDescriptors,
  connectUnix,
  listenUnix,
  type UnixListener,
  type UnixMessage,
  type UnixSocket,
} from './unix-socket.ts';
