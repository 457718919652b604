import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import type { EdgeId, MediaId, SwitchId, ZoneId } from '../base/index.ts';
import type { DataCentreOptions } from '../control/index.ts';
import type { Places } from '../directory/index.ts';
import type { TransportName } from '../link/index.ts';
import { mediaPortsOf, type PortRange, type Topology } from './topology.ts';
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
  readonly edges: readonly { readonly id: EdgeId; readonly listeners: readonly PlannedListener[] }[];
  readonly zones: readonly PlannedZone[];
  readonly state: StateTopology;
  /** How long an established call waits for a phone that no connection leads to. */
  readonly keepLostPhoneMs?: number;
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
  readonly dataCentre?: DataCentreOptions;
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
  readonly switches: readonly SwitchId[];
  readonly media: readonly { readonly id: MediaId; readonly ports: PortRange }[];
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
}): Plan {
  const { topology, portBase, bind, loopbackOnly, dcCertificates = '' } = options;
  const { places, dataCentre } = topology;
  const loopback = isIPv6(bind.address) ? '::1' : '127.0.0.1';
  return {
    v: 1,
    data: options.data,
    launcher: options.launcher,
    edges: topology.edges.map((edge) => ({
      id: edge.id,
      listeners: edge.listeners.map(({ transport, offset, door }) => {
        // What browsers send in clear text stays on this machine.
        const address = transport === 'ws' && !loopbackOnly ? loopback : bind.address;
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
        switches: Array.from({ length: zone.switches }, (_, at) => `${zone.id}${at + 1}` as SwitchId),
        media: Array.from({ length: zone.media }, (_, at) => ({
          // The usual single one goes by its zone's name.
          id: (zone.media === 1 ? zone.id : `${zone.id}${at + 1}`) as string as MediaId,
          ports: mediaPortsOf(share, zone.media, at),
        })),
        capacity: zone.capacity,
      };
    }),
    state: topology.state,
    ...(topology.keepLostPhonesSec !== undefined && { keepLostPhoneMs: topology.keepLostPhonesSec * 1000 }),
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
        peers: dataCentre.peers.map(({ id, meet }) => ({ id, ...meet })),
        certificates: dcCertificates,
        ...dataCentre.failover,
      },
    }),
  };
}

export function readPlan(file: string): Plan {
  return JSON.parse(readFileSync(file, 'utf8')) as Plan;
}
