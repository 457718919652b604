import type { Progress, StreamState } from './record.ts';

/**
 * Times that an owner on another machine says are of its own clock, which counts from that machine's boot. `aheadMs`: what ours is ahead of
 * it. Without this a stream that is taken over would seem silent for as long as the boots are apart, or refuse its peer's next SSRC for as long.
 */
export function stateHere(state: StreamState, aheadMs: number): StreamState {
  if (aheadMs === 0) return state;
  const { arrival, feed, playing, quality, lastHeardMs } = state;
  const here = (ms: number): number => ms + aheadMs;
  /** -1: not yet. */
  const ifAny = (ms: number): number => (ms < 0 ? ms : here(ms));
  return {
    ...state,
    arrival: { ...arrival, ssrcSinceMs: ifAny(arrival.ssrcSinceMs) },
    feed: { ...feed, sentAtMs: here(feed.sentAtMs) },
    lastHeardMs: here(lastHeardMs),
    ...(playing?.beganMs !== undefined && { playing: { ...playing, beganMs: here(playing.beganMs) } }),
    ...(quality && { quality: { ...quality, intervalEndsMs: ifAny(quality.intervalEndsMs) } }),
  };
}

/** The same of what is said once a second. */
export function progressHere(progress: Progress, aheadMs: number): Progress {
  if (aheadMs === 0) return progress;
  const [id, ssrc, highest, sentIndex, timestamp, sentAtMs, lost, jitterMs, heardMs, counts, quality] =
    progress;
  const ours = [
    ...([id, ssrc, highest, sentIndex, timestamp, sentAtMs + aheadMs, lost, jitterMs] as const),
    ...([heardMs + aheadMs, counts] as const),
  ] as const;
  if (quality === undefined) return ours;
  const { intervalEndsMs } = quality;
  const endsMs = intervalEndsMs < 0 ? intervalEndsMs : intervalEndsMs + aheadMs;
  return [...ours, { ...quality, intervalEndsMs: endsMs }];
}
