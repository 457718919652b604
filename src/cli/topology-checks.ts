import { isIP } from 'node:net';
import type { Problem } from '../directory/index.ts';
import { mediaPortsOf, type PortRange, parsePortRange } from './port-range.ts';

/** RTP and RTCP for each of two phones. */
export const PORTS_PER_CALL = 4;

export type Path = readonly (string | number)[];

/** What is sound of the part of a file that says what runs in one place. */
export interface LooseInstallation {
  readonly machines?: readonly (LooseMachine | undefined)[] | undefined;
  readonly edges?: readonly (
    | {
        readonly id?: string;
        readonly machine?: string | undefined;
        readonly listeners?: readonly (
          | {
              readonly transport?: string;
              readonly offset?: unknown;
              readonly door?: readonly (string | undefined)[] | undefined;
            }
          | undefined
        )[];
      }
    | undefined
  )[];
  readonly http?: { readonly plain?: unknown; readonly tls?: unknown };
  readonly 'media-ports'?: string;
  readonly zones?: readonly (LooseZone | undefined)[];
}

interface LooseMachine {
  readonly id?: string;
  readonly address?: string;
  readonly 'link-ports'?: unknown;
  readonly 'media-device'?: string | undefined;
  readonly 'media-command'?: readonly unknown[] | undefined;
}

interface LooseZone {
  readonly id?: string;
  readonly twin?: string;
  readonly machine?: string | undefined;
  readonly media?: unknown;
  readonly 'media-addresses'?: readonly (string | undefined)[] | undefined;
  readonly rtpengine?: readonly (string | undefined)[] | undefined;
  readonly 'rtpengine-command'?: readonly unknown[] | undefined;
  readonly capacity?: { readonly calls?: unknown; readonly 'media-ports'?: unknown };
}

export interface CheckContext {
  readonly file: string;
  readonly problems: Problem[];
  lineOf(path: Path): number;
  /** In place of the file's range. */
  readonly mediaPorts?: PortRange;
  readonly portBase?: number;
}

/** Names given twice: the first holder keeps it. The lines say where both are. */
export class Names {
  readonly #what: string;
  readonly #context: CheckContext;
  readonly #held = new Map<string, Path>();

  constructor(what: string, context: CheckContext) {
    this.#what = what;
    this.#context = context;
  }

  claim(id: string | undefined, path: Path): void {
    if (id === undefined) return;
    const first = this.#held.get(id);
    if (first === undefined) this.#held.set(id, path);
    else
      reportTo(this.#context)(
        path,
        `${this.#what} "${id}" is given twice, first in line ${this.#context.lineOf(first)}`,
      );
  }
}

export const reportTo =
  ({ file, problems, lineOf }: CheckContext) =>
  (path: Path, message: string): void => {
    problems.push({ file, line: lineOf(path), message });
  };

/**
 * What no single value shows of what runs in one place: names given twice, ports taken twice, twins that are none, ranges too small.
 * `zoneNames` spans all data centres of the file. Gives the media ports that hold.
 */
export function checkInstallation(
  installation: LooseInstallation,
  at: Path,
  zoneNames: Names,
  context: CheckContext,
): PortRange | undefined {
  const report = reportTo(context);
  const { edges = [], http, zones = [] } = installation;
  checkPorts(edges, http, at, context);
  zones.forEach((zone, index) => {
    zoneNames.claim(zone?.id, [...at, 'zones', index, 'id']);
  });
  zones.forEach((zone, index) => {
    const wrong = zone === undefined ? undefined : wrongTwin(zone, zones);
    if (wrong !== undefined) report([...at, 'zones', index, 'twin'], wrong);
  });
  return checkMediaPorts(installation, at, context);
}

