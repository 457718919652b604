import type { CipherLibrary } from '../native/index.ts';
import { rtpHeaderLength, rtpSequence, rtpSsrc, setRtpSequence } from './packet.ts';
import { estimateIndex, INDEX_LIMIT } from './packet-index.ts';
import { isFresh, markSeen, newReplayWindow, type ReplayWindow } from './replay-window.ts';
import { SRTP_EXHAUSTED, SRTP_MALFORMED, SRTP_NO_ROOM, SRTP_REPLAY } from './srtp-codes.ts';
import { deriveKeys, type SrtpKey, type SrtpSessionKeys } from './srtp-keys.ts';
import { copyWindow, StreamTable } from './srtp-streams.ts';
import { newTransform, type SrtpTransform } from './srtp-transform.ts';

/** What another process needs to go on under the same key. JSON. */
export interface SrtpSenderState {
  readonly v: 1;
  /** The next RTCP packet's index. An adopter that may lag behind adds what was reserved (100). */
  readonly rtcpIndex: number;
  readonly streams: readonly { readonly ssrc: number; readonly window: ReplayWindow }[];
}

const RTCP_INDEX_LIMIT = 2 ** 31;

/** Protects what leaves under one key. An index is never used twice under it (RFC 3711 §9.1, TR-MEDIA-09). */
export interface SrtpSender {
  /** Octets that a packet grows by: leave that much room behind it. */
  readonly rtpOverhead: number;
  readonly rtcpOverhead: number;
  /**
   * Protects an RTP packet in place, its index reckoned from its sequence number. Returns the new length or a code below
   * zero: `SRTP_MALFORMED`, `SRTP_REPLAY`, `SRTP_NO_ROOM`, `SRTP_EXHAUSTED`.
   */
  protectRtp(packet: Uint8Array, length: number): number;
  /** The same for a relay that decides the 48-bit index itself; its low 16 bits are written as the sequence number. */
  protectRtpAt(packet: Uint8Array, length: number, index: number): number;
  /** Protects a compound RTCP packet in place under the next RTCP index. */
  protectRtcp(packet: Uint8Array, length: number): number;
  /** The next RTCP packet's index; raise it to jump over what another process may have used. Never lower it. */
  rtcpIndex: number;
  /** The highest RTP index used with an SSRC; -1: none. */
  highestIndex(ssrc: number): number;
  exportState(): SrtpSenderState;
  /** Goes on from there; never back behind what this sender has used itself. */
  importState(state: SrtpSenderState): void;
  /** Frees the keys. The sender refuses everything afterwards. */
  close(): void;
}

/** From a master key, or from session keys derived beforehand. */
export function createSrtpSender(key: SrtpKey | SrtpSessionKeys, library?: CipherLibrary): SrtpSender {
  return new Sender(newTransform('keySalt' in key ? deriveKeys(key) : key, library));
}

class Sender implements SrtpSender {
  readonly rtpOverhead: number;
  readonly rtcpOverhead: number;
  rtcpIndex = 0;
  readonly #transform: SrtpTransform;
  // None leaves: a forgotten SSRC that came back could use an index twice.
  readonly #streams = new StreamTable<ReplayWindow>(newReplayWindow, false);
  #closed = false;

  constructor(transform: SrtpTransform) {
    this.#transform = transform;
    this.rtpOverhead = transform.rtpOverhead;
    this.rtcpOverhead = transform.rtcpOverhead;
  }

  protectRtp(packet: Uint8Array, length: number): number {
    const headerLength = rtpHeaderLength(packet, length);
    if (headerLength < 0) return SRTP_MALFORMED;
    const window = this.#streams.of(rtpSsrc(packet));
    if (window === undefined) return SRTP_EXHAUSTED;
    const sequence = rtpSequence(packet);
    const index = window.highest < 0 ? sequence : estimateIndex(sequence, window.highest);
    return this.#protect(packet, headerLength, length, window, index);
  }

  protectRtpAt(packet: Uint8Array, length: number, index: number): number {
    const headerLength = rtpHeaderLength(packet, length);
    if (headerLength < 0) return SRTP_MALFORMED;
    const window = this.#streams.of(rtpSsrc(packet));
    return window === undefined ? SRTP_EXHAUSTED : this.#protect(packet, headerLength, length, window, index);
  }

  #protect(
    packet: Uint8Array,
    headerLength: number,
    length: number,
    window: ReplayWindow,
    index: number,
  ): number {
    if (length + this.rtpOverhead > packet.length) return SRTP_NO_ROOM;
    if (index >= INDEX_LIMIT) return SRTP_EXHAUSTED;
    if (this.#closed || !(index >= 0)) return SRTP_MALFORMED;
    if (!isFresh(window, index)) return SRTP_REPLAY;
    setRtpSequence(packet, index & 0xffff);
    markSeen(window, index);
    const sealed = this.#transform.sealRtp(packet, headerLength, length, index);
    return sealed < 0 ? SRTP_MALFORMED : sealed;
  }

  protectRtcp(packet: Uint8Array, length: number): number {
    if (this.#closed || length < 8 || length > packet.length || packet[0]! >> 6 !== 2) return SRTP_MALFORMED;
    if (length + this.rtcpOverhead > packet.length) return SRTP_NO_ROOM;
    if (this.rtcpIndex >= RTCP_INDEX_LIMIT) return SRTP_EXHAUSTED;
    // One count for all SSRCs: an index is then unused under each of them.
    const sealed = this.#transform.sealRtcp(packet, length, this.rtcpIndex++);
    return sealed < 0 ? SRTP_MALFORMED : sealed;
  }

  highestIndex(ssrc: number): number {
    return this.#streams.peek(ssrc)?.highest ?? -1;
  }

  exportState(): SrtpSenderState {
    const streams = this.#streams.entries().map(([ssrc, window]) => ({ ssrc, window: copyWindow(window) }));
    return { v: 1, rtcpIndex: this.rtcpIndex, streams };
  }

  importState(state: SrtpSenderState): void {
    this.rtcpIndex = Math.max(this.rtcpIndex, state.rtcpIndex);
    for (const { ssrc, window } of state.streams) {
      // What is older than what we have used ourselves would make used indices fresh again.
      if (window.highest >= this.highestIndex(ssrc)) this.#streams.put(ssrc, copyWindow(window));
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transform.free();
  }
}
