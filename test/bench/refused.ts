import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { registerCallees, usersFile } from './calls.ts';
import { type Role, sample, usedBetween } from './cpu.ts';
import { delay } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { openServer } from './server.ts';
import { calleeScenario, callerScenario, Sipp } from './sipp.ts';
import { rounded, table } from './table.ts';

/** Of each zone; half of them fill it while both are up. */
const CAPACITY_CALLS = 40;
const FILL_PER_SEC = 20;
/** Longer than everything that is measured. */
const HELD_MS = 600_000;
const WARM_UP_SEC = 5;
const MEASURED_SEC = 15;
/** Until the records and timers of what was before are done. */
const SETTLE_MS = 5_000;
const IDLE_MS = 10_000;
const PATIENCE_MS = 45_000;

/**
 * What a call costs that is refused early (PH-ZONE-07): an installation that is full to its line with calls that stay gets new ones at
 * `rate` calls per second, and refuses them all. CPU is of edge, switches and all the rest, without what they use when nobody calls;
 * a refused call is INVITE, 503 and ACK. Throws if one was accepted or failed.
 */
export async function refusedCalls(
  options: BenchOptions,
  rate: number,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const server = await openServer(options, (topology) =>
    topology.replaceAll(/capacity: \{ calls: \d+/g, `capacity: { calls: ${CAPACITY_CALLS}`),
  );
  const directory = mkdtempSync(path.join(tmpdir(), 'twinline-bench-'));
  const running: Sipp[] = [];
  const start = (name: string, holdMs: number, perSec: number, count: number): Sipp => {
    const caller = new Sipp({
      directory,
      name,
      scenario: callerScenario(server.domain, holdMs, { mayBeRefused: true }),
      server,
      localPort: 0,
      arguments: [
        ...['-inf', usersFile(directory), '-r', String(perSec), '-m', String(count), '-l', String(count)],
      ],
    });
    running.push(caller);
    return caller;
  };
  try {
    const localPort = await registerCallees(server);
    running.push(
      new Sipp({ directory, name: 'callee', scenario: calleeScenario(), server, localPort, arguments: [] }),
    );
    // Twice as many as fit, so that each zone is full wherever they go.
    const filling = start('filling', HELD_MS, FILL_PER_SEC, 4 * CAPACITY_CALLS);
    await delay(((4 * CAPACITY_CALLS) / FILL_PER_SEC) * 1000 + SETTLE_MS);
    const held = 4 * CAPACITY_CALLS - filling.result().refused;
    const processes = server.processes();
    const pids = processes.map(({ pid }) => pid);
    const idleFrom = sample(pids);
    await delay(IDLE_MS);
    const idle = usedBetween(processes, idleFrom, sample(pids));
    await start('warm-up', 0, rate, rate * WARM_UP_SEC).ended(WARM_UP_SEC * 1000 + PATIENCE_MS);
    await delay(SETTLE_MS);
    const from = sample(pids);
    const measured = await start('measured', 0, rate, rate * MEASURED_SEC).ended(
      MEASURED_SEC * 1000 + PATIENCE_MS,
    );
    const used = usedBetween(processes, from, sample(pids));
    const { refused } = measured;
    if (refused !== rate * MEASURED_SEC)
      throw new Error(
        `of ${rate * MEASURED_SEC} calls to a full installation ${refused} were refused, ${measured.failed} failed`,
      );
    const idlePart = used.durationMs / idle.durationMs;
    const perCall = (role: Role): number =>
      ((used.byRole.get(role) ?? 0) - (idle.byRole.get(role) ?? 0) * idlePart) / refused;
    const figures = {
      cpuUsPerRefusedCall: rounded((used.totalUs - idle.totalUs * idlePart) / refused),
      cpuUsPerRefusedCallEdge: rounded(perCall('edge')),
      cpuUsPerRefusedCallSwitches: rounded(perCall('switch')),
    };
    say(
      `${refused} calls at ${rate}/s refused by an installation that is full with ${held}\n${table(['', ''], Object.entries(figures))}`,
    );
    return figures;
  } finally {
    for (const one of running) await one.stop();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