function checkPorts(
  edges: NonNullable<LooseInstallation['edges']>,
  http: LooseInstallation['http'],
  at: Path,
  context: CheckContext,
): void {
  const report = reportTo(context);
  const { portBase } = context;
  const edgeNames = new Names('edge', context);
  /** Machine, offset and kind of port → who has it. TCP and UDP do not collide. */
  const ports = new Map<string, string>();
  const claimPort = (kind: 'tcp' | 'udp', offset: number, who: string, path: Path, machine = ''): void => {
    const key = `${machine} ${kind} ${offset}`;
    const holder = ports.get(key);
    if (holder !== undefined) report(path, `offset ${offset} is taken by both ${holder} and ${who}`);
    else ports.set(key, who);
    if (portBase !== undefined && portBase + offset > 65_535)
      report(path, `port base ${portBase} and offset ${offset} make a port above 65535`);
  };
  edges.forEach((edge, index) => {
    if (!edge) return;
    edgeNames.claim(edge.id, [...at, 'edges', index, 'id']);
    (edge.listeners ?? []).forEach((listener, which) => {
      if (listener?.offset === undefined || listener.transport === undefined) return;
      const door = [...at, 'edges', index, 'listeners', which, 'door'];
      if (listener.door !== undefined && listener.transport !== 'udp')
        report(door, `a door listens on udp, not on ${listener.transport}`);
      for (const proxy of listener.door ?? [])
        if (proxy !== undefined && isIP(proxy) === 0) report(door, `"${proxy}" is no IP address`);
      const kind = listener.transport === 'udp' ? 'udp' : 'tcp';
      const path = [...at, 'edges', index, 'listeners', which];
      const who = `${listener.transport} of edge "${edge.id}"`;
      claimPort(kind, Number(listener.offset), who, path, edge.machine);
    });
  });
  // Every machine has a control.
  for (const machine of new Set(['', ...edges.map((edge) => edge?.machine ?? '')]))
    for (const key of ['plain', 'tls'] as const)
      if (http?.[key] !== undefined)
        claimPort('tcp', Number(http[key]), `http ${key}`, [...at, 'http', key], machine);
}

/** Twins name each other. */
function wrongTwin(
  { id, twin }: LooseZone,
  zones: NonNullable<LooseInstallation['zones']>,
): string | undefined {
  if (id === undefined || twin === undefined) return undefined;
  if (twin === id) return `zone "${id}" is named as its own twin`;
  const found = zones.find((zone) => zone?.id === twin);
  if (found === undefined) return `the twin "${twin}" of zone "${id}" is not among the zones`;
  const back = found.twin;
  return back === undefined || back === id
    ? undefined
    : `zone "${id}" names "${twin}" as its twin, but that names "${back}": a pair names each other`;
}

function checkMediaPorts(
  { 'media-ports': rangeText, zones = [] }: LooseInstallation,
  at: Path,
  context: CheckContext,
): PortRange | undefined {
  const report = reportTo(context);
  const given = rangeText === undefined ? undefined : parsePortRange(rangeText);
  const range = context.mediaPorts ?? given;
  if (rangeText !== undefined && given === undefined)
    report(
      [...at, 'media-ports'],
      `"media-ports" must go upwards between 1024 and 65535, not "${rangeText}"`,
    );
  if (range === undefined || zones.length === 0) return range;
  const share = shareOf(range, zones.length);
  if (context.mediaPorts !== undefined) {
    if (share < PORTS_PER_CALL * 2)
      context.problems.push({
        file: context.file,
        line: 0,
        message: `the media ports ${range.from}-${range.to} are too few for ${zones.length} zones`,
      });
    return range;
  }
  zones.forEach((zone, index) => {
    const path = [...at, 'zones', index, 'capacity', 'media-ports'];
    const { calls, 'media-ports': wanted } = zone?.capacity ?? {};
    // PH-EDGE-05: said when it is configured, not when the first call fails.
    if (wanted !== undefined && Number(wanted) > share)
      report(
        path,
        `zone "${zone!.id}" needs ${wanted} media ports, but its share of ${range.from}-${range.to} has ${share}: widen the range or lower the capacity`,
      );
    if (wanted !== undefined && calls !== undefined && Number(wanted) < Number(calls) * PORTS_PER_CALL)
      report(
        path,
        `${wanted} media ports are too few for ${calls} calls of zone "${zone!.id}": each needs ${PORTS_PER_CALL}, so ${Number(calls) * PORTS_PER_CALL}`,
      );
  });
  return range;
}

