import { readFile } from 'node:fs/promises';
import { type EdgeId, failed, ok, type Result, type ZoneId } from '../base/index.ts';
import { loadYamlReader, type Places, type Problem } from '../directory/index.ts';
import type { TransportName } from '../link/index.ts';
import type { PortRange } from './port-range.ts';
import {
  type CheckContext,
  checkDataCentres,
  checkInstallation,
  type LooseInstallation,
  Names,
  type Path,
  PORTS_PER_CALL,
  reportTo,
  shareOf,
} from './topology-checks.ts';
import { checkMachines } from './topology-machines.ts';
import { checkRtpengines, type NgAddress, parseNgAddress } from './topology-rtpengine.ts';
import { topologySchemas } from './topology-schema.ts';
import { readState, type StateTopology } from './topology-state.ts';

export { mediaPortsOf, type PortRange, parsePortRange } from './port-range.ts';

/** What runs in one place, as a file of `sip-zones` says it. */
export interface Topology {
  /** Empty where everything runs on one machine, which then needs no name. */
  readonly machines: readonly MachineTopology[];
  readonly edges: readonly EdgeTopology[];
  /** Offsets to the port base. */
  readonly http: { readonly plain: number; readonly tls: number };
  readonly mediaPorts: PortRange;
  /** How long an established call waits for a phone that no connection leads to, seconds; absent: 60. */
  readonly keepLostPhonesSec?: number;
  readonly marking: MarkingTopology;
  readonly zones: readonly ZoneTopology[];
  readonly state: StateTopology;
  /** Absent in a file of one data centre. */
  readonly dataCentre?: DataCentreTopology;
  /** Regions and zones of the whole file. */
  readonly places: Places;
}

/** Differentiated services code points (RFC 2474); 0: best effort, as if it were not marked. */
export interface MarkingTopology {
  readonly media: number;
  readonly signalling: number;
}

/** One machine of several, on which `twinline up --machine ID` starts what is its. */
export interface MachineTopology {
  readonly id: string;
  /** Where the others reach its links. */
  readonly address: string;
  /** The first port of its links; as many follow as there are processes. */
  readonly linkPorts: number;
  /** The interface on which addresses of media are put and taken away. */
  readonly mediaDevice?: string;
  /** In place of that: a program that does it, called with `take` or `leave` and the address. */
  readonly mediaCommand?: readonly string[];
}

export interface EdgeTopology {
  readonly id: EdgeId;
  readonly machine?: string;
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
  readonly machine?: string;
  /** Of each media process: an address of its own, which goes over to the twin's machine with its streams. */
  readonly mediaAddresses?: readonly string[];
  readonly switches: number;
  readonly media: number;
  /** Of each media process: where the rtpengine takes commands that carries its streams. Absent: it carries them itself. */
  readonly rtpengine?: readonly NgAddress[];
  /** The program that is to be started there, with further options; absent: somebody else starts it. */
  readonly rtpengineCommand?: readonly string[];
  readonly capacity: { readonly calls: number; readonly callsPerSecond: number; readonly mediaPorts: number };
}

/** One data centre of several (PH-ZONE-09). */
export interface DataCentreTopology {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly secondary: string;
  readonly services: readonly ('phone' | 'contact-centre')[];
  /** Where the others reach it. */
  readonly meet: MeetingPlace;
  /** The others that calls go to and come from, by their edges' places. */
  readonly trunks: readonly TrunkTopology[];
  /** Whom it meets: its secondary, and those whose secondary it is. */
  readonly peers: readonly { readonly id: string; readonly meet: MeetingPlace }[];
  readonly failover: FailoverTimes;
}

export interface MeetingPlace {
  readonly host: string;
  readonly port: number;
  /** Where the first edge takes calls of the others, the next one at the next port; absent: there are no calls between them. */
  readonly sip?: number | undefined;
}

export interface TrunkTopology {
  readonly id: string;
  readonly places: readonly { readonly host: string; readonly port: number }[];
}

