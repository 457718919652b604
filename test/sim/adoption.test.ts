import { beforeAll, describe, expect, it } from 'vitest';
import { callStates } from '../../src/call/model.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { delays, killAt, moments } from './moments.ts';
import { demoDirectory } from './phones.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

describe('a call whose zone dies in the middle of it', () => {
  it.each(callStates)('has a moment for the state "%s"', (state) => {
    expect(moments.map((moment) => moment.state)).toContain(state);
  });

  describe.each(moments)('$state: $name', (moment) => {
    it.each(delays)('%s', async (_, afterMs) => {
      const { broken, cameTo } = await killAt(moment, afterMs, { directory });
      expect(cameTo, 'the call came to that moment').toBe(true);
      expect(broken).toEqual([]);
    });
  });
});
