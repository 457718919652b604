/**
 * Who is who: accounts, sites, users and devices as numbered, read-only snapshots, and what a dialled string means to whom.
 * Reading configuration files and compiling snapshots is here too; who does it when is control's business.
 */
import type { Result } from '../base/index.ts';
import type { AccountDraft } from './compile.ts';
import type { Places } from './places.ts';
import type { Problem } from './problem.ts';

export type { AccountDraft } from './compile.ts';
export { hasDemoPassword, replaceDemoPasswords } from './demo-passwords.ts';
export { type Dialled, resolveDialled } from './dialled.ts';
export { type Directories, type DirectoryIndex, indexDirectories, indexSnapshot } from './lookup.ts';
export { homeOf, homeOfUser, type Places, regionOf } from './places.ts';
export { describeProblem, type Problem } from './problem.ts';
export {
  lastAlive,
  newerTerm,
  putAlive,
  putTerm,
  type ServingHere,
  type ServingRefusal,
  type ServingWatch,
  servingRefusal,
  type Term,
  termsOf,
  watchServing,
} from './serving.ts';
export {
  currentSnapshots,
  type DirectoryWatch,
  publishSnapshot,
  snapshotNumbered,
  takeSnapshot,
  watchDirectories,
} from './store.ts';
export type * from './types.ts';

/**
 * Reads an account's configuration: a YAML file, or every `*.yaml` of a directory as one. All mistakes are named. The parser is
 * loaded on the first use, since a switch never needs it and should not carry it in memory. With `places`, zones and regions that it
 * names must be among them.
 */
export async function readAccountConfig(
  path: string,
  places?: Places,
): Promise<Result<AccountDraft, Problem[]>> {
  const { readConfigFiles } = await import('./config.ts');
  const { compileAccount } = await import('./compile.ts');
  const read = await readConfigFiles(path, places);
  return read.ok ? { ok: true, value: compileAccount(read.value) } : read;
}

/** What `readYaml` and the topology's reader share; loaded on the first use, as above. */
export async function loadYamlReader(): Promise<typeof import('./yaml.ts')> {
  return import('./yaml.ts');
}
