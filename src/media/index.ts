/**
 * The media process: streams of RTP and SRTP between sockets, relayed without garbage, mirrored to the twin so that it can
 * go on at the same address with the same keys. It knows streams, not calls.
 */
export { capabilitiesFor, type MediaCapability, OUR_CAPABILITIES } from './capabilities.ts';
export type { MediaLimits, MediaOptions, MediaProcess, MediaStatus } from './options.ts';
export type { TapChannel, TapConsumer, TapDirection, TapFrame } from './plane/taps.ts';
export type * from './protocol.ts';
export type { Bencoded } from './rtpengine/bencode.ts';
export { RTPENGINE_CAPABILITIES } from './rtpengine/engine.ts';
export { NgClient, type NgClientOptions, type NgReply } from './rtpengine/ng-client.ts';
export { type RtpengineMediaOptions, startRtpengineMedia } from './rtpengine/start.ts';
export { startMedia } from './start.ts';
