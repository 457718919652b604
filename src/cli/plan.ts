import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import type { EdgeId, MediaId, SwitchId, ZoneId } from '../base/index.ts';
import type { DataCentreOptions } from '../control/index.ts';
import type { Places } from '../directory/index.ts';
import type { TransportName } from '../link/index.ts';
import {
  type MachineTopology,
  type MarkingTopology,
  mediaPortsOf,
  type PortRange,
  type Topology,
  type TrunkTopology,
} from './topology.ts';
import type { NgAddress } from './topology-rtpengine.ts';
import type { StateTopology } from './topology-state.ts';

/**
 * What the launcher decided once and every process of the installation reads: who there is and where. Holds no secret. Written to
 * `DATA/run/plan.json`.
 */
export interface Plan {
  readonly v: 1;
  /** Absolute. */
  readonly data: string;
  /** Whose end ends everything. */
  readonly launcher: { readonly pid: number; readonly startTime: number };
  /** Which of several machines this is; absent where there is but one. */
  readonly machine?: string;
  readonly machines: readonly MachineTopology[];
  /** By what machines know each other: `ca.crt`, `machine.crt`, `machine.key`. Absolute. */
  readonly machineCertificates: string;
  readonly edges: readonly PlannedEdge[];
  readonly zones: readonly PlannedZone[];
  readonly state: StateTopology;
  /** How long an established call waits for a phone that no connection leads to. */
  readonly keepLostPhoneMs?: number;
  /** Code points of what leaves us (PH-QOS-03). */
  readonly marking: MarkingTopology;
  /** Control's plain HTTP door: on loopback, whatever the SIP listeners bind. */
  readonly http: { readonly address: string; readonly port: number };
  /** Where RTP is received. */
  readonly mediaAddress: string;
  /** Absolute. */
  readonly configPath: string;
  /** Only this machine reaches us. */
  readonly loopbackOnly: boolean;
  readonly serverName: string;
  readonly logs: { readonly level: string; readonly toStderr: boolean };
  /** The zones and regions that a configuration may name. */
  readonly places: Places;
  /** Absent where there is but one. */
  readonly dataCentre?: DataCentreOptions & { readonly trunks: readonly TrunkTopology[] };
}

export interface PlannedEdge {
  readonly id: EdgeId;
  readonly machine?: string;
  readonly listeners: readonly PlannedListener[];
  /** Where it takes calls of other data centres. */
  readonly trunk?: { readonly address: string; readonly port: number; readonly reachedBy: string };
}

export interface PlannedListener {
  readonly transport: TransportName;
  readonly address: string;
  readonly port: number;
  /** What phones are told to reach us by, where we listen on every address. */
  readonly advertise?: string;
  /** Only these proxies come in. */
  readonly door?: readonly string[];
}

export interface PlannedZone {
  readonly id: ZoneId;
  readonly twin: ZoneId;
  readonly machine?: string;
  readonly switches: readonly SwitchId[];
  readonly media: readonly {
    readonly id: MediaId;
    readonly ports: PortRange;
    /** Its own, which goes over to the twin's machine with its streams. */
    readonly address?: string;
    /** Where the rtpengine takes commands that carries its streams. */
    readonly rtpengine?: NgAddress;
    readonly rtpengineCommand?: readonly string[];
  }[];
  readonly capacity: { readonly calls: number; readonly callsPerSecond: number; readonly mediaPorts: number };
}

export function makePlan(options: {
  readonly topology: Topology;
  readonly data: string;
  readonly launcher: Plan['launcher'];
  readonly portBase: number;
  /** The address to listen on, and what it is known by if it is every address. */
  readonly bind: { readonly address: string; readonly reachedBy: string };
  readonly configPath: string;
  readonly loopbackOnly: boolean;
  readonly version: string;
  readonly logs: Plan['logs'];
  /** By what data centres meet. Absolute. */
  readonly dcCertificates?: string;
  readonly machine?: string;
  readonly machineCertificates?: string;
}): Plan {
  const { topology, portBase, bind, loopbackOnly, dcCertificates = '', machine } = options;
  const { machineCertificates = '' } = options;
  const { places, dataCentre } = topology;
  const loopback = isIPv6(bind.address) ? '::1' : '127.0.0.1';
  return {
    v: 1,
    data: options.data,
    launcher: options.launcher,
    ...(machine !== undefined && { machine }),
    machines: topology.machines,
    machineCertificates,
    edges: topology.edges.map((edge, at) => ({
      id: edge.id,
      ...(edge.machine !== undefined && { machine: edge.machine }),
      ...(dataCentre?.meet.sip !== undefined && {
        trunk: {
          address: bind.address,
          port: dataCentre.meet.sip + at,
          reachedBy: dataCentre.meet.host,
        },
      }),
      listeners: edge.listeners.map(({ transport, offset, door }) => {
        const elsewhere =
          edge.machine === machine ? undefined : topology.machines.find(({ id }) => id === edge.machine);
        // What browsers send in clear text stays on this machine.
        const isLocal = transport === 'ws' && !loopbackOnly;
        const address = isLocal ? loopback : (elsewhere?.address ?? bind.address);
        return {
          transport,
          address,
          port: portBase + offset,
          ...(door !== undefined && { door }),
          ...(address === bind.address && bind.reachedBy !== bind.address && { advertise: bind.reachedBy }),
        };
      }),
    })),
    zones: topology.zones.map((zone, index) => {
      const share = mediaPortsOf(topology.mediaPorts, topology.zones.length, index);
      return {
        id: zone.id,
        twin: zone.twin,
        ...(zone.machine !== undefined && { machine: zone.machine }),
        switches: Array.from({ length: zone.switches }, (_, at) => `${zone.id}${at + 1}` as SwitchId),
        media: Array.from({ length: zone.media }, (_, at) => ({
          // The usual single one goes by its zone's name.
          id: (zone.media === 1 ? zone.id : `${zone.id}${at + 1}`) as string as MediaId,
          ports: mediaPortsOf(share, zone.media, at),
          ...(zone.mediaAddresses && { address: zone.mediaAddresses[at]! }),
          ...(zone.rtpengine && { rtpengine: zone.rtpengine[at]! }),
          ...(zone.rtpengineCommand && { rtpengineCommand: zone.rtpengineCommand }),
        })),
        capacity: zone.capacity,
      };
    }),
    state: topology.state,
    ...(topology.keepLostPhonesSec !== undefined && { keepLostPhoneMs: topology.keepLostPhonesSec * 1000 }),
    marking: topology.marking,
    http: { address: loopback, port: portBase + topology.http.plain },
    mediaAddress: bind.reachedBy,
    configPath: options.configPath,
    loopbackOnly,
    serverName: `Twinline/${options.version}`,
    logs: options.logs,
    places,
    ...(dataCentre && {
      dataCentre: {
        places,
        dataCentre: dataCentre.id,
        secondary: dataCentre.secondary,
        meet: { address: bind.address, port: dataCentre.meet.port },
        peers: dataCentre.peers.map(({ id, meet: { host, port } }) => ({ id, host, port })),
        trunks: dataCentre.trunks,
        certificates: dcCertificates,
        ...dataCentre.failover,
      },
    }),
  };
}

export function readPlan(file: string): Plan {
  return JSON.parse(readFileSync(file, 'utf8')) as Plan;
}
