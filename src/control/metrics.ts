import type { InstallationStatus } from './commands.ts';

/** One line of Prometheus' text form: name, labels and a number. */
function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const inside = Object.entries(labels)
    .map(
      ([label, text]) =>
        `${label}="${text.replace(/[\\"\n]/g, (bad) => (bad === '\n' ? '\\n' : `\\${bad}`))}"`,
    )
    .join(',');
  return `${name}${inside === '' ? '' : `{${inside}}`} ${value}`;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** The installation's gauges, from the same status that `twinline status` shows (Prometheus text form 0.0.4). */
export function renderMetrics(status: InstallationStatus): string {
  const { zones, edges, control } = status;
  const processes = zones.flatMap((zone) => [
    ...zone.switches.map(({ id, rssKib, cpuPercent }) => ({
      zone: zone.id,
      role: 'switch',
      id,
      rssKib,
      cpuPercent,
    })),
    ...zone.media.map(({ id, rssKib, cpuPercent }) => ({
      zone: zone.id,
      role: 'media',
      id,
      rssKib,
      cpuPercent,
    })),
  ]);
  const families: Family[] = [
    {
      name: 'twinline_zone_up',
      help: 'Whether the zone serves: 1 for up or draining.',
      samples: zones.map(({ id, state }) => ({
        labels: { zone: id },
        value: state === 'up' || state === 'draining' ? 1 : 0,
      })),
    },
    {
      name: 'twinline_zone_load_ratio',
      help: 'The largest ratio of calls, calls per second and media ports to their capacity.',
      samples: zones.map(({ id, loadPercent }) => ({ labels: { zone: id }, value: loadPercent / 100 })),
    },
    {
      name: 'twinline_calls',
      help: 'Calls that a switch owns.',
      samples: zones.flatMap((zone) =>
        zone.switches.map(({ id, calls }) => ({ labels: { zone: zone.id, switch: id }, value: calls })),
      ),
    },
    {
      name: 'twinline_media_streams',
      help: 'Streams that a media process carries.',
      samples: zones.flatMap((zone) =>
        zone.media.map(({ id, streams }) => ({ labels: { zone: zone.id, media: id }, value: streams })),
      ),
    },
    {
      name: 'twinline_registrations',
      help: 'Contacts that are registered and have not expired.',
      samples: [{ labels: {}, value: status.registrations }],
    },
    {
      name: 'twinline_edge_connections',
      help: 'Open client connections by transport.',
      samples: edges.flatMap(({ id, flows }) =>
        Object.entries(flows).map(([transport, value]) => ({ labels: { edge: id, transport }, value })),
      ),
    },
    {
      name: 'twinline_process_resident_bytes',
      help: 'Resident memory of a process.',
      samples: [
        ...processes.map(({ zone, role, id, rssKib }) => ({
          labels: { zone, role, id },
          value: rssKib * 1024,
        })),
        ...edges.map(({ id, rssKib }) => ({ labels: { role: 'edge', id }, value: rssKib * 1024 })),
        { labels: { role: 'control', id: 'control' }, value: control.rssKib * 1024 },
      ],
    },
    {
      name: 'twinline_process_cpu_ratio',
      help: 'Share of one core that a process used of late.',
      samples: processes.map(({ zone, role, id, cpuPercent }) => ({
        labels: { zone, role, id },
        value: cpuPercent / 100,
      })),
    },
  ];
  return families
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ name, help, samples }) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} gauge`,
      ...samples.map(({ labels, value }) => sample(name, labels, value)),
    ])
    .join('\n')
    .concat('\n');
}

/** The edges' own counters in one text: each sample gets the edge's name, each family its comments once. */
export function joinEdgeMetrics(edges: readonly { readonly id: string; readonly text: string }[]): string {
  const families = new Map<string, string[]>();
  for (const { id, text } of edges) {
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const comment = /^# (?:HELP|TYPE) (\S+)/.exec(line);
      const name = comment?.[1] ?? /^[^{ ]+/.exec(line)?.[0] ?? '';
      const lines = families.get(name) ?? [];
      families.set(name, lines);
      if (comment === null) lines.push(withLabel(line, `edge="${id}"`));
      else if (!lines.includes(line)) lines.push(line);
    }
  }
  return [...families.values()].map((lines) => `${lines.join('\n')}\n`).join('');
}

function withLabel(line: string, label: string): string {
  const brace = line.indexOf('{');
  const space = line.indexOf(' ');
  return brace >= 0 && brace < space
    ? `${line.slice(0, brace + 1)}${label},${line.slice(brace + 1)}`
    : `${line.slice(0, space)}{${label}}${line.slice(space)}`;
}