/** How many media ports each of so many zones gets. */
export function shareOf(range: PortRange, zones: number): number {
  const { from, to } = mediaPortsOf(range, Math.max(1, zones), 0);
  return to - from + 1;
}

interface LooseDataCentre {
  readonly id?: string;
  readonly region?: string;
  readonly secondary?: string;
  readonly meet?: { readonly host?: string; readonly port?: unknown; readonly sip?: unknown };
  readonly edges?: readonly unknown[];
}

/** Regions and who takes over for whom (PH-ZONE-09, PH-ZONE-15). */
export function checkDataCentres(
  dataCentres: readonly (LooseDataCentre | undefined)[],
  regions: readonly ({ readonly id?: string; readonly locked?: unknown } | undefined)[],
  context: CheckContext,
): void {
  const report = reportTo(context);
  const names = new Names('data centre', context);
  const regionNames = new Names('region', context);
  const places = new Map<string, string>();
  regions.forEach((region, index) => {
    regionNames.claim(region?.id, ['regions', index, 'id']);
  });
  const locked = new Set(
    regions.filter((region) => isYes(region?.locked)).map((region) => region?.id as string),
  );
  dataCentres.forEach((dataCentre, index) => {
    if (!dataCentre) return;
    const at = ['data-centres', index];
    const { id, region, secondary, meet } = dataCentre;
    names.claim(id, [...at, 'id']);
    if (region !== undefined && !regions.some((one) => one?.id === region))
      report(
        [...at, 'region'],
        `data centre "${id}" is in region "${region}", which is not among the regions (${known(regions)})`,
      );
    const other = dataCentres.find((one) => one?.id === secondary);
    if (secondary !== undefined && secondary === id)
      report([...at, 'secondary'], `data centre "${id}" is named as its own secondary`);
    else if (secondary !== undefined && other === undefined)
      report(
        [...at, 'secondary'],
        `the secondary "${secondary}" of data centre "${id}" is not among the data centres (${known(dataCentres)})`,
      );
    else if (
      region !== undefined &&
      locked.has(region) &&
      other?.region !== undefined &&
      other.region !== region
    )
      report(
        [...at, 'secondary'],
        `the secondary "${secondary}" of data centre "${id}" is in region "${other.region}": accounts locked to "${region}" must not leave it`,
      );
    if (meet?.sip !== undefined) {
      const last = Number(meet.sip) + Math.max(1, dataCentre.edges?.length ?? 1) - 1;
      if (last > 65_535)
        report([...at, 'meet', 'sip'], `the edges of "${id}" would need ports up to ${last}`);
      if (Number(meet.port) >= Number(meet.sip) && Number(meet.port) <= last)
        report(
          [...at, 'meet', 'sip'],
          `the edges of "${id}" take calls at ${meet.sip}${last > Number(meet.sip) ? ` to ${last}` : ''}, which is where it is met`,
        );
    }
    if (meet?.host !== undefined && meet.port !== undefined) {
      const place = `${meet.host} port ${meet.port}`;
      const holder = places.get(place);
      if (holder !== undefined)
        report([...at, 'meet'], `${place} is where both "${holder}" and "${id}" are met`);
      else places.set(place, id ?? '?');
    }
  });
  regions.forEach((region, index) => {
    if (region?.id === undefined || !locked.has(region.id)) return;
    const inside = dataCentres.filter((one) => one?.region === region.id);
    if (inside.length < 2)
      report(
        ['regions', index, 'locked'],
        `region "${region.id}" is locked and has ${inside.length === 1 ? `one data centre ("${inside[0]?.id}")` : 'no data centre'}: it needs two, so that the loss of one does not leave the region`,
      );
  });
}

const isYes = (value: unknown): boolean => value === true || value === 'yes' || value === 'true';

const known = (entries: readonly ({ readonly id?: string } | undefined)[]): string =>
  entries.flatMap((entry) => entry?.id ?? []).join(', ') || 'there is none';
