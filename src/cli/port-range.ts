/** Both ends belong to it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** `A-B` with both ends between 1024 and 65535, upwards; undefined otherwise. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2]);
  return match && from >= 1024 && to <= 65_535 && from < to ? { from, to } : undefined;
}

/** A range's part `index` of `parts`: equal, and begun at an even port (RTP even, RTCP the next: RFC 3550 §11). */
export function mediaPortsOf(range: PortRange, parts: number, index: number): PortRange {
  const first = range.from + (range.from % 2);
  const size = Math.floor((range.to - first + 1) / parts / 2) * 2;
  return { from: first + index * size, to: first + (index + 1) * size - 1 };
}
