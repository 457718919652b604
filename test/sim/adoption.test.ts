import { beforeAll, describe, expect, it } from 'vitest';
import { callStates } from '../../src/call/model.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { delays, killAfterLosing, killAt, moments } from './moments.ts';
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

describe('a call whose zone dies when its last word to a phone was lost', () => {
  it.each([
    ['the BYE to the callee', 'BYE', {}],
    ['the BYE to the caller', 'BYE', { hangsUp: 'callee' }],
    ['the CANCEL', 'CANCEL', { cancelAfterMs: 400 }],
    ['that the callee is busy', 'SIP/2.0 486', { callee: 'is-busy' }],
    ['that the callee declines', 'SIP/2.0 603', { callee: 'declines' }],
    ['that nobody answers', 'SIP/2.0 480', { callee: 'does-not-answer' }],
    ['that it was cancelled', 'SIP/2.0 487', { cancelAfterMs: 400 }],
  ] as const)('%s', async (_, begins, call) => {
    const { broken, cameTo } = await killAfterLosing(begins, call, { directory });
    expect(cameTo, 'it was lost').toBe(true);
    expect(broken).toEqual([]);
  });
});
