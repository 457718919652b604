import { packetsExpected, packetsLost, type Reception, worstJitterMs } from '../rtp/index.ts';
import { newPeerReports, type PeerReports } from './peer-reports.ts';
import type { Stream } from './stream.ts';

/*
 * What is measured of a stream for its call's record (PH-QOS-01, 02). The packet path counts into `Reception` alone; everything here is
 * done a few times a second, or when RTCP comes.
 */

/** Plain data, JSON; the twin is told of it. */
export interface Quality {
  /** Of sources that ended: another SSRC, or what a process before this one had counted. */
  readonly before: ReceptionTotals;
  /** The present interval: when it ends, and what had been counted when it began. */
  intervalEndsMs: number;
  intervalExpected: number;
  intervalLost: number;
  worstLost: number;
  readonly roundTrip: RoundTrips;
  readonly peer: PeerReports;
  readonly playOut: PlayOutCounts;
}

export interface ReceptionTotals {
  expected: number;
  lost: number;
  lossRuns: number;
  /** Whose last packet was in the one behind it (Opus FEC). */
  rebuiltRuns: number;
  jitterSumMs: number;
  jitterPackets: number;
  worstJitterMs: number;
  activeMs: number;
  longestGapMs: number;
}

export interface RoundTrips {
  count: number;
  sumMs: number;
  worstMs: number;
}

/** Of what was decoded here. */
export interface PlayOutCounts {
  /** Packets that were taken for decoding. */
  heard: number;
  /** Packets: came after their time, twice, or were left out to shorten the wait. */
  late: number;
  duplicate: number;
  dropped: number;
  /** Stretches that were made up, their length, and packets that were rebuilt from what the next one carried of them (Opus). */
  concealments: number;
  concealedMs: number;
  rebuilt: number;
  /** What the play-out was made longer and shorter by. */
  lengthenedMs: number;
  shortenedMs: number;
}

const INTERVAL_MS = 5000;
/** A share of so few packets says nothing. */
const LEAST_PACKETS = 10;

export const newQuality = (): Quality => ({
  before: newTotals(),
  intervalEndsMs: -1,
  intervalExpected: 0,
  intervalLost: 0,
  worstLost: 0,
  roundTrip: { count: 0, sumMs: 0, worstMs: 0 },
  peer: newPeerReports(),
  playOut: newPlayOutCounts(),
});

export const newPlayOutCounts = (): PlayOutCounts => ({
  heard: 0,
  late: 0,
  duplicate: 0,
  dropped: 0,
  concealments: 0,
  concealedMs: 0,
  rebuilt: 0,
  lengthenedMs: 0,
  shortenedMs: 0,
});

export const newTotals = (): ReceptionTotals => ({
  expected: 0,
  lost: 0,
  lossRuns: 0,
  rebuiltRuns: 0,
  jitterSumMs: 0,
  jitterPackets: 0,
  worstJitterMs: 0,
  activeMs: 0,
  longestGapMs: 0,
});

/** Over the whole life of the stream, whoever counted. */
export function totalsOf({ quality, reception }: Pick<Stream, 'quality' | 'reception'>): ReceptionTotals {
  const totals = { ...quality.before };
  if (reception !== undefined) addReception(totals, reception);
  return totals;
}

/** What comes next is counted as if nothing had come before; the figures of both are told together. */
export function setReceptionAside(stream: Pick<Stream, 'quality' | 'reception'>): void {
  if (stream.reception !== undefined) addReception(stream.quality.before, stream.reception);
  stream.reception = undefined;
}

export function addReception(totals: ReceptionTotals, reception: Reception): void {
  totals.expected += packetsExpected(reception);
  totals.lost += packetsLost(reception);
  totals.lossRuns += reception.lossRuns;
  totals.rebuiltRuns += reception.rebuiltRuns ?? 0;
  totals.jitterSumMs += (reception.jitterSum * 1000) / reception.clockRateHz;
  totals.jitterPackets += reception.jitterPackets;
  totals.worstJitterMs = Math.max(totals.worstJitterMs, worstJitterMs(reception));
  totals.activeMs += reception.activeMs;
  totals.longestGapMs = Math.max(totals.longestGapMs, reception.longestGapMs);
}

/** To be called a few times a second: the share that was lost is reckoned every five. */
export function measureInterval(stream: Stream, nowMs: number): void {
  const { quality } = stream;
  if (nowMs < quality.intervalEndsMs || stream.reception === undefined) return;
  if (quality.intervalEndsMs >= 0) endInterval(stream);
  quality.intervalEndsMs = nowMs + INTERVAL_MS;
}

function endInterval(stream: Stream): void {
  const { quality } = stream;
  const { expected, lost } = totalsOf(stream);
  quality.worstLost = Math.max(quality.worstLost, lostSince(quality, expected, lost));
  quality.intervalExpected = expected;
  quality.intervalLost = lost;
  stream.qualityChanged = true;
}

/** The worst interval, the present one too. */
export function worstLost(stream: Stream): number {
  const { expected, lost } = totalsOf(stream);
  return Math.max(stream.quality.worstLost, lostSince(stream.quality, expected, lost));
}

function lostSince({ intervalExpected, intervalLost }: Quality, expected: number, lost: number): number {
  const count = expected - intervalExpected;
  return count < LEAST_PACKETS ? 0 : Math.max(0, lost - intervalLost) / count;
}

export const averageRoundTripMs = ({ quality: { roundTrip } }: Stream): number | undefined =>
  roundTrip.count === 0 ? undefined : roundTrip.sumMs / roundTrip.count;

/** As the twin is told: all that was counted is `before`, for whoever goes on. */
export const qualityRecordOf = (stream: Stream): Quality => ({
  ...stream.quality,
  before: totalsOf(stream),
});

/** What another process counted so far. Not known of an older release but for loss and the worst jitter. */
export function applyQuality(
  stream: Stream,
  quality: Quality | undefined,
  lost: number,
  jitterMs: number,
): void {
  const own = stream.quality;
  if (quality === undefined) {
    own.before.lost = lost;
    own.before.worstJitterMs = jitterMs;
    return;
  }
  const { before, roundTrip, peer, playOut, ...interval } = quality;
  Object.assign(own, interval);
  Object.assign(own.before, before);
  Object.assign(own.roundTrip, roundTrip);
  Object.assign(own.peer, peer);
  Object.assign(own.playOut, playOut);
}
