import { readFileSync } from 'node:fs';
import type { Clock, EdgeId, Logger, MediaId, Random, SwitchId, ZoneId } from '../base/index.ts';
import { Tokens, TwinlineError } from '../base/index.ts';
import type { Peer } from '../link/index.ts';
import { bootId } from '../native/index.ts';
import type { StatePort, StateReader } from '../state/index.ts';
import { pairSecretFile } from './paths.ts';
import type { Plan, PlannedZone } from './plan.ts';

/** What every process of an installation has. */
export interface ProcessContext {
  readonly plan: Plan;
  readonly planFile: string;
  readonly self: Peer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function pairSecret(plan: Plan): Uint8Array {
  return Buffer.from(readFileSync(pairSecretFile(plan.data), 'utf8').trim(), 'hex');
}

export const tokensOf = (plan: Plan): Tokens => new Tokens(pairSecret(plan));

/** The state as a process of that zone has it. */
export async function openState(context: ProcessContext, zone: PlannedZone): Promise<StatePort> {
  const { openLmdbState } = await import('../state/index.ts');
  return openLmdbState(stateOptions(context, zone));
}

/** For a process that owns nothing: it takes no lock, so that no zone ever waits for it. */
export async function openReader(context: ProcessContext, zone: PlannedZone): Promise<StateReader> {
  const { openLmdbReader } = await import('../state/index.ts');
  return openLmdbReader(stateOptions(context, zone));
}

const stateOptions = ({ plan, clock, log }: ProcessContext, zone: PlannedZone) => ({
  directory: plan.data,
  zone: zone.id,
  twin: zone.twin,
  clock,
  log,
  bootId: bootId(),
});

export function zoneNamed(plan: Plan, id: string): PlannedZone {
  return plan.zones.find((zone) => zone.id === (id as ZoneId)) ?? noSuch('zone', id);
}

export function zoneOfSwitch(plan: Plan, id: string): PlannedZone {
  return plan.zones.find(({ switches }) => switches.includes(id as SwitchId)) ?? noSuch('switch', id);
}

export function zoneOfMedia(plan: Plan, id: string): PlannedZone {
  return (
    plan.zones.find(({ media }) => media.some((one) => one.id === (id as MediaId))) ?? noSuch('media', id)
  );
}

export function edgeNamed(plan: Plan, id: string): Plan['edges'][number] {
  return plan.edges.find((edge) => edge.id === (id as EdgeId)) ?? noSuch('edge', id);
}

function noSuch(role: string, id: string): never {
  throw new TwinlineError('bad_target', `the topology has no ${role} "${id}"`);
}
