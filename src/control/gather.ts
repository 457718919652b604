import type { CallSummary, LadderEntry, TransportName, ZoneStatus } from '../link/index.ts';
import type { CallLadder, EdgeState, InstallationStatus, ZoneState } from './commands.ts';
import type { Links } from './links.ts';
import { type FoundProcess, findProcesses, type ZoneShape } from './processes.ts';

export interface Shape {
  readonly zones: readonly ZoneShape[];
  readonly edges: readonly string[];
  readonly planFile: string;
  /** What runs on other machines, as `zone b` or `edge edge2`, and on which. */
  readonly elsewhere?: ReadonlyMap<string, string>;
}

/** Asks everybody at once; who does not answer is shown as what the kernel says of it. */
export async function gatherStatus(
  shape: Shape,
  links: Links,
  countRegistrations: () => Promise<number>,
): Promise<InstallationStatus> {
  const found = findProcesses(shape.planFile);
  const [zones, edges, registrations] = await Promise.all([
    Promise.all(shape.zones.map((zone) => zoneState(zone, shape, links, found))),
    Promise.all(shape.edges.map((id) => edgeState(id, shape, links, found))),
    countRegistrations().catch(() => undefined),
  ]);
  const control = found.find(({ role }) => role === 'control');
  return {
    zones,
    edges,
    control: { pid: control?.pid ?? process.pid, rssKib: control?.rssKib ?? 0 },
    calls: zones.reduce((sum, zone) => sum + zone.calls, 0),
    // -1: the state cannot be asked now.
    registrations: registrations ?? -1,
  };
}

/** On another machine a process is there when it is connected. */
function findProcess(
  role: 'zone' | 'edge',
  id: string,
  { elsewhere }: Shape,
  links: Links,
  found: readonly FoundProcess[],
): Pick<FoundProcess, 'pid' | 'frozen' | 'rssKib'> | undefined {
  if (elsewhere?.has(`${role} ${id}`) !== true)
    return found.find((one) => one.role === role && one.id === id);
  const pid = links.channel(role, id)?.peer.pid;
  return pid === undefined ? undefined : { pid, frozen: false, rssKib: 0 };
}

async function zoneState(
  zone: ZoneShape,
  shape: Shape,
  links: Links,
  found: readonly FoundProcess[],
): Promise<ZoneState> {
  const supervisor = findProcess('zone', zone.id, shape, links, found);
  if (supervisor !== undefined && !supervisor.frozen) {
    const answer = await links.tryAsk<ZoneStatus>('zone', zone.id, 'status', {});
    if (answer !== undefined) return { ...answer, pid: supervisor.pid };
  }
  return {
    id: zone.id as ZoneStatus['id'],
    state: supervisor === undefined ? 'down' : supervisor.frozen ? 'frozen' : 'silent',
    pid: supervisor?.pid ?? 0,
    loadPercent: 0,
    switches: [],
    media: [],
    calls: 0,
    twinUp: false,
  };
}

/** What we read of the edge's own status. */
interface EdgeAnswer {
  readonly listeners: readonly { transport: TransportName; address: string; port: number }[];
  readonly flows: Readonly<Partial<Record<TransportName, number>>>;
  readonly zones: readonly {
    readonly id: string;
    readonly open: boolean;
    readonly switches: readonly unknown[];
  }[];
}

async function edgeState(
  id: string,
  shape: Shape,
  links: Links,
  found: readonly FoundProcess[],
): Promise<EdgeState> {
  const running = findProcess('edge', id, shape, links, found);
  const answer =
    running === undefined || running.frozen
      ? undefined
      : await links.tryAsk<EdgeAnswer>('edge', id, 'status', {});
  const open = answer?.zones.filter((zone) => zone.open && zone.switches.length > 0) ?? [];
  return {
    id,
    state: answer ? 'up' : running === undefined ? 'down' : running.frozen ? 'frozen' : 'silent',
    pid: running?.pid ?? 0,
    rssKib: running?.rssKib ?? 0,
    listeners: answer?.listeners ?? [],
    flows: answer?.flows ?? {},
    openZones: open.map((zone) => zone.id),
  };
}

/** Every call once: while a call changes hands, two switches may name it, and the one that has it later counts. */
export async function gatherCalls(shape: Shape, links: Links): Promise<CallSummary[]> {
  const answers = await askSwitches<{ calls: CallSummary[] }>(shape, links, 'calls', {});
  const calls = new Map(answers.flatMap(({ calls }) => calls).map((call) => [call.id, call]));
  return [...calls.values()].sort((a, b) => a.since - b.since);
}

export async function gatherLadder(shape: Shape, links: Links, call: string): Promise<CallLadder> {
  const answers = await askSwitches<{ entries: LadderEntry[] }>(shape, links, 'ladder', { call });
  return { call, entries: answers.flatMap(({ entries }) => entries).sort((a, b) => a.utcMs - b.utcMs) };
}

async function askSwitches<Reply>(shape: Shape, links: Links, kind: string, data: unknown): Promise<Reply[]> {
  const ids = shape.zones.flatMap((zone) => zone.switches);
  const answers = await Promise.all(ids.map((id) => links.tryAsk<Reply>('switch', id, kind, data)));
  return answers.filter((answer) => answer !== undefined);
}
