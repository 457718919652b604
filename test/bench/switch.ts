import { readdirSync, readFileSync } from 'node:fs';
import { LoneSwitch } from './lone-switch.ts';
import type { BenchOptions } from './options.ts';
import { median, rounded, table } from './table.ts';
import { TersePhone } from './terse-phones.ts';

/** At once, so that writes find company as they do under load. */
const AT_ONCE = 10;
const [ALICE, BOB] = ['1001', '1002'] as const;

/** CPU of this process by its threads, µs: the first one, and all that V8, libuv and LMDB run beside it. */
function cpuByThread(): { main: number; beside: number } {
  const used = { main: 0, beside: 0 };
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      const [ns = '0'] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ');
      used[Number(thread) === process.pid ? 'main' : 'beside'] += Number(ns) / 1000;
    } catch {
      // It has ended.
    }
  }
  return used;
}

async function perOne(count: number, one: () => Promise<void>): Promise<{ main: number; beside: number }> {
  const before = cpuByThread();
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await one();
    }),
  );
  const after = cpuByThread();
  return { main: (after.main - before.main) / count, beside: (after.beside - before.beside) / count };
}

/**
 * One call switch with its state in LMDB, alone in this process with terse phones, as fast as it goes. The first runs tell what a switch
 * costs that has just begun, the later ones what it costs when V8 knows its work. A link's frames are included, its sockets are not.
 */
export async function loneSwitch(
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const { calls = 1_000, runs = 5 } = options;
  const lone = await LoneSwitch.open();
  try {
    const [alice, bob] = [new TersePhone(lone, ALICE, 7_000), new TersePhone(lone, BOB, 7_002)];
    await bob.register();
    const rows: {
      calls: Awaited<ReturnType<typeof perOne>>;
      registers: Awaited<ReturnType<typeof perOne>>;
    }[] = [];
    for (let run = 0; run < runs; run++) {
      rows.push({
        calls: await perOne(calls, () => alice.call(BOB)),
        registers: await perOne(calls, () => alice.register()),
      });
    }
    const cells = ({ main, beside }: { main: number; beside: number }) => [
      Math.round(main + beside),
      Math.round(main),
    ];
    say(
      table(
        ['run', 'µs per call', 'of it main thread', 'µs per REGISTER', 'of it main thread'],
        rows.map((row, at) => [at + 1, ...cells(row.calls), ...cells(row.registers)]),
      ),
    );
    const all = (of: (row: (typeof rows)[number]) => { main: number; beside: number }) =>
      rounded(median(rows.slice(1).map((row) => of(row).main + of(row).beside)));
    return {
      switchUsPerCall: all(({ calls }) => calls),
      switchUsPerRegister: all(({ registers }) => registers),
    };
  } finally {
    await lone.close();
  }
}
