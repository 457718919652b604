/**
 * Counts with a closed set of names and labels (never an address or a user, so that nobody outside can grow them), rendered as
 * Prometheus text. A plain map: the hot path adds to it for every message.
 */
export class Counters {
  readonly #values = new Map<string, number>();

  /** `labels` in Prometheus form, such as `reason="malformed"`. */
  add(name: CounterName, labels = '', by = 1): void {
    const key = labels === '' ? name : `${name}{${labels}}`;
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  get(name: CounterName, labels = ''): number {
    return this.#values.get(labels === '' ? name : `${name}{${labels}}`) ?? 0;
  }

  snapshot(): Record<string, number> {
    return Object.fromEntries([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** With `gauges`, which are computed when asked for. */
  prometheus(gauges: Readonly<Record<string, number>>): string {
    const lines: string[] = [];
    let described = '';
    for (const [key, value] of Object.entries(this.snapshot())) {
      const name = key.split('{', 1)[0] as CounterName;
      if (name !== described) {
        lines.push(`# HELP ${PREFIX}${name} ${HELP[name]}`, `# TYPE ${PREFIX}${name} counter`);
        described = name;
      }
      lines.push(`${PREFIX}${key} ${value}`);
    }
    for (const [name, value] of Object.entries(gauges)) {
      lines.push(`# TYPE ${PREFIX}${name.split('{', 1)[0]} gauge`, `${PREFIX}${name} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

const PREFIX = 'twinline_edge_';

const HELP = {
  received_total: 'Messages from clients, by transport.',
  malformed_total: 'Messages that could not be read, by transport.',
  forwarded_total: 'Messages given to a switch, by how the switch was found.',
  sent_total: 'Messages sent to clients.',
  unsendable_total: 'Messages for clients whose flow is gone or too full.',
  new_calls_total: 'New calls given to a switch, by zone.',
  emergency_over_reserve_total:
    'Emergency calls that counted as ordinary ones because the reserve was used up.',
  refused_total: 'Requests answered at the edge, by status and reason.',
  challenged_total: 'Requests without credentials that were asked for them at the edge, by status.',
  dropped_total: 'Messages met with silence, by reason.',
  stale_total: 'Frames of a switch refused because another holds the bundle.',
  adopted_total: 'Bundles that moved to another switch.',
  resent_total: 'Messages passed to another switch because the first ended before it acknowledged them.',
  waited_total: 'Messages that waited for the next owner of their bundle.',
  transactions_evicted_total: 'Transactions forgotten early because the map was full.',
  lookups_total: "Look-ups in the state's call index, by outcome.",
  connections_total: 'Connections accepted, by transport.',
  connections_refused_total: 'Connections refused or ended by us, by reason.',
  keepalives_total: 'Keep-alives of clients, by kind.',
} as const;

export type CounterName = keyof typeof HELP;
