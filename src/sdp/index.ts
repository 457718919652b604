/**
 * What two sides can agree on: SDP read and written as plain data, and the rules of offer and answer (RFC 8866, 3264, 4568,
 * 3605, 5761; for browsers 8839, 8842, 9143) for one audio stream. Knows nothing of SIP, sockets or keys in use.
 */
export {
  type AudioDescription,
  audioOf,
  audiosOf,
  chooseProtection,
  isDtlsProfile,
  isSecureProfile,
  isUnspecified,
  listens,
  type Protection,
  type RtpProfile,
} from './audio.ts';
export { type Codec, isAuxiliary, sameCodec, selectCodecs } from './codecs.ts';
export {
  acceptCryptoAnswer,
  answerCrypto,
  type CryptoLine,
  type CryptoPair,
  chooseCrypto,
  isSrtpSuite,
  KEY_SALT_LENGTH,
  type MediaProfile,
  newKeySalt,
  type OfferedCrypto,
  offerCrypto,
  type SrtpSuite,
  suiteOrder,
} from './crypto.ts';
export {
  attributeOf,
  type Connection,
  type MediaDescription,
  type Origin,
  type SdpAttribute,
  type SdpField,
  type SdpProblem,
  type SessionDescription,
} from './description.ts';
export {
  answerDirection,
  type Direction,
  directionOf,
  isHold,
  mayReceive,
  maySend,
  reverseDirection,
} from './direction.ts';
export {
  type DtlsDescription,
  type DtlsRole,
  type Fingerprint,
  roleForAnswer,
  roleFromAnswer,
  type Setup,
  sameFingerprints,
} from './dtls.ts';
export { type FaxDescription, faxOf } from './fax.ts';
export type { IceCandidate, IceDescription } from './ice.ts';
export {
  type AnswerParameters,
  buildAnswer,
  buildOffer,
  type LocalAudio,
  type OfferParameters,
  reviseVersion,
} from './offer.ts';
export { parseSdp, SDP_LIMITS } from './parse.ts';
export { serializeSdp } from './serialize.ts';
export { isSframeTooLong, SFRAME_LIMITS, sameSframe } from './sframe.ts';
export { parseTrickle, type TrickledCandidates } from './trickle.ts';
