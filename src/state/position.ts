/**
 * A place in the merged log of two zones: how far each zone's own log was read. An entry of one zone that appears late
 * stands behind that zone's number, however old its time, so no reader misses it. `incarnation` names one life of a
 * zone's environment: after it was made anew its numbers begin again.
 */
export type Position = ReadonlyMap<string, { readonly incarnation: string; readonly number: number }>;

/** `a.k3jd:17,b.88xq:4`. Zones that are not named are read from the beginning. */
export function parsePosition(text: string | undefined): Position {
  const position = new Map<string, { incarnation: string; number: number }>();
  for (const part of text?.split(',') ?? []) {
    const match = /^(.*)\.([^.:]*):(\d{1,16})$/.exec(part);
    if (match !== null) position.set(match[1]!, { incarnation: match[2]!, number: Number(match[3]) });
  }
  return position;
}

export function formatPosition(position: Position): string {
  return [...position]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([zone, { incarnation, number }]) => `${zone}.${incarnation}:${number}`)
    .join(',');
}

export interface LogEntry {
  readonly number: number;
  readonly utcMs: number;
  readonly entry: unknown;
}

export interface ZoneLog {
  readonly zone: string;
  readonly incarnation: string;
  /** Entries after a number, in order, at most `limit`. */
  readonly after: (number: number, limit: number) => readonly LogEntry[];
}

/** Merges the zones' logs by the entries' times, keeping each zone's order. */
export function mergeLogs(
  logs: readonly ZoneLog[],
  after: string | undefined,
  limit: number,
): { position: string; entry: unknown }[] {
  const position = new Map(parsePosition(after));
  const queues = logs.map((log) => {
    const known = position.get(log.zone);
    const number = known?.incarnation === log.incarnation ? known.number : 0;
    return { log, entries: log.after(number, limit), at: 0 };
  });
  const merged: { position: string; entry: unknown }[] = [];
  while (merged.length < limit) {
    let next: (typeof queues)[number] | undefined;
    for (const queue of queues) {
      const head = queue.entries[queue.at];
      const best = next?.entries[next.at];
      if (head !== undefined && (best === undefined || head.utcMs < best.utcMs)) next = queue;
    }
    if (next === undefined) break;
    const { number, entry } = next.entries[next.at++]!;
    position.set(next.log.zone, { incarnation: next.log.incarnation, number });
    merged.push({ position: formatPosition(position), entry });
  }
  return merged;
}
