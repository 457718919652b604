import { isIP } from 'node:net';
import { type CheckContext, type LooseInstallation, Names, type Path, reportTo } from './topology-checks.ts';
import type { StateTopology } from './topology-state.ts';

/** What is wrong of an installation over several machines, or of one that only half says that it is. */
export function checkMachines(
  { machines, edges = [], zones = [] }: LooseInstallation,
  state: StateTopology,
  at: Path,
  context: CheckContext,
): void {
  const report = reportTo(context);
  const names = new Names('machine', context);
  const addresses = new Names('address', context);
  const takeAddress = (address: string | undefined, path: Path): void => {
    if (address !== undefined && isIP(address) === 0) report(path, `"${address}" is no IP address`);
    else addresses.claim(address, path);
  };
  machines?.forEach((machine, index) => {
    const path = [...at, 'machines', index];
    names.claim(machine?.id, [...path, 'id']);
    takeAddress(machine?.address, [...path, 'address']);
    if (machine?.['media-device'] !== undefined && machine['media-command'] !== undefined)
      report([...path, 'media-command'], 'give "media-device" or "media-command", not both');
  });
  const known = machines?.flatMap((machine) => machine?.id ?? []).join(', ') ?? '';
  const machineOf = (
    { machine, id }: { readonly machine?: string | undefined; readonly id?: string },
    what: string,
    path: Path,
  ) => {
    if (machines === undefined) {
      if (machine !== undefined)
        report([...path, 'machine'], `${what} "${id}" names a machine, but there is no list of "machines"`);
      return undefined;
    }
    if (machine === undefined) report([...path, 'id'], `${what} "${id}" names no machine (${known})`);
    const found = machines.find((one) => one?.id === machine);
    if (machine !== undefined && found === undefined)
      report(
        [...path, 'machine'],
        `the machine "${machine}" of ${what} "${id}" is not among them (${known})`,
      );
    return found;
  };
  edges.forEach((edge, index) => {
    if (edge !== undefined) machineOf(edge, 'edge', [...at, 'edges', index]);
  });
  zones.forEach((zone, index) => {
    if (zone === undefined) return;
    const path = [...at, 'zones', index];
    const machine = machineOf(zone, 'zone', path);
    const own = zone['media-addresses'];
    own?.forEach((address, which) => {
      takeAddress(address, [...path, 'media-addresses', which]);
    });
    if (machines === undefined) {
      if (own !== undefined)
        report([...path, 'media-addresses'], '"media-addresses" are for zones that name a machine');
      return;
    }
    if (machine === undefined) return;
    if (own === undefined || own.length !== Number(zone.media))
      report(
        [...path, own === undefined ? 'machine' : 'media-addresses'],
        `zone "${zone.id}" needs as many "media-addresses" as it has media processes (${zone.media}): each goes over to the twin's machine when its process dies`,
      );
    if (machine['media-device'] === undefined && machine['media-command'] === undefined)
      report(
        [...path, 'machine'],
        `machine "${machine.id}" has zone "${zone.id}" and must say by "media-device" or "media-command" how the address of media is moved`,
      );
    const twin = zones.find((one) => one?.id === zone.twin && one !== zone);
    if (twin?.machine === zone.machine)
      report(
        [...path, 'machine'],
        `zone "${zone.id}" and its twin "${zone.twin}" are on one machine: its death would take both`,
      );
    else if (state.engine === 'lmdb')
      report(
        [...path, 'machine'],
        `zone "${zone.id}" and its twin are on two machines: "state" must be engine redis, since LMDB is a file of one machine`,
      );
  });
  const host = state.engine === 'redis' ? state.place.server?.host : undefined;
  if (machines !== undefined && machines.length > 1 && isLoopback(host))
    report([...at, 'state', 'url'], `"url" names ${host}, which is another Redis on each machine`);
}

const isLoopback = (host: string | undefined): boolean =>
  host !== undefined && (host === 'localhost' || host === '::1' || host.startsWith('127.'));
