import { loadavg } from 'node:os';
import { calls } from './calls.ts';
import { failover } from './failover.ts';
import { idle } from './idle.ts';
import type { Bench } from './measure.ts';
import { mix } from './mix.ts';
import { type BenchName, type BenchOptions, parseOptions, USAGE } from './options.ts';
import { overload } from './overload.ts';
import { register } from './register.ts';
import { relay } from './relay.ts';
import { relayVersus } from './relay-versus.ts';
import { openServer } from './server.ts';
import { loneSwitch } from './switch.ts';
import { median, table } from './table.ts';
import { transcode } from './transcode.ts';

const BENCH: Readonly<Partial<Record<BenchName, Bench>>> = {
  register,
  calls,
  relay,
  failover,
  overload,
  idle,
};

type Alone = (
  options: BenchOptions,
  say: (text: string) => void,
) => Promise<Readonly<Record<string, number>>>;
/** Measured without a server. */
const ALONE: Readonly<Partial<Record<BenchName, Alone>>> = { switch: loneSwitch, transcode, mix };
const aloneOf = ({ bench, vs }: BenchOptions): Alone | undefined =>
  vs !== undefined ? relayVersus : ALONE[bench];

async function main(argv: readonly string[]): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = parseOptions(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const { json } = options;
  const say = (text: string): void => void (json || process.stdout.write(`${text}\n`));
  const alone = aloneOf(options);
  if (alone !== undefined) {
    try {
      const figures = await alone(options, say);
      if (json) process.stdout.write(`${JSON.stringify(figures)}\n`);
      return 0;
    } catch (error) {
      process.stderr.write(`${argv.join(' ')}: ${(error as Error).message}\n`);
      return 1;
    }
  }
  const server = await openServer(options);
  // Whoever breaks a measurement off wants no installation left running behind it.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => void server.stop().finally(() => process.exit(code)));
  try {
    const figures = await measure(server, options, say);
    if (json) process.stdout.write(`${JSON.stringify(figures)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${options.bench}: ${(error as Error).message}\n`);
    return 1;
  } finally {
    await server.stop();
  }
}

/** The runs one after the other against the same server, and their medians. Fail-over counts over all its runs itself. */
async function measure(
  server: Awaited<ReturnType<typeof openServer>>,
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const bench = BENCH[options.bench]!;
  if (options.bench === 'failover') return bench(server, options, say);
  const runs: Readonly<Record<string, number>>[] = [];
  for (let run = 0; run < (options.runs ?? 1); run++) {
    say(`\nrun ${run + 1}, load average ${loadavg()[0]!.toFixed(1)}`);
    runs.push(await bench(server, options, say));
  }
  const names = Object.keys(runs[0]!);
  const medians = Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name]!))]));
  say(
    `\n${table(
      ['', ...(runs.length > 1 ? runs.map((_, at) => `run ${at + 1}`) : []), 'median'],
      names.map((name) => [name, ...(runs.length > 1 ? runs.map((run) => run[name]!) : []), medians[name]!]),
    )}`,
  );
  return medians;
}

process.exitCode = await main(process.argv.slice(2));
