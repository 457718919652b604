import { beforeAll, describe, expect, it } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { killAt, moments } from './moments.ts';
import { demoDirectory } from './phones.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

/** One zone runs the next release already, the other does not yet: either may die, and the other goes on with its calls. */
describe.each([
  ['the older release dies, the newer goes on', { a: 1 }],
  ['the newer release dies, the older goes on', { b: 1 }],
] as const)('a call in the middle of an upgrade: %s', (_, readsForm) => {
  it.each(moments)('$state: $name', async (moment) => {
    // The call comes to zone a: its first switch greets the edge first.
    const { broken, cameTo } = await killAt(moment, 0.9, { directory, readsForm });
    expect(cameTo, 'the call came to that moment').toBe(true);
    expect(broken).toEqual([]);
  });
});
