import type { StreamId } from '../base/index.ts';
import { estimateIndex, sequenceDistance } from '../rtp/index.ts';

/*
 * How packets are numbered. A source's packets get 48-bit indices (RFC 3711 §3.3.1) on the way in; on the way out each is the
 * incoming index plus an offset that stands still as long as the source does. So the transform is the same in whichever process
 * does it, loss and order pass through, and a take-over cannot number a packet anew.
 *
 * Each of our streams keeps one SSRC of its own towards its peer, instead of passing on its sources': a transfer then changes
 * neither SSRC nor rollover counter for the peer (a new SSRC starts at rollover counter 0 there, while a source that has
 * talked for 22 minutes is at 1), and no source can choose the SSRC under our key.
 */

/** What is known of the packets that come in. Plain data. */
export interface Arrival {
  /** -1: nothing came yet. */
  ssrc: number;
  /** The highest index of this SSRC. */
  highest: number;
  /** Plain RTP that jumped: the sequence number that would confirm the new numbering; -1: none. */
  suspectedNext: number;
  ssrcSinceMs: number;
}

/** What is known of the packets that go out. Plain data. */
export interface Feed {
  /** What they bear, whoever the source is. */
  ssrc: number;
  /** It is not the first one: the peer had chosen that too. */
  collided: boolean;
  /** The offsets hold for this source and its SSRC. */
  anchored: boolean;
  source: StreamId | '';
  sourceSsrc: number;
  indexOffset: number;
  timestampOffset: number;
  /** The highest index sent under the present key; -1: none. */
  sentIndex: number;
  /** Up to here a dead process may have sent before we took over; a new source begins behind it. */
  reservedIndex: number;
  /** Its timestamp and when it left, to go on continuously with another source. */
  sentTimestamp: number;
  sentAtMs: number;
  /** Something was sent in this stream's life. */
  everSent: boolean;
  /** Nothing was sent under the present key, whose rollover counter starts at 0. */
  freshKey: boolean;
}

export const newArrival = (): Arrival => ({ ssrc: -1, highest: -1, suspectedNext: -1, ssrcSinceMs: -1 });

export const newFeed = (ssrc: number): Feed => ({
  ssrc,
  collided: false,
  anchored: false,
  source: '',
  sourceSsrc: -1,
  indexOffset: 0,
  timestampOffset: 0,
  sentIndex: -1,
  reservedIndex: -1,
  sentTimestamp: 0,
  sentAtMs: 0,
  everSent: false,
  freshKey: true,
});

/** Another SSRC is taken at once, but not more often: two that alternate would make each packet a new beginning. */
const SSRC_CHANGE_EVERY_MS = 1000;

/** Whether packets of this SSRC are the source's; changes to a new one. */
export function takesSsrc(arrival: Arrival, ssrc: number, nowMs: number): boolean {
  if (ssrc === arrival.ssrc) return true;
  if (arrival.ssrc !== -1 && nowMs - arrival.ssrcSinceMs < SSRC_CHANGE_EVERY_MS) return false;
  arrival.ssrc = ssrc;
  arrival.ssrcSinceMs = nowMs;
  arrival.highest = -1;
  arrival.suspectedNext = -1;
  return true;
}

/** RFC 3550 A.1. */
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
export const RENUMBERED = -2;
const REFUSED = -1;
/** Plain indices begin here, so that a packet from before the first one, across a wrap, has one too. */
export const FIRST_ROLLOVER = 65_536;

/**
 * The index of a plain packet; -1 for one so far off that it counts only when the next one follows it; `RENUMBERED` when that
 * happened: the source started its numbering anew, `arrival.highest` is its index and offsets hold no more.
 */
