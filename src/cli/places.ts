import {
  type CredentialFiles,
  type LinkCredentials,
  type LinkPlace,
  type Peer,
  type RemoteDoor,
  readCredentialFiles,
} from '../link/index.ts';
import { edgeSocket, mediaSocket, mirrorSocket, switchSocket, zoneSocket } from './paths.ts';
import type { Plan } from './plan.ts';

/** What listens for links. `mirror`: where a media process stands by for its twin. */
export type Listening = 'zone' | 'switch' | 'media' | 'mirror' | 'edge';

const SOCKETS = {
  zone: zoneSocket,
  switch: switchSocket,
  media: mediaSocket,
  mirror: mirrorSocket,
  edge: edgeSocket,
} as const;

type PlanParts = Pick<Plan, 'data' | 'machine' | 'machines' | 'machineCertificates' | 'zones' | 'edges'>;

/** How a process of this machine reaches that one: by its socket, or on another machine by mutual TLS. */
export function placeOf(plan: PlanParts, role: Listening, id: string): LinkPlace {
  const where = whereIs(plan, role, id);
  if (where === undefined || where.machine === plan.machine) return SOCKETS[role](plan.data, id);
  return {
    host: where.host,
    port: where.port,
    credentials: () => readMachineCredentials(plan.machineCertificates),
    expect: { role: role === 'mirror' ? 'media' : role, id },
    certificate: certificateName(where.machine),
  };
}

/** Where a process of this machine lets those of others in; undefined where there is but one machine. */
export function doorOf(plan: PlanParts, role: Listening, id: string): RemoteDoor | undefined {
  const where = whereIs(plan, role, id);
  if (where === undefined) return undefined;
  return {
    host: where.host,
    port: where.port,
    credentials: () => readMachineCredentials(plan.machineCertificates),
    certificateOf: (peer) => {
      const machine = machineOf(plan, peer);
      return machine === undefined || machine === plan.machine ? undefined : certificateName(machine);
    },
  };
}

/** Whether it is started here. */
export const isHere = (plan: PlanParts, { machine }: { readonly machine?: string }): boolean =>
  machine === plan.machine;

const certificateName = (machine: string): string => `machine:${machine}`;

/** A process's machine by its greeting. Every machine has a control, which says with its id which one it is. */
function machineOf({ zones, edges, machines }: PlanParts, { role, id }: Peer): string | undefined {
  switch (role) {
    case 'control':
      return machines.find((machine) => `control-${machine.id}` === id)?.id;
    case 'edge':
      return edges.find((edge) => (edge.id as string) === id)?.machine;
    case 'zone':
      return zones.find((zone) => (zone.id as string) === id)?.machine;
    case 'switch':
      return zones.find(({ switches }) => (switches as readonly string[]).includes(id))?.machine;
    case 'media':
      return zones.find(({ media }) => media.some((one) => (one.id as string) === id))?.machine;
    default:
      return undefined;
  }
}

interface Where {
  readonly machine: string;
  readonly host: string;
  readonly port: number;
}

/** Every machine reads the same topology, so all reckon the same ports: counted in the order of the file. */
function whereIs({ zones, edges, machines }: PlanParts, role: Listening, id: string): Where | undefined {
  const all: { role: Listening; id: string; machine: string | undefined }[] = [];
  for (const { id: zone, machine, switches, media } of zones) {
    all.push({ role: 'zone', id: zone, machine });
    for (const one of switches) all.push({ role: 'switch', id: one, machine });
    for (const one of media) {
      all.push({ role: 'media', id: one.id, machine });
      all.push({ role: 'mirror', id: one.id, machine });
    }
  }
  for (const { id: edge, machine } of edges) all.push({ role: 'edge', id: edge, machine });
  const found = all.find((one) => one.role === role && one.id === id);
  const machine = machines.find((one) => one.id === found?.machine);
  if (found === undefined || machine === undefined) return undefined;
  const index = all.filter((one) => one.machine === machine.id).indexOf(found);
  return { machine: machine.id, host: machine.address, port: machine.linkPorts + index };
}

/** TCP ports of this machine's links. */
export function linkPortsOf(plan: PlanParts): { readonly address: string; readonly port: number }[] {
  const here = <T extends { readonly machine?: string }>(all: readonly T[]): T[] =>
    plan.machine === undefined ? [] : all.filter((one) => one.machine === plan.machine);
  const named: [Listening, string][] = [
    ...here(plan.zones).flatMap(({ id, switches, media }): [Listening, string][] => [
      ['zone', id],
      ...switches.map((one): [Listening, string] => ['switch', one]),
      ...media.flatMap((one): [Listening, string][] => [
        ['media', one.id],
        ['mirror', one.id],
      ]),
    ]),
    ...here(plan.edges).map(({ id }): [Listening, string] => ['edge', id]),
  ];
  return named.map(([role, id]) => {
    const { host, port } = whereIs(plan, role, id)!;
    return { address: host, port };
  });
}

const MACHINE_FILES: CredentialFiles = { ca: 'ca.crt', cert: 'machine.crt', key: 'machine.key' };

/** Throws `machine_certificates`. */
export const readMachineCredentials = (directory: string): LinkCredentials =>
  readCredentialFiles(directory, MACHINE_FILES, {
    code: 'machine_certificates',
    why: 'machines know each other by certificates',
    page: 'docs/machines.md',
  });
