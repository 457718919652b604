import { failed, ok, type Random, type Result } from '../base/index.ts';
import {
  type AccountDraft,
  currentSnapshots,
  type DirectorySnapshot,
  hasDemoPassword,
  type Places,
  type Problem,
  publishSnapshot,
  readAccountConfig,
  replaceDemoPasswords,
} from '../directory/index.ts';
import type { StatePort } from '../state/index.ts';
import type { AppliedConfig } from './commands.ts';

export interface Configured {
  readonly snapshots: readonly DirectorySnapshot[];
  /** Made in place of the demo's, to be shown once. */
  readonly passwords: { readonly sipUser: string; readonly password: string }[];
}

/**
 * What holds when control starts: an empty installation takes the configuration that it was started with, another keeps what it has. Where
 * others than this machine can reach us, the demo's passwords give way to random ones, whenever they came in.
 */
export async function configureAtStart(
  state: StatePort,
  options: {
    readonly configPath: string;
    readonly loopbackOnly: boolean;
    readonly random: Random;
    readonly places?: Places;
  },
): Promise<Result<Configured, Problem[]>> {
  const { configPath, loopbackOnly, random, places } = options;
  let drafts: readonly AccountDraft[] = await currentSnapshots(state);
  if (drafts.length === 0) {
    const read = await readAccountConfig(configPath, places);
    if (!read.ok) return read;
    drafts = [read.value];
  }
  const snapshots: DirectorySnapshot[] = [];
  const passwords: Configured['passwords'] = [];
  for (const draft of drafts) {
    const safe = loopbackOnly ? { draft, passwords: [] } : replaceDemoPasswords(draft, random);
    snapshots.push(await publishSnapshot(state, safe.draft));
    passwords.push(...safe.passwords);
  }
  return ok({ snapshots, passwords });
}

/** Makes a configuration count, whole or not at all. */
export async function applyConfig(
  state: StatePort,
  path: string,
  options: {
    readonly loopbackOnly: boolean;
    /** The zones and regions that it may name. */
    readonly places?: Places;
  },
): Promise<Result<AppliedConfig, Problem[]>> {
  const read = await readAccountConfig(path, options.places);
  if (!read.ok) return read;
  const draft = read.value;
  const current = await currentSnapshots(state);
  const problems = [
    ...(options.loopbackOnly ? [] : demoPasswordsIn(draft, path)),
    ...sharedDomains(draft, current, path),
  ];
  if (problems.length > 0) return failed(problems);
  const before = current.find(({ account }) => account === draft.account);
  const snapshot = await publishSnapshot(state, draft);
  return ok({
    account: snapshot.account,
    number: snapshot.number,
    changed: snapshot.number !== before?.number,
    users: snapshot.users.length,
    devices: snapshot.devices.length,
  });
}

function demoPasswordsIn(draft: AccountDraft, file: string): Problem[] {
  return draft.devices.filter(hasDemoPassword).map(({ sipUser }) => ({
    file,
    line: 0,
    message: `SIP user ${sipUser} has the demo's password, which is refused where other machines can reach this server: give it another`,
  }));
}

/** A domain decides the account of a request, so it can belong to one only. */
function sharedDomains(draft: AccountDraft, current: readonly DirectorySnapshot[], file: string): Problem[] {
  return current
    .filter(({ account }) => account !== draft.account)
    .flatMap((other) =>
      draft.domains
        .filter((domain) => other.domains.includes(domain))
        .map((domain) => ({
          file,
          line: 0,
          message: `domain ${domain} already belongs to account "${other.account}"`,
        })),
    );
}
