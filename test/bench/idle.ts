import { proportionalKib, residentKib, sample, usedBetween } from './cpu.ts';
import { type Bench, delay } from './measure.ts';
import { rounded, table } from './table.ts';

/** Starting up leaves work and garbage behind that belongs to no idle hour. */
const SETTLE_MS = 10_000;

/** Nobody calls. */
export const idle: Bench = async (server, options, say) => {
  const { seconds = 20 } = options;
  if (server.own) await delay(SETTLE_MS);
  const processes = server.processes();
  const pids = processes.map(({ pid }) => pid);
  const from = sample(pids);
  await delay(seconds * 1000);
  const to = sample(pids);
  const used = usedBetween(processes, from, to);
  const rows = processes.map(({ pid, role, id }) => ({
    name: id.startsWith(role) ? id : `${role} ${id}`,
    percent: (to.cpuUs.get(pid)! - from.cpuUs.get(pid)!) / used.durationMs / 10,
    residentMib: residentKib(pid) / 1024,
    proportionalMib: proportionalKib(pid) / 1024,
  }));
  const sum = (pick: (row: (typeof rows)[number]) => number) => rows.reduce((all, row) => all + pick(row), 0);
  const figures = {
    idlePercent: rounded(used.totalUs / used.durationMs / 10),
    idleRssMib: Math.round(sum(({ residentMib }) => residentMib)),
    idlePssMib: Math.round(sum(({ proportionalMib }) => proportionalMib)),
  };
  say(
    table(
      ['', '% of a core', 'RSS MiB', 'PSS MiB'],
      [
        ...rows.map((row) => [
          row.name,
          rounded(row.percent),
          row.residentMib.toFixed(1),
          row.proportionalMib.toFixed(1),
        ]),
        ['all', figures.idlePercent, figures.idleRssMib, figures.idlePssMib],
      ],
    ),
  );
  return figures;
};
