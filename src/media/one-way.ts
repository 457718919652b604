import type { Stream } from './stream.ts';

/** So long nothing comes from one side while the other is heard: a call in which nobody says anything for so long sends all the same. */
const AFTER_MS = 5000;
/** It is told again while it lasts, as what it means is the call's to judge: a phone that rings need not send. */
const AGAIN_SHARE = 1 / 4;

/**
 * How long the stream's peer has not been heard at all though the other side was, and both may speak; undefined when there is nothing (new)
 * to tell. To be asked a few times a second.
 */
export function unheardForMs(stream: Stream, nowMs: number): number | undefined {
  const { unheard, source } = stream;
  const isUnheard =
    source !== undefined &&
    source.source === stream &&
    stream.spec.link === undefined &&
    stream.spec.direction === 'sendrecv' &&
    source.spec.direction === 'sendrecv' &&
    stream.counts.packetsReceived === 0 &&
    source.counts.packetsReceived > 0;
  if (!isUnheard) {
    unheard.sinceMs = -1;
    return undefined;
  }
  if (unheard.sinceMs < 0) {
    unheard.sinceMs = nowMs;
    unheard.nextMs = nowMs + AFTER_MS;
  }
  if (nowMs < unheard.nextMs) return undefined;
  const forMs = nowMs - unheard.sinceMs;
  unheard.nextMs = nowMs + Math.max(AFTER_MS, forMs * AGAIN_SHARE);
  return Math.round(forMs);
}
