import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Script } from 'node:vm';
import { randomBelow, seededRandom } from '../../src/base/index.ts';
import { mutate } from './mutate.ts';
import type { FuzzTarget } from './target.ts';
import { targets } from './targets.ts';

const USAGE = `scripts/fuzz [--seconds 60] [--seed 1] [--target NAME] [--input FILE]

Feeds damaged messages to the parsers until the time is over. The same seed gives the same inputs.
  --target NAME   one target only: ${targets.map(({ name }) => name).join(', ')}
  --input FILE    feed this one input again (needs --target), as a failure printed it
`;

const BATCH = 200;
/** One batch takes milliseconds; an input that holds it up for so long is taken for an endless loop. */
const STUCK_MS = 10_000;
/** Far above what the slowest sound input takes on a busy machine; three tries, the fastest counts. */
const SLOW_MS = 200;

/** Runs the command line; the exit status. */
export function main(argv: readonly string[]): number {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      target: { type: 'string' },
      input: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
  if (chosen.length === 0 || (values.input !== undefined && chosen.length !== 1)) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (values.input !== undefined) {
    chosen[0]!.run(readFileSync(values.input));
    process.stdout.write(`${chosen[0]!.name} holds for ${values.input}\n`);
    return 0;
  }
  return fuzz(chosen, Number(values.seconds), Number(values.seed));
}

function fuzz(chosen: readonly FuzzTarget[], seconds: number, seed: number): number {
  const random = seededRandom(seed);
  const seeds = new Map(chosen.map((target) => [target, target.seeds()]));
  const counts = new Map(chosen.map(({ name }) => [name, 0]));
  const end = performance.now() + seconds * 1000;
  let target = chosen[0]!;
  let input: Uint8Array = new Uint8Array(0);

  const batch = (): void => {
    const inputs = seeds.get(target)!;
    for (let i = 0; i < BATCH; i++) {
      const base = inputs[randomBelow(random, inputs.length)]!;
      input = mutate(base, inputs, random, 1 + randomBelow(random, 6));
      const began = performance.now();
      target.run(input);
      if (performance.now() - began > SLOW_MS && isSlow(target, input))
        throw new Error(`slower than ${SLOW_MS} ms`);
    }
    counts.set(target.name, counts.get(target.name)! + BATCH);
  };
  // A script with a deadline is the one way to get out of an endless loop in the same thread.
  const guarded = new Script('globalThis.fuzzBatch()');
  Object.assign(globalThis, { fuzzBatch: batch });

  for (let turn = 0; performance.now() < end; turn++) {
    target = chosen[turn % chosen.length]!;
    try {
      guarded.runInThisContext({ timeout: STUCK_MS });
    } catch (error) {
      report(target, input, seed, error);
      return 1;
    }
  }
  for (const [name, count] of counts)
    process.stdout.write(`${name}: ${count} inputs, seed ${seed}, nothing broke\n`);
  return 0;
}

function isSlow(target: FuzzTarget, input: Uint8Array): boolean {
  const times = [1, 2, 3].map(() => {
    const began = performance.now();
    target.run(input);
    return performance.now() - began;
  });
  return Math.min(...times) > SLOW_MS;
}

function report(target: FuzzTarget, input: Uint8Array, seed: number, error: unknown): void {
  const file = join(tmpdir(), `fuzz-${target.name}-${seed}-${process.pid}.bin`);
  writeFileSync(file, input);
  const shown = Buffer.from(input.subarray(0, 4000)).toString('latin1');
  process.stdout.write(
    `${target.name} broke with seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n` +
      `input, ${input.length} bytes: ${JSON.stringify(shown)}\n` +
      `again: scripts/fuzz --target ${target.name} --input ${file}\n`,
  );
}
