import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export type Role =
  | 'launcher'
  | 'control'
  | 'supervisor'
  | 'edge'
  | 'switch'
  | 'media'
  | 'rtpengine'
  | 'server';

export interface ServerProcess {
  readonly pid: number;
  readonly role: Role;
  /** `a1`; of another server's process its command. */
  readonly id: string;
}

/** The ticks that /proc counts in: 100 a second nearly everywhere. */
const TICK_US = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** `run-edge edge1` and its like, as the launcher starts them. */
const ROLES: Readonly<Record<string, Role>> = {
  'run-control': 'control',
  'run-edge': 'edge',
  'run-media': 'media',
  'run-switch': 'switch',
  'run-zone': 'supervisor',
};

/** An installation's processes, read from the process tree below its launcher. */
export function processesBelow(launcher: number): ServerProcess[] {
  const found: ServerProcess[] = [];
  const open = [launcher];
  for (let at = 0; at < open.length; at++) {
    const pid = open[at]!;
    const words = commandOf(pid);
    if (words.length === 0) continue;
    const verb = words.findIndex((word) => Object.hasOwn(ROLES, word));
    const role = path.basename(words[0]!) === 'rtpengine' ? 'rtpengine' : 'launcher';
    found.push(
      verb < 0 ? { pid, role, id: role } : { pid, role: ROLES[words[verb]!]!, id: words[verb + 1] ?? '' },
    );
    open.push(...childrenOf(pid));
  }
  return found;
}

/** Processes of any server, named by the user. Throws if one is not there. */
export function processesNamed(pids: readonly number[]): ServerProcess[] {
  return pids.map((pid) => {
    const [program] = commandOf(pid);
    if (program === undefined) throw new Error(`--pids names ${pid}, and there is no such process`);
    return { pid, role: 'server', id: program.split('/').at(-1)! };
  });
}

const commandOf = (pid: number): string[] => read(`/proc/${pid}/cmdline`).split('\0').filter(Boolean);

/** A child belongs to the thread that started it. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // The process has gone.
    return '';
  }
}

/** User and system time of all its threads so far, in steps of a tick; undefined of one that is gone. */
export function cpuUs(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === '') return undefined;
  // The second field is the program's name in brackets and may hold anything.
  const fields = stat.replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Of a process that is gone: 0. */
export function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

/** What is shared counts for each sharer by its part. */
export function proportionalKib(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

export interface Sample {
  readonly atMs: number;
  /** Without those that are gone. */
  readonly cpuUs: ReadonlyMap<number, number>;
}

export function sample(pids: readonly number[]): Sample {
  const used = new Map<number, number>();
  for (const pid of pids) {
    const us = cpuUs(pid);
    if (us !== undefined) used.set(pid, us);
  }
  return { atMs: performance.now(), cpuUs: used };
}

export interface Used {
  readonly durationMs: number;
  readonly totalUs: number;
  readonly byRole: ReadonlyMap<Role, number>;
}

/** What the processes used between two samples. Throws if one ended in between: then nothing can be said of any. */
export function usedBetween(processes: readonly ServerProcess[], from: Sample, to: Sample): Used {
  const byRole = new Map<Role, number>();
  let totalUs = 0;
  for (const { pid, role, id } of processes) {
    const [before, after] = [from.cpuUs.get(pid), to.cpuUs.get(pid)];
    if (before === undefined || after === undefined)
      throw new Error(`${role} ${id} (pid ${pid}) ended while it was measured; its log says why`);
    const us = after - before;
    byRole.set(role, (byRole.get(role) ?? 0) + us);
    totalUs += us;
  }
  return { durationMs: to.atMs - from.atMs, totalUs, byRole };
}

/** Above this the generator itself may be what is measured. */
const BUSY_GENERATOR_PERCENT = 70;

/** Watches what the generator's processes use; `peakPercent` is of one core, the busiest process alone. */
export class GeneratorWatch {
  readonly #pids: readonly number[];
  #from: Sample;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#from = sample(pids);
  }

  restart(): void {
    this.#from = sample(this.#pids);
  }

  percent(): number {
    const to = sample(this.#pids);
    const us = this.#pids.map((pid) => (to.cpuUs.get(pid) ?? 0) - (this.#from.cpuUs.get(pid) ?? 0));
    return Math.max(0, ...us) / (to.atMs - this.#from.atMs) / 10;
  }
}

export const generatorNote = (percent: number): string =>
  `generator: ${percent.toFixed(0)} % of a core${
    percent > BUSY_GENERATOR_PERCENT ? ' - WARNING: too busy, the figures may be its own; lower the rate' : ''
  }`;
