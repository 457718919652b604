import { packetsLost, worstJitterMs } from '../rtp/index.ts';
import type { StreamReport } from './protocol.ts';
import type { Stream } from './stream.ts';

export function reportOn(stream: Stream): StreamReport {
  const { counts, reception } = stream;
  return {
    stream: stream.id,
    packetsReceived: counts.packetsReceived,
    packetsSent: counts.packetsSent,
    octetsReceived: counts.octetsReceived,
    octetsSent: counts.octetsSent,
    packetsLost: lostOf(stream),
    jitterMs: Math.max(stream.worstJitterBeforeMs, reception === undefined ? 0 : worstJitterMs(reception)),
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

export const lostOf = (stream: Stream): number =>
  stream.lostBefore + (stream.reception === undefined ? 0 : packetsLost(stream.reception));
