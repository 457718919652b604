import { defineConfig } from 'vitest/config';

// Two projects: `unit` runs everything that needs no process of ours; `e2e` starts real installations and peers,
// one file at a time, because the machine that runs it may have two cores.
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
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
