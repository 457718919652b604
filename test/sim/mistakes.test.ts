import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { Owners } from '../../src/edge/owners.ts';
import { Edges } from '../../src/switch/edges.ts';
import { twoOwners } from './checks.ts';
import { delays, killAt, moments } from './moments.ts';
import { demoDirectory, simPhone } from './phones.ts';
import { planFor } from './plan.ts';
import type { SimProcess } from './process.ts';
import { run } from './run.ts';
import { type Mistake, pass, play, World } from './world.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The broken promises of the first seed or moment that shows the mistake. */
async function firstFound(seeds: number, mistake?: Mistake): Promise<readonly string[]> {
  const options = { directory, ...(mistake && { mistake }) };
  for (const [, afterMs] of delays) {
    for (const moment of moments) {
      const { broken } = await killAt(moment, afterMs, options);
      if (broken.length > 0) return broken;
    }
  }
  for (let seed = 1; seed <= seeds; seed++) {
    const { broken } = await run(planFor(seed), options);
    if (broken.length > 0) return broken;
  }
  return [];
}

describe('a planted mistake is found', () => {
  it('a switch that sends before it has committed', async () => {
    expect(await firstFound(20, 'sends-before-commit')).not.toEqual([]);
  });

  it('an adopter that does not carry the outbox out again', async () => {
    expect(await firstFound(20, 'forgets-the-outbox')).not.toEqual([]);
  });

  it('an adopter that does not tell the edge first', async () => {
    vi.spyOn(Edges.prototype, 'own').mockResolvedValue();
    expect(await firstFound(20)).not.toEqual([]);
  });
});

describe('a switch that was stopped while its bundles were given to its sibling', () => {
  /** Charles answers; the switch commits that, and sleeps through the adoption with the news on its tongue. */
  async function wakesUpReplaced(): Promise<readonly string[]> {
    const world = new World({ seed: 8, directory });
    await play(world, async () => {
      await pass(world, 200);
      const ada = await simPhone(world, '1001', { answer: { mode: 'manual' } });
      const charles = await simPhone(world, '1002', { answer: { mode: 'manual' } });
      await ada.register();
      await charles.register();
      const adas = await ada.call('1002');
      const charless = await charles.incoming();
      await adas.ringing();
      let holder: SimProcess | undefined;
      world.onCall = ({ state }, by) => {
        if (state !== 'answered' || holder !== undefined) return;
        holder = by;
        by.freeze();
      };
      charless.answer();
      await pass(world, 20);
      const { id } = holder!;
      await world.giveAway(id, `${id[0]}${id.endsWith('1') ? 2 : 1}`);
      await adas.answered();
      holder?.thaw();
      await pass(world, 2_000);
      await adas.bye();
      await charless.ended();
    });
    return twoOwners(world);
  }

  it('says nothing to the phones any more', async () => {
    expect(await wakesUpReplaced()).toEqual([]);
  });

  it('would be heard by them if the edge did not look at epochs', async () => {
    vi.spyOn(Owners.prototype, 'admits').mockReturnValue(true);
    expect(await wakesUpReplaced()).not.toEqual([]);
  });
});
