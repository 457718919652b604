import type { Reception, SrtpReceiverState, SrtpSenderState, TelephoneEventState } from '../rtp/index.ts';
import { resumeIce } from './ice-path.ts';
import { applyQuality, type Quality } from './quality.ts';
import type { Stream } from './stream.ts';

/**
 * What the mirror leaves out because it changes with every packet, and what a twin that takes a stream from a living owner is given
 * beside the record: with it nothing has to be reserved, skipped or reckoned anew. JSON.
 */
export interface ExactState {
  readonly sender?: SrtpSenderState;
  readonly receiver?: SrtpReceiverState;
  readonly reception?: Reception;
  /** With `reception` beside it; an older release says the first two alone. */
  readonly lostBefore: number;
  readonly worstJitterBeforeMs: number;
  readonly quality?: Quality;
  readonly events: TelephoneEventState;
  readonly floorPending: boolean;
}

export const exactOf = (stream: Stream): ExactState => ({
  ...(stream.sender === undefined ? {} : { sender: stream.sender.exportState() }),
  ...(stream.receiver === undefined ? {} : { receiver: stream.receiver.exportState() }),
  ...(stream.reception === undefined ? {} : { reception: stream.reception }),
  lostBefore: stream.quality.before.lost,
  worstJitterBeforeMs: stream.quality.before.worstJitterMs,
  quality: stream.quality,
  events: stream.events,
  floorPending: stream.floorPending,
});

/** The stream has its record's state already; its owner has stopped before it said this. */
export function goOnExactly(stream: Stream, exact: ExactState, nowMs: number): void {
  stream.counts.takenOver++;
  if (stream.ice !== undefined) resumeIce(stream.ice, nowMs);
  if (exact.sender !== undefined) stream.sender?.importState(exact.sender);
  if (exact.receiver !== undefined) stream.receiver?.importState(exact.receiver);
  stream.reception = exact.reception;
  applyQuality(stream, exact.quality, exact.lostBefore, exact.worstJitterBeforeMs);
  Object.assign(stream.events, exact.events);
  stream.floorPending = exact.floorPending;
  stream.rtp.lastHeardMs = nowMs;
  stream.rtcp.lastHeardMs = nowMs;
}
