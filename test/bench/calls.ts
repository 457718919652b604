import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  GeneratorWatch,
  generatorNote,
  type Role,
  residentKib,
  type ServerProcess,
  sample,
  type Used,
  usedBetween,
} from './cpu.ts';
import { Line } from './line.ts';
import { type Bench, delay } from './measure.ts';
import type { Server } from './server.ts';
import { calleeScenario, callerScenario, Sipp, type SippResult } from './sipp.ts';
import { rounded, table } from './table.ts';

const HOLD_MS = 1_000;
/** Each switch gets a quarter of them; below some hundred calls V8 still interprets and compiles, which no long-lived server does. */
const WARM_UP_CALLS = 2_000;
/** For calls that are begun anew by retransmission until the last moment (64 × T1). */
const PATIENCE_MS = 45_000;
const IDLE_MS = 2_000;
/** Records, tombstones and timers of the last calls. */
const SETTLE_MS = 1_000;
const HELD_TOGETHER_MS = 6_000;
const PAIRS = 5;

/** INVITE to BYE through the server with SDP and media ports, by sipp on both sides. */
export const calls: Bench = async (server, options, say) => {
  const { rate = 100, seconds = 20, calls: held = 500 } = options;
  const directory = mkdtempSync(path.join(tmpdir(), 'twinline-bench-'));
  const processes = server.processes();
  const pids = processes.map(({ pid }) => pid);
  const calleePort = await registerCallees(server);
  const callee = new Sipp({
    directory,
    name: 'callee',
    scenario: calleeScenario(),
    server,
    localPort: calleePort,
    arguments: [],
  });
  let number = 0;
  const startCaller = (count: number, holdMs: number, callRate: number) =>
    new Sipp({
      directory,
      name: `caller${number++}`,
      scenario: callerScenario(server.domain, holdMs),
      server,
      localPort: 0,
      arguments: [
        ...['-inf', usersFile(directory), '-r', String(callRate), '-m', String(count), '-l', String(count)],
      ],
    });
  let caller: Sipp | undefined;
  try {
    const idleFrom = sample(pids);
    await delay(IDLE_MS);
    const idle = usedBetween(processes, idleFrom, sample(pids));

    caller = startCaller(WARM_UP_CALLS, HOLD_MS, rate);
    await caller.ended(allowedMs(WARM_UP_CALLS / rate, HOLD_MS));
    await delay(SETTLE_MS);

    const from = sample(pids);
    caller = startCaller(rate * seconds, HOLD_MS, rate);
    const generator = new GeneratorWatch([caller.pid, callee.pid]);
    const percents: number[] = [];
    const watch = setInterval(() => {
      percents.push(generator.percent());
      generator.restart();
    }, 1000);
    const result = await caller.ended(allowedMs(seconds, HOLD_MS));
    clearInterval(watch);
    await delay(SETTLE_MS);
    const used = usedBetween(processes, from, sample(pids));

    const before = residentByRole(processes);
    const placedMs = (held / rate) * 1000;
    caller = startCaller(held, placedMs + HELD_TOGETHER_MS, rate);
    await delay(placedMs + HELD_TOGETHER_MS / 2);
    const during = residentByRole(processes);
    const heldWell = (await caller.ended(allowedMs(held / rate, placedMs + HELD_TOGETHER_MS))).successful;
    const kibByRole = [...during].map(([role, kib]) => [role, (kib - before.get(role)!) / heldWell] as const);
    const kibPerCall = kibByRole.reduce((sum, [, kib]) => sum + kib, 0);

    say(
      report(result, rate, used, idle) +
        `\nmemory with ${heldWell} calls held: ${rounded(kibPerCall)} KiB per call (${kibByRole
          .map(([role, kib]) => `${role} ${rounded(kib)}`)
          .join(', ')})` +
        `\n${generatorNote(Math.max(0, ...percents))}`,
    );
    return {
      cpuUsPerCall: rounded(used.totalUs / result.successful),
      failed: result.failed,
      kibPerCall: rounded(kibPerCall),
    };
  } finally {
    await caller?.stop();
    await callee.stop();
    rmSync(directory, { recursive: true, force: true });
  }
};

const allowedMs = (placingSec: number, holdMs: number): number => placingSec * 1000 + holdMs + PATIENCE_MS;

/** The even users register from the port that sipp will answer at, which is why it is closed again before sipp begins. */
export async function registerCallees(server: Server): Promise<number> {
  let localPort = 0;
  for (let pair = 0; pair < PAIRS; pair++) {
    const user = String(1002 + 2 * pair);
    const line = await Line.open({
      user,
      password: `demo-${user}`,
      domain: server.domain,
      server,
      localPort,
    });
    localPort = line.port;
    const status = await line.register();
    line.close();
    if (status !== 200) throw new Error(`registering ${user}: ${status}`);
  }
  return localPort;
}

/** Who calls whom, in turn: a line per pair for sipp's -inf. */
export function usersFile(directory: string): string {
  const file = path.join(directory, 'users.csv');
  const lines = Array.from({ length: PAIRS }, (_, pair) => {
    const user = 1001 + 2 * pair;
    return `${user};[authentication username=${user} password=demo-${user}];${user + 1}`;
  });
  writeFileSync(file, `SEQUENTIAL\n${lines.join('\n')}\n`);
  return file;
}

function residentByRole(processes: readonly ServerProcess[]): Map<Role, number> {
  const kib = new Map<Role, number>();
  for (const { pid, role } of processes) kib.set(role, (kib.get(role) ?? 0) + residentKib(pid));
  return kib;
}

function report(result: SippResult, rate: number, used: Used, idle: Used): string {
  return (
    `${result.successful} calls at ${rate}/s, ${result.failed} failed${Object.entries(result.failures)
      .map(([kind, count]) => ` (${kind} ${count})`)
      .join('')}, ${result.retransmissions} retransmissions by the caller\n` +
    table(
      ['', 'µs per call', '% of a core', 'idle %'],
      [...used.byRole, ['all', used.totalUs] as const].map(([role, us]) => [
        role,
        rounded(us / result.successful),
        rounded(us / used.durationMs / 10),
        rounded((role === 'all' ? idle.totalUs : idle.byRole.get(role)!) / idle.durationMs / 10),
      ]),
    )
  );
}
