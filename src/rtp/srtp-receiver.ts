import type { CipherLibrary } from '../native/index.ts';
import { readUint32, rtpHeaderLength, rtpSequence, rtpSsrc } from './packet.ts';
import { estimateIndex, INDEX_LIMIT, indexOf } from './packet-index.ts';
import { isFresh, markSeen, newReplayWindow, type ReplayWindow } from './replay-window.ts';
import { SRTP_AUTH, SRTP_MALFORMED, SRTP_REPLAY } from './srtp-codes.ts';
import { deriveKeys, type SrtpKey, type SrtpSessionKeys, SUITES } from './srtp-keys.ts';
import { copyWindow, StreamTable } from './srtp-streams.ts';
import { newTransform, type SrtpTransform, srtcpIndex } from './srtp-transform.ts';

/** What another process needs to go on under the same key. JSON. */
export interface SrtpReceiverState {
  readonly v: 1;
  readonly streams: readonly {
    readonly ssrc: number;
    readonly rtp: ReplayWindow;
    readonly rtcp: ReplayWindow;
  }[];
}

/** Opens what comes in under one key. State is kept per SSRC, and only of packets that proved genuine. */
export interface SrtpReceiver {
  /** Opens an RTP packet in place. Returns the plain length, or `SRTP_MALFORMED`, `SRTP_AUTH`, `SRTP_REPLAY`. */
  unprotectRtp(packet: Uint8Array, length: number): number;
  /** The 48-bit index of the RTP packet opened last: a relay's outgoing index is this plus its offset. */
  readonly lastIndex: number;
  unprotectRtcp(packet: Uint8Array, length: number): number;
  /** The highest RTP index seen of an SSRC; -1: none. */
  highestIndex(ssrc: number): number;
  /** Reckons an SSRC's next packet from this index on: for a stream known to have wrapped before we came to know it. */
  expectIndex(ssrc: number, index: number): void;
  /**
   * The peer has sent under this key before, and how often its sequence numbers have wrapped nobody knows any more: as long as packets of an
   * unknown SSRC prove false, each next one is tried with the next of so many rollover counters.
   */
  seekRollover(counters: number): void;
  exportState(): SrtpReceiverState;
  importState(state: SrtpReceiverState): void;
  close(): void;
}

interface ReceivedStream {
  readonly rtp: ReplayWindow;
  readonly rtcp: ReplayWindow;
}

/** From a master key, or from session keys derived beforehand. */
export function createSrtpReceiver(key: SrtpKey | SrtpSessionKeys, library?: CipherLibrary): SrtpReceiver {
  const keys = 'keySalt' in key ? deriveKeys(key) : key;
  return new Receiver(newTransform(keys, library), SUITES[keys.suite].gcm);
}

class Receiver implements SrtpReceiver {
  lastIndex = -1;
  readonly #transform: SrtpTransform;
  readonly #gcm: boolean;
  readonly #streams = new StreamTable<ReceivedStream>(newStream, true);
  #closed = false;
  #rollovers = 1;
  #tried = 0;

  constructor(transform: SrtpTransform, gcm: boolean) {
    this.#transform = transform;
    this.#gcm = gcm;
  }

  unprotectRtp(packet: Uint8Array, length: number): number {
    const headerLength = rtpHeaderLength(packet, length);
    if (this.#closed || headerLength < 0 || length - this.#transform.rtpOverhead < headerLength) {
      return SRTP_MALFORMED;
    }
    const ssrc = rtpSsrc(packet);
    const sequence = rtpSequence(packet);
    const stream = this.#streams.peek(ssrc);
    const highest = stream === undefined ? -1 : stream.rtp.highest;
    let index = highest < 0 ? indexOf(this.#tried, sequence) : estimateIndex(sequence, highest);
    // Before the very first wrap there is nothing: RFC 3711 Appendix A would say rollover counter -1.
    if (index < 0) index += 65_536;
    if (index >= INDEX_LIMIT) return SRTP_MALFORMED;
    if (stream !== undefined && !isFresh(stream.rtp, index)) return SRTP_REPLAY;
    const opened = this.#transform.openRtp(packet, headerLength, length, index);
    if (opened < 0) {
      if (highest < 0) this.#tried = (this.#tried + 1) % this.#rollovers;
      return SRTP_AUTH;
    }
    markSeen((stream ?? this.#streams.of(ssrc)!).rtp, index);
    this.lastIndex = index;
    return opened;
  }

  unprotectRtcp(packet: Uint8Array, length: number): number {
    if (this.#closed || length > packet.length || length < 8 + this.#transform.rtcpOverhead)
      return SRTP_MALFORMED;
    if (packet[0]! >> 6 !== 2) return SRTP_MALFORMED;
    const ssrc = readUint32(packet, 4);
    const index = srtcpIndex(packet, length, this.#gcm);
    const stream = this.#streams.peek(ssrc);
    if (stream !== undefined && !isFresh(stream.rtcp, index)) return SRTP_REPLAY;
    const opened = this.#transform.openRtcp(packet, length);
    if (opened < 0) return SRTP_AUTH;
    markSeen((stream ?? this.#streams.of(ssrc)!).rtcp, index);
    return opened;
  }

  highestIndex(ssrc: number): number {
    return this.#streams.peek(ssrc)?.rtp.highest ?? -1;
  }

  expectIndex(ssrc: number, index: number): void {
    const { rtp } = this.#streams.of(ssrc)!;
    // Nothing at or below it was seen by us; what is higher goes on as usual.
    if (index > rtp.highest) {
      rtp.highest = index;
      rtp.words.fill(0);
    }
  }

  seekRollover(counters: number): void {
    this.#rollovers = Math.max(1, counters);
  }

  exportState(): SrtpReceiverState {
    const streams = this.#streams
      .entries()
      .map(([ssrc, { rtp, rtcp }]) => ({ ssrc, rtp: copyWindow(rtp), rtcp: copyWindow(rtcp) }));
    return { v: 1, streams };
  }

  importState(state: SrtpReceiverState): void {
    for (const { ssrc, rtp, rtcp } of state.streams) {
      this.#streams.put(ssrc, { rtp: copyWindow(rtp), rtcp: copyWindow(rtcp) });
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transform.free();
  }
}

const newStream = (): ReceivedStream => ({ rtp: newReplayWindow(), rtcp: newReplayWindow() });
