import { type Bursts, countLost, newBursts } from './bursts.ts';
import { sequenceDistance, timestampDistance } from './packet.ts';
import type { ReportBlock } from './rtcp.ts';

/** What a receiver knows of one source (RFC 3550 §6.4.1, Appendices A.1, A.3 and A.8): plain data, JSON. */
export interface Reception {
  ssrc: number;
  clockRateHz: number;
  /** Extended: cycles × 65536 + sequence number. */
  firstSequence: number;
  highestSequence: number;
  packets: number;
  /** Interarrival jitter in units of the RTP clock, its worst so far, and its sum over so many packets. */
  jitter: number;
  worstJitter: number;
  jitterSum: number;
  jitterPackets: number;
  lastTransit: number;
  lastArrivalMs: number;
  /** Sum of the waits between packets, pauses left out; and the longest wait, pause or not. */
  activeMs: number;
  longestGapMs: number;
  /** How often one or more packets in a row did not come; one that came late after all is counted too. */
  lossRuns: number;
  /** Those of them whose end the packet behind it carried too. An older release does not count them. */
  rebuiltRuns?: number;
  bursts: Bursts;
  /** After a jump, the sequence number that would confirm it; -1: none. */
  suspectedNext: number;
  /** Lost before the source started anew (same SSRC, another numbering), and how many it had sent. */
  lostBefore: number;
  expectedBefore: number;
  reportedExpected: number;
  reportedPackets: number;
}

/** A.1: more than this behind or ahead is a source that started anew, once a second packet confirms it. */
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
/** Who sends nothing for so long pauses (no voice, hold). */
const PAUSE_MS = 1000;

export function newReception(
  ssrc: number,
  clockRateHz: number,
  sequence: number,
  timestamp: number,
  arrivalMs: number,
): Reception {
  return {
    ssrc,
    clockRateHz,
    firstSequence: sequence,
    highestSequence: sequence,
    packets: 1,
    jitter: 0,
    worstJitter: 0,
    jitterSum: 0,
    jitterPackets: 0,
    lastTransit: transitOf(clockRateHz, timestamp, arrivalMs),
    lastArrivalMs: arrivalMs,
    activeMs: 0,
    longestGapMs: 0,
    lossRuns: 0,
    bursts: { ...newBursts(), run: 1 },
    suspectedNext: -1,
    lostBefore: 0,
    expectedBefore: 0,
    reportedExpected: 0,
    reportedPackets: 0,
  };
}

/**
 * Counts a packet. `arrivalMs` by a monotonic clock. `timed`: its timestamp tells when it was sent, which those of a telephone event do not.
 * False for one so far off that it only counts once confirmed.
 */
export function countPacket(
  reception: Reception,
  sequence: number,
  timestamp: number,
  arrivalMs: number,
  timed = true,
): boolean {
  const distance = sequenceDistance(reception.highestSequence & 0xffff, sequence);
  if (distance > MAX_DROPOUT || distance < -MAX_MISORDER) {
    if (sequence !== reception.suspectedNext) {
      reception.suspectedNext = (sequence + 1) & 0xffff;
      return false;
    }
    reception.lostBefore += Math.max(0, expectedOf(reception) - reception.packets);
    reception.expectedBefore += expectedOf(reception);
    reception.firstSequence = (sequence - 1) & 0xffff;
    reception.highestSequence = reception.firstSequence + 1;
    reception.packets = 1;
    reception.reportedExpected = 0;
    reception.reportedPackets = 0;
    reception.lastTransit = transitOf(reception.clockRateHz, timestamp, arrivalMs);
  } else if (distance > 0) {
    reception.highestSequence += distance;
    if (distance > 1) {
      reception.lossRuns++;
      countLost(reception.bursts, distance - 1);
    }
    reception.bursts.run++;
  }
  reception.suspectedNext = -1;
  reception.packets++;
  const gapMs = arrivalMs - reception.lastArrivalMs;
  reception.lastArrivalMs = arrivalMs;
  if (gapMs < PAUSE_MS) reception.activeMs += gapMs;
  if (gapMs > reception.longestGapMs) reception.longestGapMs = gapMs;
  if (!timed) return true;

  // A.8, in floating point. Differences on the circle of timestamps, so a wrap is no jitter.
  const transit = transitOf(reception.clockRateHz, timestamp, arrivalMs);
  const difference = Math.abs(timestampDistance(reception.lastTransit, transit));
  reception.lastTransit = transit;
  reception.jitter += (difference - reception.jitter) / 16;
  reception.jitterSum += reception.jitter;
  reception.jitterPackets++;
  if (reception.jitter > reception.worstJitter) reception.worstJitter = reception.jitter;
  return true;
}

const transitOf = (clockRateHz: number, timestamp: number, arrivalMs: number): number =>
  (Math.round((arrivalMs * clockRateHz) / 1000) % 2 ** 32) - timestamp;

const expectedOf = (reception: Reception): number => reception.highestSequence - reception.firstSequence + 1;

/** How many were sent, as far as the numbers tell, over the whole of the stream. */
export const packetsExpected = (reception: Reception): number =>
  reception.expectedBefore + expectedOf(reception);

/** A.3: expected less received, over the whole of the stream; never below zero here. */
export const packetsLost = (reception: Reception): number =>
  reception.lostBefore + Math.max(0, expectedOf(reception) - reception.packets);

export const jitterMs = (reception: Reception): number => (reception.jitter * 1000) / reception.clockRateHz;
export const worstJitterMs = (reception: Reception): number =>
  (reception.worstJitter * 1000) / reception.clockRateHz;

/** The report block for the next RR or SR; begins a new interval for the fraction lost. */
export function reportOn(reception: Reception, lastSr: number, delaySinceLastSr: number): ReportBlock {
  const expected = expectedOf(reception);
  const expectedNow = expected - reception.reportedExpected;
  const lostNow = expectedNow - (reception.packets - reception.reportedPackets);
  reception.reportedExpected = expected;
  reception.reportedPackets = reception.packets;
  return {
    ssrc: reception.ssrc,
    fractionLost:
      expectedNow <= 0 || lostNow <= 0 ? 0 : Math.min(255, Math.floor((lostNow * 256) / expectedNow)),
    cumulativeLost: expected - reception.packets,
    highestSequence: reception.highestSequence % 2 ** 32,
    jitter: Math.floor(reception.jitter),
    lastSr,
    delaySinceLastSr,
  };
}
