/**
 * How loss is grouped (RFC 3611 §4.7.2): a burst begins and ends with a lost packet and has fewer than `GMIN` received ones in a row in it;
 * all else is a gap, a single lost packet between `GMIN` received ones too. Plain data, JSON; in packets.
 */
export interface Bursts {
  /** Received since the last loss, or since the beginning. */
  run: number;
  /** From the first to the last loss of those that lie so close together; lost among them. */
  near: number;
  nearLost: number;
  /** What is over. */
  bursts: number;
  burst: number;
  burstLost: number;
  gap: number;
  gapLost: number;
}

/** What the RFC recommends. */
export const GMIN = 16;

export const newBursts = (): Bursts => ({
  run: 0,
  near: 0,
  nearLost: 0,
  bursts: 0,
  burst: 0,
  burstLost: 0,
  gap: 0,
  gapLost: 0,
});

/** So many packets in a row did not come. Between two calls `run` is counted up for each that did. */
export function countLost(bursts: Bursts, count: number): void {
  if (bursts.nearLost === 0 || bursts.run >= GMIN) {
    close(bursts);
    bursts.gap += bursts.run;
    bursts.near = bursts.nearLost = count;
  } else {
    bursts.near += bursts.run + count;
    bursts.nearLost += count;
  }
  bursts.run = 0;
}

function close(bursts: Bursts): void {
  if (bursts.nearLost > 1) {
    bursts.bursts++;
    bursts.burst += bursts.near;
    bursts.burstLost += bursts.nearLost;
  } else {
    bursts.gap += bursts.near;
    bursts.gapLost += bursts.nearLost;
  }
  bursts.near = bursts.nearLost = 0;
}

export interface BurstMetrics {
  /** Share of packets lost within bursts and within gaps, 0 to 1. */
  readonly burstDensity: number;
  readonly gapDensity: number;
  /** Mean lengths; 0: there was none. */
  readonly burstMs: number;
  readonly gapMs: number;
}

/** So far; a packet lasts `packetMs`. */
export function burstMetrics(soFar: Bursts, packetMs: number): BurstMetrics {
  const all = { ...soFar };
  close(all);
  const gap = all.gap + all.run;
  return {
    burstDensity: all.burst === 0 ? 0 : all.burstLost / all.burst,
    gapDensity: gap === 0 ? 0 : all.gapLost / gap,
    burstMs: all.bursts === 0 ? 0 : (all.burst * packetMs) / all.bursts,
    // Before, between and after the bursts.
    gapMs: (gap * packetMs) / (all.bursts + 1),
  };
}
