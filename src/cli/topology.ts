import { isIP } from 'node:net';
import { type EdgeId, failed, ok, type Result, type ZoneId } from '../base/index.ts';
import { loadYamlReader, type Problem } from '../directory/index.ts';
import type { TransportName } from '../link/index.ts';
import { readState, type StateTopology, stateSchema } from './topology-state.ts';

/** What runs where, as a file of `sip-zones` says it. */
export interface Topology {
  readonly edges: readonly EdgeTopology[];
  /** Offsets to the port base. */
  readonly http: { readonly plain: number; readonly tls: number };
  readonly mediaPorts: PortRange;
  readonly zones: readonly ZoneTopology[];
  readonly state: StateTopology;
}

export interface EdgeTopology {
  readonly id: EdgeId;
  readonly listeners: readonly ListenerTopology[];
}

export interface ListenerTopology {
  readonly transport: TransportName;
  readonly offset: number;
  /** A plain-SIP door: the addresses of the proxies that come in here, and nobody else does. */
  readonly door?: readonly string[] | undefined;
}

export interface ZoneTopology {
  readonly id: ZoneId;
  readonly twin: ZoneId;
  readonly switches: number;
  readonly media: number;
  readonly capacity: { readonly calls: number; readonly callsPerSecond: number; readonly mediaPorts: number };
}

/** Both ends belong to it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** RTP and RTCP for each of two phones. */
const PORTS_PER_CALL = 4;

/**
 * Reads a topology file. Every mistake is named with its line.
 * @param options.mediaPorts in place of the file's range; a narrow one lowers the zones' capacity
 */
