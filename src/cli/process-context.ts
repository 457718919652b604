import { readFileSync } from 'node:fs';
import type { Clock, EdgeId, Logger, MediaId, Random, SwitchId, ZoneId } from '../base/index.ts';
import { Tokens, TwinlineError } from '../base/index.ts';
import type { Peer } from '../link/index.ts';
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
