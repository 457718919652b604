/**
 * The control plane: configuration into snapshots, call records into SQL, commands of people to the process that carries them out.
 * Calls go on without it.
 */
export type * from './commands.ts';
export type { DataCentreOptions } from './data-centres.ts';
export type { DataCentresStatus } from './dc-meeting.ts';
export type { Shape } from './gather.ts';
export type { Peers } from './links.ts';
export { type FoundProcess, findProcesses } from './processes.ts';

export type { Control, ControlOptions } from './start.ts';

/** Loaded on the first use: the launcher and the CLI need only the commands' types. */
export async function startControl(
  options: import('./start.ts').ControlOptions,
): Promise<import('./start.ts').Control> {
  const { startControl: start } = await import('./start.ts');
  return start(options);
}
