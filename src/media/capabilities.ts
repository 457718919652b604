import type { StreamSpec } from './protocol.ts';

/**
 * What the engine behind a media process can do with streams. A switch hears it at the greeting and asks for nothing else; a `put` that needs
 * more is refused with `unsupported`, which names it.
 */
export type MediaCapability =
  /** Packets of one stream go out by another, with whatever protection each has. Every engine has it. */
  | 'relay'
  | 'srtp'
  /** SRTP goes out under keys that the switch makes. Without it under those in `StreamOpened.sendKeys`. */
  | 'given-keys'
  | 'ice'
  | 'dtls'
  /** The two ends of a call may have one codec under two payload types. */
  | 'payload-types'
  | 'transcode'
  /** Rooms and `hears`. */
  | 'mix'
  | 'play'
  | 'detect'
  | 'tap'
  /** Internal links to other media processes. */
  | 'link'
  | 'opaque'
  /** Datagrams of UDPTL in place of RTP. */
  | 'udptl'
  /** What streams received, sent and lost is told at their end. */
  | 'report'
  /** Keypad digits are told as events. */
  | 'digits'
  /**
   * The twin goes on with a dead process's streams at the same address under the same keys. Without it they are lost with their process, and
   * phones are offered other ones.
   */
  | 'adopt-in-place';

/** Of our own media process. */
export const OUR_CAPABILITIES: readonly MediaCapability[] = [
  'relay',
  'srtp',
  'given-keys',
  'ice',
  'dtls',
  'payload-types',
  'transcode',
  'mix',
  'play',
  'detect',
  'tap',
  'link',
  'opaque',
  'udptl',
  'report',
  'digits',
  'adopt-in-place',
];

/** What an engine must have for this stream, `relay` aside. */
export function capabilitiesFor(spec: StreamSpec): MediaCapability[] {
  const needs: MediaCapability[] = [];
  if (spec.sendKey !== undefined || spec.receiveKey !== undefined) needs.push('srtp');
  if (spec.ice !== undefined) needs.push('ice');
  if (spec.dtls !== undefined) needs.push('dtls');
  if (spec.room !== undefined || (spec.hears ?? []).length > 0) needs.push('mix');
  if (spec.plays !== undefined) needs.push('play');
  if (spec.detects?.dtmfInAudio || spec.detects?.voice) needs.push('detect');
  if ((spec.taps ?? []).length > 0) needs.push('tap');
  if (spec.link !== undefined) needs.push('link');
  if (spec.opaque) needs.push('opaque');
  if (spec.udptl) needs.push('udptl');
  return needs;
}