export function plainIndex(arrival: Arrival, sequence: number): number {
  if (arrival.highest < 0) {
    arrival.highest = FIRST_ROLLOVER + sequence;
    return arrival.highest;
  }
  const distance = sequenceDistance(arrival.highest & 0xffff, sequence);
  if (distance > MAX_DROPOUT || distance < -MAX_MISORDER) {
    if (sequence !== arrival.suspectedNext) {
      arrival.suspectedNext = (sequence + 1) & 0xffff;
      return REFUSED;
    }
    arrival.suspectedNext = -1;
    arrival.highest = FIRST_ROLLOVER + sequence;
    return RENUMBERED;
  }
  arrival.suspectedNext = -1;
  const index = estimateIndex(sequence, arrival.highest);
  if (index > arrival.highest) arrival.highest = index;
  return index;
}

/**
 * Fixes the offsets for a source whose first packet has this index and timestamp. A stream's first source keeps its own numbers
 * (rollover counter 0); a later one goes on where the one before stopped, in number and in time.
 */
export function anchor(
  feed: Feed,
  source: StreamId,
  sourceSsrc: number,
  index: number,
  timestamp: number,
  clockRateHz: number,
  nowMs: number,
): void {
  let out: number;
  if (!feed.everSent) out = index & 0xffff;
  else if (feed.freshKey) out = (feed.sentIndex + 1) & 0xffff;
  else out = Math.max(feed.sentIndex, feed.reservedIndex) + 1;
  feed.indexOffset = out - index;
  if (feed.everSent) {
    const elapsed = Math.round((Math.max(0, nowMs - feed.sentAtMs) * clockRateHz) / 1000);
    feed.timestampOffset = (feed.sentTimestamp + elapsed - timestamp) >>> 0;
  } else feed.timestampOffset = 0;
  feed.source = source;
  feed.sourceSsrc = sourceSsrc;
  feed.anchored = true;
  // Noted before the packet leaves, as the twin will read it that way: this index is used, whether we live to send it or not.
  feed.everSent = true;
  feed.freshKey = false;
  feed.sentIndex = out;
  feed.sentTimestamp = (timestamp + feed.timestampOffset) >>> 0;
  feed.sentAtMs = nowMs;
}

/** The twin could not be told of the anchoring: the packet did not leave, and its index is the next one's. */
export function unanchor(feed: Feed): void {
  feed.anchored = false;
  feed.sentIndex--;
}

/** Notes what left. True when the rollover counter changed: the twin wants to know at once. */
export function noteSent(feed: Feed, index: number, timestamp: number, nowMs: number): boolean {
  if (index <= feed.sentIndex) return false;
  const rolled = index - (index & 0xffff) !== feed.sentIndex - (feed.sentIndex & 0xffff);
  feed.sentIndex = index;
  // Packets of one telephone event share a timestamp; it belongs to the first of them.
  if (timestamp !== feed.sentTimestamp) {
    feed.sentTimestamp = timestamp;
    feed.sentAtMs = nowMs;
  }
  return rolled;
}

/**
 * After so many packets at the latest a stand-by is told where a stream is (`relay.ts` tells every 250): an adopter that gives
 * a stream a new source begins this much further on. Tried with Chromium: a jump of 500 with a continuous timestamp conceals nothing.
 */
const RESERVED_INDICES = 500;

/** An adopter does not know what was sent since it was told last. The offsets stay, so a running source is not touched by this. */
export function reserveUnknown(feed: Feed): void {
  if (feed.everSent && !feed.freshKey)
    feed.reservedIndex = Math.max(feed.reservedIndex, feed.sentIndex + RESERVED_INDICES);
}

/** A new key towards the peer: its rollover counter starts at 0, the sequence number goes on. */
export function startNewKey(feed: Feed): void {
  const used = Math.max(feed.sentIndex, feed.reservedIndex);
  feed.sentIndex = used < 0 ? -1 : used & 0xffff;
  feed.reservedIndex = -1;
  feed.freshKey = true;
  feed.anchored = false;
}

/** The peer chose the SSRC that we have (RFC 3550 §8.2). Under another one its rollover counter starts at 0, as under a new key. */
export function takeAnotherSsrc(feed: Feed, ssrc: number): void {
  feed.ssrc = ssrc;
  feed.collided = true;
  startNewKey(feed);
}
