import { qualityHeard, qualityReceived } from './mos.ts';
import type { HeardFigures, PlayOutFigures, ReceivedFigures, StreamReport } from './protocol.ts';
import { averageRoundTripMs, totalsOf, worstLost } from './quality.ts';
import type { Stream } from './stream.ts';

/** Per packet: IPv4 or IPv6, UDP and RTP. */
const HEADER_OCTETS = { 4: 20 + 8 + 12, 6: 40 + 8 + 12 } as const;

/** To be made of all streams of a call before any of them ends: they hear each other. */
export function reportOn(stream: Stream): StreamReport {
  const { counts } = stream;
  const totals = totalsOf(stream);
  const received = receivedFigures(stream);
  const heard = heardFigures(stream);
  const roundTripMs = averageRoundTripMs(stream);
  const playOut = playOutFigures(stream);
  return {
    stream: stream.id,
    packetsReceived: counts.packetsReceived,
    packetsSent: counts.packetsSent,
    octetsReceived: counts.octetsReceived,
    octetsSent: counts.octetsSent,
    packetsLost: totals.lost,
    jitterMs: totals.worstJitterMs,
    ...(received && { received }),
    ...(heard && { heard }),
    ...(roundTripMs !== undefined && {
      roundTripMs: { average: tenths(roundTripMs), worst: tenths(stream.quality.roundTrip.worstMs) },
    }),
    ...(playOut && { playOut }),
    packetsRefused: {
      auth: counts.refusedAuth,
      replay: counts.refusedReplay,
      stranger: counts.refusedStranger,
      malformed: counts.refusedMalformed,
      unmapped: counts.refusedUnmapped,
    },
    takenOver: counts.takenOver,
  };
}

function receivedFigures(stream: Stream): ReceivedFigures | undefined {
  const quality = qualityReceived(stream);
  if (quality === undefined) return undefined;
  const totals = totalsOf(stream);
  const { packetsReceived, octetsReceived } = stream.counts;
  const average = share(totals.lost / totals.expected);
  const bits = 8 * (octetsReceived + packetsReceived * HEADER_OCTETS[stream.spec.family]);
  // The last packet has its time too, though nothing comes after it.
  const activeSec = (totals.activeMs * packetsReceived) / Math.max(1, packetsReceived - 1) / 1000;
  return {
    bitsPerSecond: activeSec === 0 ? 0 : Math.round(bits / activeSec),
    lost: { average, worst: Math.max(average, share(worstLost(stream))) },
    jitterMs: {
      average: totals.jitterPackets === 0 ? 0 : tenths(totals.jitterSumMs / totals.jitterPackets),
      worst: tenths(totals.worstJitterMs),
    },
    longestGapMs: Math.round(totals.longestGapMs),
    mos: hundredths(quality.mos),
  };
}

function heardFigures(stream: Stream): HeardFigures | undefined {
  const quality = qualityHeard(stream);
  if (quality === undefined) return undefined;
  const { peer } = stream.quality;
  const { voip } = peer;
  const average = peer.expected === 0 ? 0 : share(peer.lost / peer.expected);
  return {
    reports: peer.count,
    ...(peer.count > 0 && {
      lost: { average, worst: Math.max(average, share(peer.worstLost)) },
      jitterMs: { average: tenths(peer.jitterSumMs / peer.count), worst: tenths(peer.worstJitterMs) },
    }),
    mos: hundredths(quality.mos),
    ...(voip && {
      voip: {
        ...(voip.rFactor !== undefined && { rFactor: voip.rFactor }),
        ...(voip.mosLq !== undefined && { mosLq: voip.mosLq }),
        ...(voip.mosCq !== undefined && { mosCq: voip.mosCq }),
        discarded: share(voip.discardRate / 256),
        jitterBufferMs: voip.jitterNominalMs,
      },
    }),
  };
}

function playOutFigures({ quality: { playOut } }: Stream): PlayOutFigures | undefined {
  const { late, dropped, concealments, concealedMs, rebuilt, lengthenedMs, shortenedMs, heard } = playOut;
  if (heard === 0) return undefined;
  return {
    late,
    dropped,
    concealments,
    concealedMs: Math.round(concealedMs),
    rebuilt,
    lengthenedMs: Math.round(lengthenedMs),
    shortenedMs: Math.round(shortenedMs),
  };
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
const hundredths = (value: number): number => Math.round(value * 100) / 100;
const share = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
