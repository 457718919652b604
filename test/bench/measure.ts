import type { BenchOptions } from './options.ts';
import type { Server } from './server.ts';

/** One run. Gives the figures by the names of `--json`; `say` is for people. */
export type Bench = (
  server: Server,
  options: BenchOptions,
  say: (text: string) => void,
) => Promise<Readonly<Record<string, number>>>;

export const delay = (delayMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delayMs));
