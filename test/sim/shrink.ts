import type { DirectorySnapshot } from '../../src/directory/index.ts';
import type { Plan } from './plan.ts';
import { run } from './run.ts';

/** Leaves out faults, calls and phones as long as a promise of the same kind stays broken. */
export async function shrink(
  plan: Plan,
  broken: readonly string[],
  directory: DirectorySnapshot,
): Promise<Plan> {
  const kinds = new Set(broken.map(kindOf));
  const stillBroken = async (smaller: Plan): Promise<boolean> =>
    (await run(smaller, { directory })).broken.some((what) => kinds.has(kindOf(what)));
  let smallest = plan;
  const tryWithout = async (part: 'calls' | 'faults' | 'phones'): Promise<void> => {
    for (let at = smallest[part].length - 1; at >= 0; at--) {
      const smaller: Plan = { ...smallest, [part]: smallest[part].filter((_, index) => index !== at) };
      if (await stillBroken(smaller)) smallest = smaller;
    }
  };
  await tryWithout('faults');
  await tryWithout('calls');
  await tryWithout('faults');
  await tryWithout('phones');
  return smallest;
}

/** The sentence without its numbers and names. */
const kindOf = (what: string): string => what.replace(/call \d+ \(\d+ to \d+\)|#?\d+|\b[0-9a-z]{10}\b/g, '…');
