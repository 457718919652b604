import { parseArgs } from 'node:util';
import { tellFault } from './fault-plan.ts';
import { demoDirectory } from './phones.ts';
import { type Plan, planFor } from './plan.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import type { Mistake } from './world.ts';

const USAGE = `scripts/sim [--seeds 100] [--from 1] [--seed N [--calls 1,2] [--faults 1,2] [--phones 1,2] [--log]]

Plays histories of two zones, two edges and a crowd of phones, one for each seed, and says which of them broke a promise.
  --seeds N     how many
  --from N      the first seed
  --seed N      this one only
  --calls LIST  of its calls only these (by number); --faults LIST  of its faults only these (from 1 on); "none" for none
  --phones LIST of its phones only these (from 1 on)
  --two-machines  the zones are on two machines, which lose each other, the state and the edges, freeze and die
  --log         every message and event, with the time in milliseconds
  --mistake M   plant a mistake of the product, to see it found: sends-before-commit, forgets-the-outbox,
                speaks-after-its-term, takes-any-clock-for-its-own (with --two-machines)
  --no-shrink   do not look for a smaller history of a seed that failed
`;

/** Runs the command line; the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seeds: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      calls: { type: 'string' },
      faults: { type: 'string' },
      phones: { type: 'string' },
      'two-machines': { type: 'boolean', default: false },
      log: { type: 'boolean', default: false },
      mistake: { type: 'string' },
      'no-shrink': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const first = Number(values.seed ?? values.from);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  if (values.help || !Number.isSafeInteger(first) || !Number.isSafeInteger(count)) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const directory = await demoDirectory();
  const tell = values.log ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  const mistake = values.mistake as Mistake | undefined;
  let failed = 0;
  const began = performance.now();
  for (let seed = first; seed < first + count; seed++) {
    const plan = only(planFor(seed, values['two-machines'] ? { twoMachines: true } : {}), values);
    const { broken, digest, virtualMs } = await run(plan, {
      directory,
      ...(tell && { tell }),
      ...(mistake && { mistake }),
    });
    if (values.seed !== undefined)
      process.stdout.write(`${describe(plan)}\n${digest}, ${Math.round(virtualMs / 1000)} s\n`);
    if (broken.length === 0) continue;
    failed++;
    process.stdout.write(`seed ${seed} breaks:\n${broken.map((what) => `  ${what}\n`).join('')}`);
    const small = values['no-shrink'] || values.log ? plan : await shrink(plan, broken, directory);
    process.stdout.write(`again: ${reproduction(small)}\n`);
  }
  const seconds = (performance.now() - began) / 1000;
  process.stdout.write(`${count} seeds from ${first}, ${failed} failed, ${seconds.toFixed(1)} s\n`);
  return failed === 0 ? 0 : 1;
}

function only(
  plan: Plan,
  {
    calls,
    faults,
    phones,
  }: { calls?: string | undefined; faults?: string | undefined; phones?: string | undefined },
): Plan {
  const listed = (list: string | undefined, n: number) =>
    list === undefined || list.split(',').includes(String(n));
  return {
    ...plan,
    calls: plan.calls.filter(({ n }) => listed(calls, n)),
    faults: plan.faults.filter((_, at) => listed(faults, at + 1)),
    phones: plan.phones.filter((_, at) => listed(phones, at + 1)),
  };
}

/** One line that plays the same history again. */
export function reproduction(plan: Plan): string {
  const whole = planFor(plan.seed, plan.twoMachines ? { twoMachines: true } : {});
  const list = (numbers: readonly number[]) => (numbers.length === 0 ? 'none' : numbers.join(','));
  const calls = list(plan.calls.map(({ n }) => n));
  const places = (part: 'faults' | 'phones') => {
    const texts = whole[part].map((one) => JSON.stringify(one));
    return list(plan[part].map((one) => texts.indexOf(JSON.stringify(one)) + 1));
  };
  return [
    `scripts/sim --seed ${plan.seed}${plan.twoMachines ? ' --two-machines' : ''}`,
    ...(plan.calls.length === whole.calls.length ? [] : [`--calls ${calls}`]),
    ...(plan.faults.length === whole.faults.length ? [] : [`--faults ${places('faults')}`]),
    ...(plan.phones.length === whole.phones.length ? [] : [`--phones ${places('phones')}`]),
  ].join(' ');
}

function describe(plan: Plan): string {
  return [
    JSON.stringify(plan.network),
    ...plan.calls.map((call) => `call ${JSON.stringify(call)}`),
    ...plan.faults.map((fault) => `fault ${tellFault(fault)}`),
  ].join('\n');
}
