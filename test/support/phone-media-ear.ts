import { createHash } from 'node:crypto';
import { loadCiphers } from '../../src/native/index.ts';
import {
  compactNtp,
  countPacket,
  createSrtpReceiver,
  estimateIndex,
  isFresh,
  markSeen,
  newReception,
  newReplayWindow,
  newTelephoneEvents,
  parseRtcp,
  type Reception,
  type ReplayWindow,
  type ReportBlock,
  type RtcpPacket,
  readUint32,
  receiveTelephoneEvent,
  reportOn,
  rtpHeaderLength,
  rtpPayloadEnd,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
  SRTP_AUTH,
  SRTP_REPLAY,
  type SrtpKey,
  type SrtpReceiver,
  type TelephoneEventState,
} from '../../src/rtp/index.ts';
import type { Codec } from '../../src/sdp/index.ts';
import { type Law, levelOf, type Mark, readMark, strongestTone } from './tone.ts';

/** What came of one packet that was taken. */
export interface HeardPacket {
  readonly mark: Mark | undefined;
  readonly payloadType: number;
}

/** One SSRC's numbering as received. */
interface Source {
  readonly window: ReplayWindow;
  readonly first: number;
  packets: number;
  readonly reception: Reception;
  /** Index to digest of the packet as it came, to find an index that was used twice. */
  readonly seen: Map<number, string>;
}

export interface EarStats {
  packetsReceived: number;
  /** By sequence numbers, over all sources. */
  lost: number;
  duplicates: number;
  reordered: number;
  /** Two different genuine packets under one key, SSRC and index (TR-MEDIA-09): must stay 0. */
  indexReused: number;
  authFailures: number;
  replays: number;
  malformed: number;
  /** Payload types that were not agreed on. */
  unexpectedPayload: number;
  rtcpReceived: number;
  rtcpAuthFailures: number;
  rtcpIndexReused: number;
}

const MOST_REMEMBERED = 30_000;
const TONE_PACKETS = 15;

/** The receiving half of a test phone: opens, counts and recognises. Its ciphers are node:crypto's, not the server's. */
export class Ear {
  readonly stats: EarStats = {
    packetsReceived: 0,
    lost: 0,
    duplicates: 0,
    reordered: 0,
    indexReused: 0,
    authFailures: 0,
    replays: 0,
    malformed: 0,
    unexpectedPayload: 0,
    rtcpReceived: 0,
    rtcpAuthFailures: 0,
    rtcpIndexReused: 0,
  };
  readonly ssrcs: number[] = [];
  readonly digits: string[] = [];
  /** Packets by the sender that their mark names. */
  readonly senders = new Map<number, number>();
  /** One-way delays of marked packets, the last 5,000. */
  readonly delaysMs: number[] = [];
  lastRtcp: RtcpPacket[] = [];
  codecs: readonly Codec[] = [];
  readonly #sources = new Map<number, Source>();
  readonly #lastSr = new Map<number, { compact: number; atMs: number }>();
  readonly #rtcpSeen = new Map<string, string>();
  readonly #recent: Buffer[] = [];
  #events: TelephoneEventState = newTelephoneEvents();
  #eventsSsrc = -1;
  #key: SrtpKey | undefined;
  #receiver: SrtpReceiver | undefined;
  #longestGapMs = 0;
  #lastArrivalMs: number | undefined;

