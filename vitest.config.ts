import { defineConfig } from 'vitest/config';

// `unit` runs everything that needs no process of ours. `e2e` starts real installations and peers, two files at a time: they mostly wait.
// `e2e-alone` follows, one file at a time: what a busy machine would change, such as gaps in the audio, memory and load, and what
// takes the same network as another file.
const ALONE = [
  'failover',
  'hostile',
  'hostile-load',
  'hostile-records',
  'maintenance',
  'media-ice',
  'overload',
  'rtpengine-engine',
  'two-dc-calls',
  'two-machines',
].map((name) => `test/e2e/${name}.test.ts`);
const endToEnd = { testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'test/sim/**/*.test.ts',
            'test/contract/**/*.test.ts',
            'test/support/**/*.test.ts',
          ],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-alone',
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
