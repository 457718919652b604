import type { UdpAddress } from '../native/index.ts';
import { sameHost } from './address-rule.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/** A sequence number, the length of a primary packet of an octet at least, and the octet (ITU-T T.38, Annex D). */
const LEAST_OCTETS = 4;
/** As with audio: who sends nothing for so long pauses. */
const PAUSE_MS = 1000;

/**
 * Fax by T.38 (PH-TRUNK-27): a datagram of UDPTL, whatever is in it, goes on to whoever hears this peer. It has numbers and redundancy of its
 * own that only the two ends understand. Where the peer is is learned as with plain RTP, once, and anew on the same host alone.
 */
export function relayUdptl(
  port: RelayPort,
  stream: Stream,
  onRtcp: boolean,
  packet: Buffer,
  length: number,
  from: UdpAddress,
  nowMs: number,
): void {
  const { counts, rtp } = stream;
  if (onRtcp || length < LEAST_OCTETS) {
    counts.refusedMalformed++;
    return;
  }
  const wasConfirmed = rtp.confirmed;
  // What does not even look like it shall not claim the stream.
  const mayClaim = wasConfirmed || packet[2]! <= length - 3;
  if (!mayClaim || !rtp.accepts(from, sameHost(from, rtp.address), nowMs)) {
    counts.refusedStranger++;
    return;
  }
  if (!wasConfirmed) port.note(stream);
  counts.packetsReceived++;
  counts.octetsReceived += length;
  // The bit rate is that of the whole call (PH-QOS-05).
  const gapMs = nowMs - stream.lastHeardMs;
  if (gapMs < PAUSE_MS) stream.quality.before.activeMs += gapMs;
  stream.lastHeardMs = nowMs;
  stream.changedSinceProgress = true;
  if (!stream.receives) return;
  const { sinks } = stream;
  const last = sinks.length - 1;
  for (let i = 0; i <= last; i++) {
    const sink = sinks[i]!;
    if (!sink.udptl || !sink.sends || !sink.rtp.maySend(nowMs)) continue;
    sink.passedMs = nowMs;
    sink.changedSinceProgress = true;
    sink.counts.packetsSent++;
    sink.counts.octetsSent += length;
    port.send(sink, false, packet, length, sink.rtp.address, i === last);
  }
}
