import { compactNtp, type ReportBlock, type RtcpPacket, type VoipMetrics } from '../rtp/index.ts';
import type { Stream } from './stream.ts';

/** What a peer's RTCP tells of what it got from us: plain data, JSON. */
export interface PeerReports {
  count: number;
  /** Of the last report. */
  highest: number;
  cumulative: number;
  /** Over all reports. */
  expected: number;
  lost: number;
  worstLost: number;
  jitterSumMs: number;
  worstJitterMs: number;
  /** What FEC goes by: the share that is lost at present, 0 to 1, and when that was reported. */
  lostNow: number;
  lostNowMs: number;
  /** Its last VoIP metrics. */
  voip?: VoipMetrics;
}

export const newPeerReports = (): PeerReports => ({
  count: 0,
  highest: -1,
  cumulative: 0,
  expected: 0,
  lost: 0,
  worstLost: 0,
  jitterSumMs: 0,
  worstJitterMs: 0,
  lostNow: 0,
  lostNowMs: 0,
});

/** Nobody answers a report later than this, and a longer way nobody talks over. */
const LONGEST_MS = 60_000;
/** Reports that wait to be quoted: at one a second, and the longest interval of RFC 3550. */
const SENT_REPORTS = 8;

/**
 * RTCP between this process and one peer. Sender reports that left are remembered by what a report block quotes of them, whoever made
 * them, so that the round trip is this leg's alone. Not told to the twin.
 */
export class RtcpTimes {
  readonly #quoted = new Float64Array(SENT_REPORTS).fill(-1);
  readonly #sentMs = new Float64Array(SENT_REPORTS);
  #next = 0;
  /** The last sender report that came: as it is quoted, and when. */
  srQuote = 0;
  srMs = 0;
  /** When a sender report and a report block left last, when ours are due, and since when that is looked after. */
  saidSrMs = Number.NEGATIVE_INFINITY;
  saidBlockMs = Number.NEGATIVE_INFINITY;
  dueMs = -1;
  sinceMs = 0;
  /** What had been sent and received when we reported last. */
  sentPackets = 0;
  receivedPackets = 0;

  sent(quote: number, nowMs: number): void {
    this.#quoted[this.#next] = quote;
    this.#sentMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % SENT_REPORTS;
  }

  /** RFC 3550 §6.4.1, by our clock alone. Undefined: that report is not ours, or what is said of it cannot be. */
  roundTripMs({ lastSr, delaySinceLastSr }: ReportBlock, nowMs: number): number | undefined {
    if (lastSr === 0) return undefined;
    const at = this.#quoted.indexOf(lastSr);
    if (at < 0) return undefined;
    const ms = nowMs - this.#sentMs[at]! - (delaySinceLastSr * 1000) / 65_536;
    // Clocks differ in rate, and a peer may round.
    if (ms < -50 || ms > LONGEST_MS) return undefined;
    return Math.max(0, ms);
  }
}

/** Takes from a peer's RTCP what it tells of us. */
export function hearReports(stream: Stream, packets: readonly RtcpPacket[], nowMs: number): void {
  const { times, quality } = stream;
  for (const packet of packets) {
    switch (packet.type) {
      case 'sr':
        if (packet.ssrc === stream.arrival.ssrc) {
          stream.unheard.said = packet.packetCount;
          times.srQuote = compactNtp({ seconds: packet.ntpSec, fraction: packet.ntpFraction });
          times.srMs = nowMs;
        }
        hearBlocks(stream, packet.reports, nowMs);
        break;
      case 'rr':
        hearBlocks(stream, packet.reports, nowMs);
        break;
      case 'xr':
        for (const voip of packet.voip) {
          if (voip.ssrc !== stream.ssrc) continue;
          quality.peer.voip = voip;
          stream.qualityChanged = true;
        }
        break;
      case 'sdes':
      case 'bye':
      case 'other':
        break;
    }
  }
}

function hearBlocks(stream: Stream, blocks: readonly ReportBlock[], nowMs: number): void {
  for (const block of blocks) {
    if (block.ssrc !== stream.ssrc) continue;
    const roundTripMs = stream.times.roundTripMs(block, nowMs);
    if (roundTripMs !== undefined) countRoundTrip(stream, roundTripMs);
    hearBlock(stream, block, nowMs);
  }
}

function countRoundTrip(stream: Stream, ms: number): void {
  const { roundTrip } = stream.quality;
  roundTrip.count++;
  roundTrip.sumMs += ms;
  roundTrip.worstMs = Math.max(roundTrip.worstMs, ms);
  stream.qualityChanged = true;
}

function hearBlock(stream: Stream, block: ReportBlock, nowMs: number): void {
  const { peer } = stream.quality;
  const clockRateHz = sentClockRateHz(stream);
  const jitterMs = clockRateHz === 0 ? 0 : (block.jitter * 1000) / clockRateHz;
  const fraction = block.fractionLost / 256;
  const passed = (block.highestSequence - peer.highest) >>> 0;
  const lost = block.cumulativeLost - peer.cumulative;
  if (peer.highest < 0) {
    peer.lost = Math.max(0, lost);
    peer.expected = Math.max(peer.lost, stream.counts.packetsSent + lostBefore(stream));
  } else if (passed < 2 ** 31 && lost <= passed && lost >= -passed) {
    // Late packets take back what was said to be lost.
    peer.lost = Math.max(0, peer.lost + lost);
    peer.expected += passed;
  }
  // Else it began to count anew, nobody knows from where.
  followLoss(peer, fraction, nowMs);
  peer.highest = block.highestSequence;
  peer.cumulative = block.cumulativeLost;
  peer.count++;
  peer.worstLost = Math.max(peer.worstLost, fraction);
  peer.jitterSumMs += jitterMs;
  peer.worstJitterMs = Math.max(peer.worstJitterMs, jitterMs);
  stream.qualityChanged = true;
}

/** Too much redundancy costs a little sound, too little costs words: up at once, down over several reports. */
const RISES_IN_MS = 2000;
const FALLS_IN_MS = 15_000;
/** RFC 3550 §6.2: what a first report is about. */
const REPORT_INTERVAL_MS = 5000;

/** RFC 3550 §6.4.1: a fraction is of the time since the report before, so one of a second counts less than one of five. */
function followLoss(peer: PeerReports, fraction: number, nowMs: number): void {
  // Another machine's clock, after a take-over, is no measure.
  const sinceMs = nowMs - peer.lostNowMs;
  const overMs = peer.count > 0 && sinceMs >= 0 && sinceMs < LONGEST_MS ? sinceMs : REPORT_INTERVAL_MS;
  const weight = 1 - Math.exp(-overMs / (fraction > peer.lostNow ? RISES_IN_MS : FALLS_IN_MS));
  peer.lostNow += (fraction - peer.lostNow) * weight;
  peer.lostNowMs = nowMs;
}

/** Packets that never reached us, whose numbers the peer misses too. */
function lostBefore({ source, feed }: Stream): number {
  if (source === undefined || feed.source !== source.id || source.reception === undefined) return 0;
  return Math.max(
    0,
    source.reception.highestSequence - source.reception.firstSequence + 1 - source.reception.packets,
  );
}

/** Of the clock in which what we send is stamped. */
export const sentClockRateHz = ({ spec }: Stream): number =>
  spec.codecs.find(({ name }) => name !== 'telephone-event')?.clockRateHz ?? 0;
