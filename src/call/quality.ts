import type { StreamReport } from '../media/index.ts';

/** PH-QOS-01: at or above it a call is good. */
const GOOD_MOS = 3.5;
/** A shorter call says less. */
const RELIABLE_AFTER_MS = 30_000;

export interface RecordedQuality {
  /** 1 to 5. */
  readonly mos: number;
  readonly rating: 'good' | 'poor';
  /** They talked for less than 30 s. */
  readonly lessReliable?: true;
}

/** Of a leg: the worse of what its user heard and what was heard of them. */
export function legQuality(report: StreamReport | undefined, talkMs: number): RecordedQuality | undefined {
  return rated([report?.heard?.mos, report?.received?.mos], talkMs);
}

/**
 * Of a call: what the one who heard worse heard, from mouth to ear over both legs. Where media cannot tell that of anybody, the worst of what
 * came from the legs.
 */
export function callQuality(reports: readonly StreamReport[], talkMs: number): RecordedQuality | undefined {
  return (
    rated(
      reports.map(({ heard }) => heard?.mos),
      talkMs,
    ) ??
    rated(
      reports.map(({ received }) => received?.mos),
      talkMs,
    )
  );
}

function rated(figures: readonly (number | undefined)[], talkMs: number): RecordedQuality | undefined {
  const known = figures.filter((mos) => mos !== undefined);
  if (known.length === 0) return undefined;
  const mos = Math.min(...known);
  return {
    mos,
    rating: mos >= GOOD_MOS ? 'good' : 'poor',
    ...(talkMs < RELIABLE_AFTER_MS && { lessReliable: true }),
  };
}
