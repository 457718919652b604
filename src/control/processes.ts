import { readdirSync, readFileSync } from 'node:fs';
import { TwinlineError } from '../base/index.ts';
import type { ProcessRef } from '../link/index.ts';
import { processStartTime } from '../native/index.ts';

/** A process of this installation as /proc shows it, whether or not it answers. */
export interface FoundProcess extends ProcessRef {
  /** Stopped by a signal. */
  readonly frozen: boolean;
  readonly rssKib: number;
}

/**
 * The processes whose command line reads `… run-<role> <id> <planFile>`. The kernel's list holds also what is frozen or has lost its
 * supervisor; only processes of our own user can be signalled anyway.
 */
export function findProcesses(planFile: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const at = words.findIndex((word) => word.startsWith('run-'));
      if (at === -1 || words[at + 2] !== planFile) continue;
      const { state, rssKib } = readStat(pid);
      if (state === 'Z' || state === 'X') continue;
      found.push({
        role: words[at]!.slice('run-'.length),
        id: words[at + 1]!,
        pid,
        startTime: processStartTime(pid),
        frozen: state === 'T',
        rssKib,
      });
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

function readStat(pid: number): { state: string; rssKib: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? 'X', rssKib: Number(fields[21]) * PAGE_KIB };
}

const PAGE_KIB = 4;

export interface ZoneShape {
  readonly id: string;
  readonly switches: readonly string[];
  readonly media: readonly string[];
}

export type Target = { readonly role: 'zone' | 'switch' | 'media' | 'edge' | 'control'; readonly id: string };

/** `zone a`, `switch a1`, `media a`, `edge edge1`, or `edge` when there is but one. Throws `bad_target` with what there is. */
export function parseTarget(text: string, zones: readonly ZoneShape[], edges: readonly string[]): Target {
  const [role = '', id = '', ...rest] = text.trim().split(/\s+/);
  const known: Readonly<Record<Target['role'], readonly string[]>> = {
    zone: zones.map((zone) => zone.id),
    switch: zones.flatMap((zone) => zone.switches),
    media: zones.flatMap((zone) => zone.media),
    edge: edges,
    control: ['control'],
  };
  if (rest.length === 0 && Object.hasOwn(known, role)) {
    const ids = known[role as Target['role']];
    if (ids.includes(id)) return { role: role as Target['role'], id };
    if (id === '' && ids.length === 1) return { role: role as Target['role'], id: ids[0]! };
  }
  const all = Object.entries(known)
    .flatMap(([one, ids]) => (one === 'control' ? [one] : ids.map((each) => `${one} ${each}`)))
    .join(', ');
  throw new TwinlineError('bad_target', `"${text}" names nothing here; there is: ${all}`);
}

/** Throws `elsewhere` for what runs on another machine: processes are signalled and started where they run. */
export function checkHere(
  { role, id }: Target,
  zones: readonly ZoneShape[],
  elsewhere: ReadonlyMap<string, string> = new Map(),
): void {
  const holder =
    role === 'switch' || role === 'media'
      ? zones.find((zone) => (role === 'switch' ? zone.switches : zone.media).includes(id))?.id
      : undefined;
  const machine = elsewhere.get(holder === undefined ? `${role} ${id}` : `zone ${holder}`);
  if (machine !== undefined)
    throw new TwinlineError('elsewhere', `${role} ${id} runs on machine ${machine}: say this there`);
}

/** A zone is its supervisor and all below it. The supervisor comes first, so that it restarts nothing. */
export function processesOf(
  target: Target,
  zones: readonly ZoneShape[],
  found: readonly FoundProcess[],
): FoundProcess[] {
  if (target.role !== 'zone') return found.filter(({ role, id }) => role === target.role && id === target.id);
  const zone = zones.find(({ id }) => id === target.id);
  const rank = (role: string): number => (role === 'zone' ? 0 : role === 'switch' ? 1 : 2);
  return found
    .filter(
      ({ role, id }) =>
        (role === 'zone' && id === target.id) ||
        (role === 'switch' && zone?.switches.includes(id)) ||
        (role === 'media' && zone?.media.includes(id)),
    )
    .sort((a, b) => rank(a.role) - rank(b.role));
}
