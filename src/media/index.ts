/**
 * The media process: streams of RTP and SRTP between sockets, relayed without garbage, mirrored to the twin so that it can
 * go on at the same address with the same keys. It knows streams, not calls.
 */
export type { MediaLimits, MediaOptions, MediaProcess, MediaStatus } from './options.ts';
export type * from './protocol.ts';
export { startMedia } from './start.ts';