  /** The peer's key from now on. The same key goes on where it was. */
  useKey(key: SrtpKey | undefined): void {
    if (key?.keySalt === this.#key?.keySalt && key?.suite === this.#key?.suite) return;
    this.#receiver?.close();
    this.#key = key;
    this.#receiver = key && newReceiver(key);
    // Indices are per key.
    this.#sources.clear();
    this.#rtcpSeen.clear();
  }

  /** Takes an RTP packet as it came; undefined for what does not count as heard. */
  hear(packet: Buffer, nowMs: number): HeardPacket | undefined {
    const headerLength = rtpHeaderLength(packet, packet.length);
    if (headerLength < 0) {
      this.stats.malformed++;
      return undefined;
    }
    const ssrc = rtpSsrc(packet);
    const sequence = rtpSequence(packet);
    const digest = digestOf(packet);
    let length = packet.length;
    let index = this.#estimate(ssrc, sequence);
    if (this.#receiver) {
      const raw = Buffer.from(packet);
      length = this.#receiver.unprotectRtp(packet, packet.length);
      if (length === SRTP_REPLAY) {
        this.#judgeReplay(raw, ssrc, index, digest);
        return undefined;
      }
      if (length < 0) {
        if (length === SRTP_AUTH) this.stats.authFailures++;
        else this.stats.malformed++;
        return undefined;
      }
      index = this.#receiver.lastIndex;
    }
    if (!this.#count(ssrc, index, digest, rtpTimestamp(packet), nowMs)) return undefined;
    this.#noteArrival(nowMs);
    const end = rtpPayloadEnd(packet, headerLength, length);
    return end < 0 ? undefined : this.#recognise(packet, headerLength, end, nowMs);
  }

  hearRtcp(packet: Buffer): void {
    const gcm = this.#key?.suite.startsWith('AEAD') ?? false;
    let length = packet.length;
    if (this.#receiver) {
      if (length < 8 + (gcm ? 20 : 14)) {
        this.stats.malformed++;
        return;
      }
      const name = `${readUint32(packet, 4)}:${readUint32(packet, length - (gcm ? 4 : 14)) & 0x7fffffff}`;
      const digest = digestOf(packet);
      const raw = Buffer.from(packet);
      length = this.#receiver.unprotectRtcp(packet, packet.length);
      if (length === SRTP_REPLAY) {
        const before = this.#rtcpSeen.get(name);
        if (
          before !== undefined &&
          before !== digest &&
          newReceiver(this.#key!).unprotectRtcp(raw, raw.length) > 0
        ) {
          this.stats.rtcpIndexReused++;
        }
        return;
      }
      if (length < 0) {
        this.stats.rtcpAuthFailures++;
        return;
      }
      if (this.#rtcpSeen.size < MOST_REMEMBERED) this.#rtcpSeen.set(name, digest);
    }
    const parsed = parseRtcp(packet, length);
    if (!parsed.ok) {
      this.stats.malformed++;
      return;
    }
    this.stats.rtcpReceived++;
    this.lastRtcp = parsed.value;
    for (const report of parsed.value) {
      if (report.type === 'sr') {
        const compact = compactNtp({ seconds: report.ntpSec, fraction: report.ntpFraction });
        this.#lastSr.set(report.ssrc, { compact, atMs: performance.now() });
      }
    }
  }

  /** Report blocks on the sources heard, for our next report. */
  reports(): ReportBlock[] {
    const nowMs = performance.now();
    return [...this.#sources].slice(-4).map(([ssrc, { reception }]) => {
      const lastSr = this.#lastSr.get(ssrc);
      return reportOn(
        reception,
        lastSr?.compact ?? 0,
        lastSr ? Math.round((nowMs - lastSr.atMs) * 65.536) : 0,
      );
    });
  }

  /** The longest time between two packets since `resetGap`, the one that is going on included. */
  longestGapMs(nowMs: number): number {
    return Math.max(this.#longestGapMs, this.#lastArrivalMs === undefined ? 0 : nowMs - this.#lastArrivalMs);
  }

  /** Measures gaps anew, from the last packet on. */
  resetGap(): void {
    this.#longestGapMs = 0;
  }

  /** The tone in the last 300 ms of G.711; undefined when there is none. */
  toneHz(): number | undefined {
    const audio = this.codecs.find(({ name }) => name === 'pcmu' || name === 'pcma');
    return audio && strongestTone(this.#recent, audio.name as Law);
  }

  /** Root mean square of the last 300 ms of G.711, in steps of a 16-bit sample; 0 when nothing came. */
  level(): number {
    const audio = this.codecs.find(({ name }) => name === 'pcmu' || name === 'pcma');
    return audio === undefined ? 0 : levelOf(this.#recent, audio.name as Law);
  }

  #estimate(ssrc: number, sequence: number): number {
    const highest = this.#sources.get(ssrc)?.window.highest ?? -1;
    if (highest < 0) return sequence;
    const index = estimateIndex(sequence, highest);
    return index < 0 ? index + 65_536 : index;
  }

  /** A packet whose index was taken before: the same again, a forgery, or the worst, another genuine one. */
  #judgeReplay(raw: Buffer, ssrc: number, index: number, digest: string): void {
    this.stats.replays++;
    const before = this.#sources.get(ssrc)?.seen.get(index);
    if (before === digest) {
      this.stats.duplicates++;
      return;
    }
    const judge = newReceiver(this.#key!);
    judge.expectIndex(ssrc, index - 1);
    if (before !== undefined && judge.unprotectRtp(raw, raw.length) > 0) this.stats.indexReused++;
    judge.close();
  }

  /** False for a duplicate. */
  #count(ssrc: number, index: number, digest: string, timestamp: number, nowMs: number): boolean {
    let source = this.#sources.get(ssrc);
    if (!source) {
      const reception = newReception(ssrc, 8000, index & 0xffff, timestamp, nowMs);
      source = { window: newReplayWindow(), first: index, packets: 0, reception, seen: new Map() };
      this.#sources.set(ssrc, source);
      this.ssrcs.push(ssrc);
    }
    if (source.seen.has(index) || !isFresh(source.window, index)) {
      this.stats.duplicates++;
      return false;
    }
    if (index < source.window.highest) this.stats.reordered++;
    const expectedBefore = source.window.highest < 0 ? 0 : source.window.highest - source.first + 1;
    const lostBefore = Math.max(0, expectedBefore - source.packets);
    markSeen(source.window, index);
    if (source.packets > 0) countPacket(source.reception, index & 0xffff, timestamp, nowMs);
    source.packets++;
    const expected = source.window.highest - source.first + 1;
    this.stats.lost += Math.max(0, expected - source.packets) - lostBefore;
    this.stats.packetsReceived++;
    if (source.seen.size >= MOST_REMEMBERED) source.seen.clear();
    source.seen.set(index, digest);
    return true;
  }

  #noteArrival(nowMs: number): void {
    if (this.#lastArrivalMs !== undefined)
      this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastArrivalMs);
    this.#lastArrivalMs = nowMs;
  }

  #recognise(packet: Buffer, start: number, end: number, nowMs: number): HeardPacket | undefined {
    const payloadType = rtpPayloadType(packet);
    const codec = this.codecs.find((one) => one.payloadType === payloadType);
    if (!codec) {
      this.stats.unexpectedPayload++;
      return undefined;
    }
    if (codec.name === 'telephone-event') {
      if (rtpSsrc(packet) !== this.#eventsSsrc) {
        this.#eventsSsrc = rtpSsrc(packet);
        this.#events = newTelephoneEvents();
      }
      const event = receiveTelephoneEvent(
        this.#events,
        packet,
        start,
        end,
        rtpTimestamp(packet),
        codec.clockRateHz,
        nowMs,
      );
      if (event) this.digits.push(event.digit);
      return { mark: undefined, payloadType };
    }
    this.#recent.push(packet.subarray(start, end));
    if (this.#recent.length > TONE_PACKETS) this.#recent.shift();
    const mark = readMark(packet, start, end);
    if (mark) {
      this.senders.set(mark.sender, (this.senders.get(mark.sender) ?? 0) + 1);
      this.delaysMs.push(performance.timeOrigin + performance.now() - mark.sentMs);
      if (this.delaysMs.length > 5000) this.delaysMs.shift();
    }
    return { mark, payloadType };
  }
}

const newReceiver = (key: SrtpKey): SrtpReceiver => createSrtpReceiver(key, loadCiphers('node'));

const digestOf = (packet: Buffer): string => createHash('sha1').update(packet).digest('base64');
