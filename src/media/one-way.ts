import type { Stream } from './stream.ts';

/** So long nothing comes from one side while the other is heard: a call in which nobody says anything for so long sends all the same. */
const AFTER_MS = 5000;
/** One that was heard may send nothing in silence, if it does not say that it sends: no form of that is silent for so long. */
const UNSAID_AFTER_MS = 30_000;
/** It is told again while it lasts, as what it means is the call's to judge: a phone that rings need not send. */
const AGAIN_SHARE = 1 / 4;

/** Of a stream's audio, as it was looked at last: plain data. */
export interface Hearing {
  /** Packets until then, and when one had come last; -1: not known. */
  packets: number;
  lastMs: number;
  /** Since when it is not heard though the other side is, and when that is told next; -1: it is not so. */
  sinceMs: number;
  nextMs: number;
  /** How many packets the peer says that it sent (RFC 3550 §6.4.1): in its first report since its audio came last, and in its last one. */
  saidThen: number;
  said: number;
}

export const newHearing = (): Hearing => ({
  packets: 0,
  lastMs: -1,
  sinceMs: -1,
  nextMs: -1,
  saidThen: -1,
  said: -1,
});

export interface OneWay {
  readonly forMs: number;
  /** It was heard before. */
  readonly inCall: boolean;
}

/**
 * Whether the stream's peer is not heard though the other side is, and both may speak: never, or not any more while its RTCP goes on. Undefined when there is
 * nothing (new) to tell. To be asked a few times a second.
 */
export function oneWayOf(stream: Stream, nowMs: number): OneWay | undefined {
  const { unheard, source, counts } = stream;
  look(stream, nowMs);
  const mayBeHeard =
    source !== undefined &&
    source.source === stream &&
    stream.spec.link === undefined &&
    stream.spec.direction === 'sendrecv' &&
    source.spec.direction === 'sendrecv';
  const inCall = counts.packetsReceived > 0;
  const isUnheard =
    mayBeHeard && (inCall ? hasStopped(stream, source, nowMs) : source.counts.packetsReceived > 0);
  if (!isUnheard) {
    unheard.sinceMs = -1;
    return undefined;
  }
  if (unheard.sinceMs < 0) {
    unheard.sinceMs = inCall ? unheard.lastMs : nowMs;
    unheard.nextMs = inCall ? nowMs : nowMs + AFTER_MS;
  }
  if (nowMs < unheard.nextMs) return undefined;
  const forMs = nowMs - unheard.sinceMs;
  unheard.nextMs = nowMs + Math.max(AFTER_MS, forMs * AGAIN_SHARE);
  return { forMs: Math.round(forMs), inCall };
}

/** A tick's look costs the packet path nothing. */
function look({ unheard, counts, spec }: Stream, nowMs: number): void {
  // What may not speak is not missed, and has its time again when it may.
  if (unheard.packets === counts.packetsReceived && spec.direction === 'sendrecv' && unheard.lastMs >= 0)
    return;
  unheard.packets = counts.packetsReceived;
  unheard.lastMs = nowMs;
  unheard.saidThen = -1;
}

/** Its audio has, its RTCP has not, and the other side goes on. */
function hasStopped({ unheard, lastHeardMs, times }: Stream, source: Stream, nowMs: number): boolean {
  const quietMs = nowMs - unheard.lastMs;
  // Who sends nothing at all is lost or has hung up: that is another event.
  const isAlive = lastHeardMs > unheard.lastMs;
  const isOtherHeard = source.counts.packetsReceived > 0 && nowMs - source.unheard.lastMs < AFTER_MS;
  // From one report to the next it has sent packets, and none came.
  if (unheard.saidThen < 0 && times.srMs > unheard.lastMs) unheard.saidThen = unheard.said;
  const saysSo = unheard.saidThen >= 0 && unheard.said > unheard.saidThen;
  return isAlive && isOtherHeard && quietMs >= (saysSo ? AFTER_MS : UNSAID_AFTER_MS);
}
