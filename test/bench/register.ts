import { GeneratorWatch, generatorNote, sample, usedBetween } from './cpu.ts';
import { Line } from './line.ts';
import { type Bench, delay } from './measure.ts';
import { quantile, rounded, table } from './table.ts';

const WARM_UP_MS = 3_000;
const IDLE_MS = 2_000;
const USERS = 10;

/** REGISTER → 401 → REGISTER with digest → 200 at an even rate. */
export const register: Bench = async (server, options, say) => {
  const { rate = 500, seconds = 10 } = options;
  const lines = await Promise.all(
    Array.from({ length: USERS }, (_, at) =>
      Line.open({
        user: String(1001 + at),
        password: `demo-${1001 + at}`,
        domain: server.domain,
        server,
      }),
    ),
  );
  const processes = server.processes();
  const pids = processes.map(({ pid }) => pid);
  try {
    const idleFrom = sample(pids);
    await delay(IDLE_MS);
    const idle = usedBetween(processes, idleFrom, sample(pids));
    await registerFor(lines, rate, WARM_UP_MS);
    const generator = new GeneratorWatch([process.pid]);
    const from = sample(pids);
    const { tried, failures, latenciesMs } = await registerFor(lines, rate, seconds * 1000);
    const used = usedBetween(processes, from, sample(pids));
    const generatorPercent = generator.percent();
    const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
    const pairs = tried - failed;
    say(
      `${tried} registrations at ${rate}/s, ${failed} failed${[...failures].map(([status, count]) => `, ${count} with ${status}`).join('')}; answered p50 ${quantile(latenciesMs, 0.5).toFixed(1)} ms, p99 ${quantile(latenciesMs, 0.99).toFixed(1)} ms\n` +
        table(
          ['', 'µs per REGISTER', '% of a core', 'idle %'],
          [...used.byRole, ['all', used.totalUs] as const].map(([role, us]) => [
            role,
            rounded(us / pairs),
            rounded(us / used.durationMs / 10),
            rounded((role === 'all' ? idle.totalUs : idle.byRole.get(role)!) / idle.durationMs / 10),
          ]),
        ) +
        `\n${generatorNote(generatorPercent)}`,
    );
    return { cpuUsPerRegister: rounded(used.totalUs / pairs), failed };
  } finally {
    for (const line of lines) line.close();
  }
};

async function registerFor(lines: readonly Line[], rate: number, durationMs: number) {
  const startMs = performance.now();
  const total = Math.round((rate * durationMs) / 1000);
  const latenciesMs: number[] = [];
  const failures = new Map<number, number>();
  const under: Promise<void>[] = [];
  const one = async (line: Line): Promise<void> => {
    const sentMs = performance.now();
    const status = await line.register();
    if (status === 200) latenciesMs.push(performance.now() - sentMs);
    else failures.set(status, (failures.get(status) ?? 0) + 1);
  };
  while (under.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) * rate) / 1000));
    while (under.length < due) under.push(one(lines[under.length % lines.length]!));
    await delay(1);
  }
  await Promise.all(under);
  return { tried: total, failures, latenciesMs };
}
