import { type CallQuality, callQuality, impairmentOf } from '../rtp/index.ts';
import type { StreamCodec, StreamSpec } from './protocol.ts';
import { averageRoundTripMs, type ReceptionTotals, totalsOf } from './quality.ts';
import type { Stream } from './stream.ts';

/** One frame is spoken before it can be sent; coders look ahead, decoders and sound cards wait. */
const FRAME_AND_CODER_MS = 25;
/** The shortest wait of a receiver, and how much of the jitter it waits for: three times what RFC 3550 calls it holds 98 % of evenly spread delays. */
const LEAST_WAIT_MS = 20;
const WAIT_PER_JITTER = 3;

interface Loss {
  /** 0 to 1, of packets whose sound did not come. */
  readonly lost: number;
  readonly rebuilt: number;
}

/**
 * How what came from the peer sounds, by our own receiver (PH-QOS-01): the way to us, and the wait here or that of a receiver to which it is
 * passed on. Undefined: nothing came.
 */
export function qualityReceived(stream: Stream): CallQuality | undefined {
  const codec = codecOf(stream);
  const loss = lossReceived(stream, codec);
  return loss && rate(codec, loss, wayMs(stream) + waitReceivedMs(stream));
}

/**
 * How what the peer heard sounded: by its reports, where it sends them, else as far as it came here. From mouth to ear, so with the way that
 * it came to us. Undefined: neither is known.
 */
export function qualityHeard(stream: Stream): CallQuality | undefined {
  const { source } = stream;
  const reported = lossReported(stream);
  const before = source && lossReceived(source, codecOf(source));
  const waysMs = wayMs(stream) + (source === undefined ? 0 : wayMs(source));
  if (reported === undefined) {
    if (source === undefined || before === undefined || stream.counts.packetsSent === 0) return undefined;
    return rate(codecOf(source), before, waysMs + waitReceivedMs(source));
  }
  // What is passed on bears its source's gaps, which the peer counts; what is made here has none.
  const isMadeHere = source !== undefined && stream.feed.source !== source.id;
  const loss = isMadeHere && before !== undefined ? both(before, reported) : reported;
  const waitsMs = waitReportedMs(stream) + (isMadeHere ? waitReceivedMs(source) : 0);
  return rate(codecOf(stream), loss, waysMs + waitsMs);
}

function lossReported({ spec, quality: { peer } }: Stream): Loss | undefined {
  if (peer.expected === 0) return undefined;
  const lost = Math.min(1, peer.lost / peer.expected);
  // How it was spread is not reported, so by chance: a run of lost packets ends as often as one comes.
  const [codec] = speechOf(spec);
  const loss = withRebuilt(lost, codec !== undefined && carriesFec(codec) ? lost * (1 - lost) : 0);
  return { ...loss, lost: Math.min(1, loss.lost + (peer.voip?.discardRate ?? 0) / 256) };
}

const both = (a: Loss, b: Loss): Loss => ({
  lost: 1 - (1 - a.lost) * (1 - b.lost),
  rebuilt: Math.min(1, a.rebuilt + b.rebuilt),
});

function waitReportedMs({ quality: { peer } }: Stream): number {
  if (peer.voip !== undefined && peer.voip.jitterNominalMs > 0) return peer.voip.jitterNominalMs;
  return waitMs(peer.count === 0 ? 0 : peer.jitterSumMs / peer.count);
}

export function waitReceivedMs(stream: Stream): number {
  const waitedMs = stream.ear?.waitMs ?? 0;
  if (waitedMs > 0) return waitedMs;
  const { jitterSumMs, jitterPackets } = totalsOf(stream);
  return waitMs(jitterPackets === 0 ? 0 : jitterSumMs / jitterPackets);
}

/** What did not come, or came too late to be decoded here, less what the next packet carried of it. */
function lossReceived(stream: Stream, codec: StreamCodec | undefined): Loss | undefined {
  const totals = totalsOf(stream);
  const { expected, lost } = totals;
  if (expected === 0) return undefined;
  const { late, dropped, heard, rebuilt } = stream.quality.playOut;
  const missed = Math.min(1, (lost + late + dropped) / expected);
  // Who decoded it knows; where it was passed on it is up to the receiver, who may.
  const isDecoded = heard > (expected - lost) / 2;
  return withRebuilt(missed, (isDecoded ? rebuilt : rebuildable(stream, totals, codec)) / expected);
}

/** Of the packets that were lost, those that the packet behind them carried too. */
function rebuildable(
  { spec }: Stream,
  { lost, lossRuns, rebuiltRuns }: ReceptionTotals,
  codec: StreamCodec | undefined,
): number {
  // A packet that is late only makes a run too: the share of all runs is what counts.
  const runs = Math.min(lost, lossRuns);
  if (spec.opaque !== true) return lossRuns === 0 ? 0 : (runs * rebuiltRuns) / lossRuns;
  // What is encrypted to the end cannot be looked at: there is no more to go by than that it was agreed on.
  return codec !== undefined && carriesFec(codec) ? runs : 0;
}

/** Opus with FEC carries a frame in the packet after it too (RFC 6716 §2.1.7), so the last of each run of lost packets is not lost. */
function withRebuilt(lost: number, runs: number): Loss {
  const rebuilt = Math.min(lost, runs);
  return { lost: lost - rebuilt, rebuilt };
}

/** What is sent to this peer, by what it asked for: a report tells how much was lost, not what was in the packets. */
export const carriesFec = ({ name, fmtp = '', wants = fmtp }: StreamCodec): boolean =>
  name === 'opus' && /useinbandfec\s*=\s*1/i.test(wants);

const rate = (codec: StreamCodec | undefined, { lost, rebuilt }: Loss, delayMs: number): CallQuality =>
  callQuality({
    codec: impairmentOf(codec?.name ?? ''),
    oneWayDelayMs: FRAME_AND_CODER_MS + delayMs,
    lostFraction: lost,
    rebuiltFraction: rebuilt,
  });

/** One way, half of there and back. 0 where nobody measured it. */
const wayMs = (stream: Stream): number => (averageRoundTripMs(stream) ?? 0) / 2;

const waitMs = (jitterMs: number): number => Math.max(LEAST_WAIT_MS, WAIT_PER_JITTER * jitterMs);

/** What the peer speaks: of those that it may, the first in the clock that its packets bear. */
export function codecOf({ spec, reception }: Stream): StreamCodec | undefined {
  const speech = speechOf(spec);
  return speech.find(({ clockRateHz }) => clockRateHz === reception?.clockRateHz) ?? speech[0];
}

const speechOf = ({ codecs }: StreamSpec): readonly StreamCodec[] =>
  codecs.filter(({ name }) => name !== 'telephone-event' && name !== 'cn');