export interface FailoverTimes {
  /** For how long a phone is registered at most. */
  readonly registrationSec: number;
  /** How long the others do not answer before they are lost. */
  readonly lostAfterSec: number;
}

/**
 * A phone that has just registered asks again before its time is over, waits up to 32 s for a server that is gone (64·T1, RFC 3261
 * §17.1.2.2), and is then at the secondary: within the 60 s of PH-ZONE-10.
 */
/** RFC 4594 §4.1, §4.2: telephony, signalling. */
const EF = 46;
const CS3 = 24;
const REGISTRATION_SEC = 28;
const LOST_AFTER_SEC = 10;

export interface TopologyOptions {
  /** In place of the file's range; a narrow one lowers the zones' capacity. */
  readonly mediaPorts?: PortRange;
  readonly portBase?: number;
}

/** Reads a topology file: what runs in each of its data centres. Every mistake is named with its line. */
export async function readTopologies(
  file: string,
  options: TopologyOptions = {},
): Promise<Result<Topology[], Problem[]>> {
  const { readYamlFile } = await loadYamlReader();
  const schemas = await topologySchemas();
  const text = await readFile(file, 'utf8').catch(() => '');
  if (!/^data-centres:/m.test(text)) {
    const read = await readYamlFile(file, schemas.one);
    const context = contextOf(file, read, options);
    const { range, state } = await checkOne(read.sound, [], new Names('zone', context), context);
    if (context.problems.length > 0 || read.value === undefined || range === undefined)
      return failed(inOrder(context.problems));
    const places = {
      dataCentres: [{ id: 'local', zones: read.value.zones.map(({ id }) => id) }],
      regions: [],
    };
    return ok([topologyOf(read.value, range, state, places)]);
  }
  const read = await readYamlFile(file, schemas.several);
  const context = contextOf(file, read, options);
  const dataCentres = read.sound['data-centres'] ?? [];
  const zoneNames = new Names('zone', context);
  const checked = await Promise.all(
    dataCentres.map((one, index) => checkOne(one ?? {}, ['data-centres', index], zoneNames, context)),
  );
  checkDataCentres(dataCentres, read.sound.regions ?? [], context);
  dataCentres.forEach((one, index) => {
    if (one?.machines !== undefined)
      reportTo(context)(
        ['data-centres', index, 'machines'],
        '"machines" belong to a file of one data centre; of several each is one machine',
      );
  });
  if (context.problems.length > 0 || read.value === undefined) return failed(inOrder(context.problems));

  const { value } = read;
  const all = value['data-centres'];
  const places: Places = {
    dataCentres: all.map(({ id, region, secondary, zones }) => ({
      id,
      region,
      secondary,
      zones: zones.map((zone) => zone.id),
    })),
    regions: value.regions.map(({ id, locked }) => ({ id, locked: locked ?? false })),
  };
  const failover = {
    registrationSec: value.failover?.['registration-sec'] ?? REGISTRATION_SEC,
    lostAfterSec: value.failover?.['lost-after-sec'] ?? LOST_AFTER_SEC,
  };
  return ok(
    all.map((one, index) => {
      const { id, name, region, secondary, services = ['phone' as const], meet } = one;
      const peers = all
        .filter((other) => other.id === secondary || other.secondary === id)
        .map((other) => ({ id: other.id, meet: other.meet }));
      return {
        ...topologyOf(one, checked[index]!.range!, checked[index]!.state, places),
        dataCentre: {
          ...{ id, name, region, secondary, services, meet, peers, failover },
          trunks: meet.sip === undefined ? [] : all.filter((other) => other.id !== id).flatMap(trunkTo),
        },
      };
    }),
  );
}

