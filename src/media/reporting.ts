import { type Clock, type Random, randomBelow } from '../base/index.ts';
import {
  burstMetrics,
  GMIN,
  ntpOf,
  type ReportBlock,
  RX_CONCEALS_AND_ADAPTS,
  reportOn,
  type VoipMetrics,
} from '../rtp/index.ts';
import { qualityReceived, waitReceivedMs } from './mos.ts';
import { sentClockRateHz } from './peer-reports.ts';
import { averageRoundTripMs, totalsOf } from './quality.ts';
import type { RelayPort } from './relay.ts';
import { cname, maySendRtcp, sendRtcp, type WritableRtcp } from './relay-rtcp.ts';
import type { Stream } from './stream.ts';

/** RFC 3550 §6.2: the shortest interval, and as only two take part, always the interval. */
const INTERVAL_MS = 5000;
/** The other side's reports are passed on; if none came for so long, it makes none. */
const OTHERS_WAIT_MS = 2.5 * INTERVAL_MS;
const PACKET_MS = 20;

export interface ReporterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly port: RelayPort;
}

/**
 * Says to peers what nobody else says: sender reports on what is made here, receiver reports on what is decoded here, and either of a relayed
 * stream whose other side makes none. Each in turn after half to one and a half intervals (RFC 3550 §6.3.1, without its timer
 * reconsideration, which is for large sessions), the first after half as long.
 */
export class Reporter {
  readonly #options: ReporterOptions;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** To be called a few times a second. */
  attend(stream: Stream): void {
    const { times } = stream;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < times.dueMs || stream.spec.link !== undefined) return;
    const isFirst = times.dueMs < 0;
    const waitMs = INTERVAL_MS / 2 + randomBelow(this.#options.random, INTERVAL_MS);
    times.dueMs = nowMs + (isFirst ? waitMs / 2 : waitMs);
    if (isFirst) times.sinceMs = nowMs;
    else this.#report(stream, nowMs);
  }

  #report(stream: Stream, nowMs: number): void {
    const { times, counts, reception } = stream;
    if (!maySendRtcp(stream, nowMs)) return;
    const othersSilent = (saidMs: number) => nowMs - Math.max(saidMs, times.sinceMs) >= OTHERS_WAIT_MS;
    const { feed, source } = stream;
    const isPassedOn = stream.sinks.some((sink) => sink.feed.anchored && sink.feed.source === stream.id);
    const isMadeHere = feed.anchored && feed.source !== source?.id;
    const hasSent = counts.packetsSent > times.sentPackets;
    const hasReceived = reception !== undefined && counts.packetsReceived > times.receivedPackets;
    const says = hasSent && (isMadeHere || othersSilent(times.saidSrMs));
    const tells = hasReceived && (!isPassedOn || othersSilent(times.saidBlockMs));
    // RFC 3611 §5.2: to whom asked for it. The other side's own stay there, so these are ours in any case.
    const measures = hasReceived && stream.spec.voipMetrics === true;
    if (!says && !tells && !measures) return;
    times.sentPackets = counts.packetsSent;
    times.receivedPackets = counts.packetsReceived;
    const reports = tells ? [this.#block(stream, nowMs)] : [];
    const { ssrc } = stream;
    const packets: WritableRtcp[] = [
      says ? this.#senderReport(stream, reports, nowMs) : { type: 'rr', ssrc, reports },
      { type: 'sdes', chunks: [{ ssrc, items: [{ type: 1, text: cname(stream) }] }] },
    ];
    if (measures) packets.push({ type: 'xr', ssrc, voip: [voipMetrics(stream)] });
    sendRtcp(this.#options.port, stream, packets, nowMs);
  }

  #senderReport(stream: Stream, reports: readonly ReportBlock[], nowMs: number): WritableRtcp {
    const { feed, counts, ssrc } = stream;
    const ntp = ntpOf(this.#options.clock.utcMs());
    const sinceMs = Math.max(0, nowMs - feed.sentAtMs);
    return {
      type: 'sr',
      ssrc,
      ntpSec: ntp.seconds,
      ntpFraction: ntp.fraction,
      // The moment of the report on the clock of the stream, which stands between two packets.
      rtpTimestamp: Math.round(feed.sentTimestamp + (sinceMs * sentClockRateHz(stream)) / 1000) >>> 0,
      packetCount: counts.packetsSent >>> 0,
      octetCount: counts.octetsSent >>> 0,
      reports,
    };
  }

  #block({ reception, times }: Stream, nowMs: number): ReportBlock {
    const delaySec = times.srQuote === 0 ? 0 : (nowMs - times.srMs) / 1000;
    return reportOn(reception!, times.srQuote, Math.round(delaySec * 65_536) >>> 0);
  }
}

/** What our receiver knows of the peer (RFC 3611 §4.7). */
function voipMetrics(stream: Stream): VoipMetrics {
  const reception = stream.reception!;
  const { playOut } = stream.quality;
  const { expected, lost } = totalsOf(stream);
  const bursts = burstMetrics(reception.bursts, PACKET_MS);
  const quality = qualityReceived(stream);
  const waitMs = waitReceivedMs(stream);
  return {
    ssrc: reception.ssrc,
    lossRate: of256(lost / Math.max(1, expected)),
    discardRate: of256((playOut.late + playOut.dropped) / Math.max(1, expected)),
    burstDensity: of256(bursts.burstDensity),
    gapDensity: of256(bursts.gapDensity),
    burstMs: bursts.burstMs,
    gapMs: bursts.gapMs,
    roundTripMs: averageRoundTripMs(stream) ?? 0,
    endSystemDelayMs: waitMs + PACKET_MS,
    gmin: GMIN,
    ...(quality && { mosCq: quality.mos }),
    rxConfig: RX_CONCEALS_AND_ADAPTS,
    jitterNominalMs: waitMs,
    jitterMaximumMs: waitMs,
    jitterAbsoluteMs: LONGEST_WAIT_MS,
  };
}

/** What the jitter buffer holds at most. */
const LONGEST_WAIT_MS = 400;
const of256 = (share: number): number => Math.max(0, Math.min(255, Math.round(256 * share)));