export async function readTopology(
  file: string,
  options: { readonly mediaPorts?: PortRange; readonly portBase?: number } = {},
): Promise<Result<Topology, Problem[]>> {
  const reader = await loadYamlReader();
  const { list, matching, oneOf, readYamlFile, record, wholeNumber } = reader;
  const name = (max: number) =>
    matching(
      new RegExp(`^[a-z][a-z0-9-]{0,${max - 1}}$`),
      `a name of lower-case letters, digits and hyphens, at most ${max}`,
    );
  const offset = () => wholeNumber(0, 999);
  const schema = record({
    edges: list(
      record({
        id: name(20),
        listeners: list(
          record({
            transport: oneOf(['udp', 'tcp', 'tls', 'ws', 'wss']),
            offset: offset(),
            door: list(matching(/^[0-9a-fA-F.:]{2,45}$/, 'an IP address'), 64)
              .min(1, 'must name at least one proxy')
              .optional(),
          }),
          20,
        ).min(1, 'must name at least one listener'),
      }),
      8,
    ).min(1, 'must name at least one edge'),
    http: record({ plain: offset(), tls: offset() }),
    'media-ports': matching(/^[0-9]{1,5}-[0-9]{1,5}$/, 'a range such as 16384-32767'),
    zones: list(
      record({
        // The ids of switches are the zone's with a number.
        id: matching(/^[a-z]{1,8}$/, 'one to eight lower-case letters'),
        twin: matching(/^[a-z]{1,8}$/, 'the id of another zone'),
        switches: wholeNumber(1, 64),
        media: wholeNumber(1, 16),
        capacity: record({
          calls: wholeNumber(1, 1_000_000),
          'calls-per-second': wholeNumber(1, 100_000),
          'media-ports': wholeNumber(2, 65_536),
        }),
      }),
      16,
    ).min(1, 'must name at least one zone'),
    state: stateSchema(reader).optional(),
  });

  const read = await readYamlFile(file, schema);
  const problems: Problem[] = [...read.problems];
  const report = (path: readonly (string | number)[], message: string): void => {
    problems.push({ file, line: read.lineOf(path), message });
  };
  const { edges = [], http, zones = [], 'media-ports': rangeText } = read.sound;

  const state = await readState(file, read.sound.state, report);
  const edgeIds = new Map<string, number>();
  /** Offset and kind of port → who has it. TCP and UDP do not collide. */
  const ports = new Map<string, string>();
  const claimPort = (
    kind: 'tcp' | 'udp',
    at: number,
    who: string,
    path: readonly (string | number)[],
  ): void => {
    const key = `${kind} ${at}`;
    const holder = ports.get(key);
    if (holder !== undefined) report(path, `offset ${at} is taken by both ${holder} and ${who}`);
    else ports.set(key, who);
    if (options.portBase !== undefined && options.portBase + at > 65_535)
      report(path, `port base ${options.portBase} and offset ${at} make a port above 65535`);
  };
  edges.forEach((edge, index) => {
    if (!edge) return;
    claim(edgeIds, edge.id, index, (first) =>
      report(
        ['edges', index, 'id'],
        `edge "${edge.id}" is given twice, first in line ${read.lineOf(['edges', first, 'id'])}`,
      ),
    );
    (edge.listeners ?? []).forEach((listener, at) => {
      if (listener?.offset === undefined || listener.transport === undefined) return;
      const path = ['edges', index, 'listeners', at, 'door'];
      if (listener.door !== undefined && listener.transport !== 'udp')
        report(path, `a door listens on udp, not on ${listener.transport}`);
      for (const proxy of listener.door ?? [])
        if (proxy !== undefined && isIP(proxy) === 0) report(path, `"${proxy}" is no IP address`);
      const kind = listener.transport === 'udp' ? 'udp' : 'tcp';
      claimPort(kind, Number(listener.offset), `${listener.transport} of edge "${edge.id}"`, [
        'edges',
        index,
        'listeners',
        at,
      ]);
    });
  });
  for (const key of ['plain', 'tls'] as const)
    if (http?.[key] !== undefined) claimPort('tcp', Number(http[key]), `http ${key}`, ['http', key]);

  const zoneIds = new Map<string, number>();
  zones.forEach((zone, index) => {
    if (!zone) return;
    claim(zoneIds, zone.id, index, (first) =>
      report(
        ['zones', index, 'id'],
        `zone "${zone.id}" is given twice, first in line ${read.lineOf(['zones', first, 'id'])}`,
      ),
    );
  });
  zones.forEach((zone, index) => {
    const wrong = zone === undefined ? undefined : wrongTwin(zone, zones, zoneIds);
    if (wrong !== undefined) report(['zones', index, 'twin'], wrong);
  });

  const given = rangeText === undefined ? undefined : parsePortRange(rangeText);
  const range = options.mediaPorts ?? given;
  if (rangeText !== undefined && given === undefined)
    report(['media-ports'], `"media-ports" must go upwards between 1024 and 65535, not "${rangeText}"`);
  const available = range && mediaPortsOf(range, Math.max(1, zones.length), 0);
  const share = available ? available.to - available.from + 1 : 0;
  if (range !== undefined && zones.length > 0 && options.mediaPorts !== undefined) {
    if (share < PORTS_PER_CALL * 2)
      problems.push({
        file,
        line: 0,
        message: `the media ports ${range.from}-${range.to} are too few for ${zones.length} zones`,
      });
  } else if (range !== undefined && zones.length > 0) {
    zones.forEach((zone, index) => {
      const path = ['zones', index, 'capacity', 'media-ports'];
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
  }
  if (problems.length > 0 || read.value === undefined || range === undefined)
    return failed(problems.sort((a, b) => a.line - b.line));

  const { value } = read;
  return ok({
    edges: value.edges.map((edge) => ({ id: edge.id as EdgeId, listeners: edge.listeners })),
    http: value.http,
    mediaPorts: range,
    state,
    zones: value.zones.map((zone) => ({
      id: zone.id as ZoneId,
      twin: zone.twin as ZoneId,
      switches: zone.switches,
      media: zone.media,
      // A range given on the command line may be narrower than the file's capacity needs: then it is the range that limits.
      capacity: {
        calls: Math.min(zone.capacity.calls, Math.floor(share / PORTS_PER_CALL)),
        callsPerSecond: zone.capacity['calls-per-second'],
        mediaPorts: Math.min(zone.capacity['media-ports'], share),
      },
    })),
  });
}

/** Twins name each other. */
function wrongTwin(
  { id, twin }: { id?: string; twin?: string },
  zones: readonly ({ twin?: string } | undefined)[],
  ids: ReadonlyMap<string, number>,
): string | undefined {
  if (id === undefined || twin === undefined) return undefined;
  if (twin === id) return `zone "${id}" is named as its own twin`;
  const at = ids.get(twin);
  if (at === undefined) return `the twin "${twin}" of zone "${id}" is not among the zones`;
  const back = zones[at]?.twin;
  return back === undefined || back === id
    ? undefined
    : `zone "${id}" names "${twin}" as its twin, but that names "${back}": a pair names each other`;
}

function claim(
  held: Map<string, number>,
  id: string | undefined,
  index: number,
  taken: (first: number) => void,
): void {
  if (id === undefined) return;
  const first = held.get(id);
  if (first === undefined) held.set(id, index);
  else taken(first);
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