/** One data centre's part. `dataCentre` may be left out where the file describes but one. */
export async function readTopology(
  file: string,
  options: TopologyOptions & { readonly dataCentre?: string } = {},
): Promise<Result<Topology, Problem[]>> {
  const read = await readTopologies(file, options);
  if (!read.ok) return read;
  const { dataCentre: wanted } = options;
  const refuse = (message: string) => failed([{ file, line: 0, message }]);
  const [first] = read.value;
  if (first?.dataCentre === undefined) {
    return wanted === undefined
      ? ok(first!)
      : refuse(`this file describes one data centre and no "${wanted}": leave --dc out`);
  }
  const ids = read.value.map(({ dataCentre }) => dataCentre?.id).join(', ');
  if (wanted === undefined)
    return refuse(`this file describes several data centres (${ids}): say with --dc which of them this is`);
  const found = read.value.find(({ dataCentre }) => dataCentre?.id === wanted);
  return found ? ok(found) : refuse(`there is no data centre "${wanted}" here; there is: ${ids}`);
}

function trunkTo({
  id,
  meet: { host, sip },
  edges,
}: {
  readonly id: string;
  readonly meet: MeetingPlace;
  readonly edges: readonly unknown[];
}): TrunkTopology[] {
  if (sip === undefined) return [];
  return [{ id, places: edges.map((_, at) => ({ host, port: sip + at })) }];
}

async function checkOne(
  said: LooseInstallation & { readonly state?: Parameters<typeof readState>[1] },
  at: Path,
  zoneNames: Names,
  context: CheckContext,
): Promise<{ range: PortRange | undefined; state: StateTopology }> {
  const range = checkInstallation(said, at, zoneNames, context);
  const report = reportTo(context);
  const state = await readState(context.file, said.state, (path, message) =>
    report([...at, ...path], message),
  );
  checkMachines(said, state, at, context);
  checkRtpengines(said, at, context);
  return { range, state };
}

function contextOf(
  file: string,
  read: { readonly problems: readonly Problem[]; lineOf(path: readonly (string | number)[]): number },
  options: TopologyOptions,
): CheckContext {
  return { file, problems: [...read.problems], lineOf: (path) => read.lineOf(path), ...options };
}

const inOrder = (problems: readonly Problem[]): Problem[] => [...problems].sort((a, b) => a.line - b.line);

type Installation = import('zod').infer<Awaited<ReturnType<typeof topologySchemas>>['one']>;

function topologyOf(value: Installation, range: PortRange, state: StateTopology, places: Places): Topology {
  const share = shareOf(range, value.zones.length);
  return {
    machines: (value.machines ?? []).map((machine) => ({
      id: machine.id,
      address: machine.address,
      linkPorts: machine['link-ports'],
      ...(machine['media-device'] !== undefined && { mediaDevice: machine['media-device'] }),
      ...(machine['media-command'] !== undefined && { mediaCommand: machine['media-command'] }),
    })),
    edges: value.edges.map(({ id, machine, listeners }) => ({
      id: id as EdgeId,
      ...(machine !== undefined && { machine }),
      listeners,
    })),
    http: value.http,
    mediaPorts: range,
    ...(value['keep-lost-phones'] !== undefined && { keepLostPhonesSec: value['keep-lost-phones'] }),
    marking: { media: value.marking?.media ?? EF, signalling: value.marking?.signalling ?? CS3 },
    state,
    zones: value.zones.map((zone) => ({
      id: zone.id as ZoneId,
      twin: zone.twin as ZoneId,
      ...(zone.machine !== undefined && { machine: zone.machine }),
      ...(zone['media-addresses'] !== undefined && { mediaAddresses: zone['media-addresses'] }),
      ...(zone.rtpengine !== undefined && {
        rtpengine: zone.rtpengine.flatMap((text) => parseNgAddress(text) ?? []),
      }),
      ...(zone['rtpengine-command'] !== undefined && { rtpengineCommand: zone['rtpengine-command'] }),
      switches: zone.switches,
      media: zone.media,
      // A range given on the command line may be narrower than the file's capacity needs: then it is the range that limits.
      capacity: {
        calls: Math.min(zone.capacity.calls, Math.floor(share / PORTS_PER_CALL)),
        callsPerSecond: zone.capacity['calls-per-second'],
        mediaPorts: Math.min(zone.capacity['media-ports'], share),
      },
    })),
    places,
  };
}
