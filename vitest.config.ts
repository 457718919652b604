import { defineConfig } from 'vitest/config';

// `unit` runs what computes and waits for nobody, on both cores; `unit-alone` what has real sockets, processes or clocks, one file at a time.
// `e2e` starts real installations and peers, two files at a time: they mostly wait. `e2e-alone` follows, one file at a time: what a busy
// machine would change, such as gaps in the audio, memory and load, and what takes the same network as another file.
const UNIT_ALONE = [
  'test/contract/**/*.test.ts',
  'test/support/**/*.test.ts',
  'src/native/**/*.test.ts',
  ...[
    'cli/checks',
    'control/processes',
    'edge/door',
    'edge/transports',
    'edge/trunks',
    'link/unix',
    'media/rtpengine/ng-client',
    'media/rtpengine/process',
    'media/serve',
    'zone/proc-watch',
  ].map((name) => `src/${name}.test.ts`),
];
const E2E_ALONE = [
  'failover',
  'fax',
  'hostile',
  'hostile-load',
  'hostile-records',
  'maintenance',
  'media-ice',
  'overload',
  'rtpengine-engine',
  'sipp',
  'two-dc-calls',
  'two-machines',
].map((name) => `test/e2e/${name}.test.ts`);
const unit = { testTimeout: 60_000 };
const endToEnd = { testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...unit,
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/sim/**/*.test.ts'],
          exclude: UNIT_ALONE,
          maxWorkers: 2,
        },
      },
      {
        test: {
          ...unit,
          name: 'unit-alone',
          include: UNIT_ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: E2E_ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-alone',
          include: E2E_ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
