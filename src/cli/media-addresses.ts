import { addressesByCommand, addressesOn } from '../native/index.ts';
import type { SupervisorOptions } from '../zone/index.ts';
import type { Plan, PlannedZone } from './plan.ts';

/** Each media process's address of a pair on two machines, and how it comes to this one. */
export function mediaAddresses(
  plan: Plan,
  zone: PlannedZone,
  twin: PlannedZone,
): NonNullable<SupervisorOptions['twinElsewhere']> {
  const machine = plan.machines.find(({ id }) => id === plan.machine);
  const of = ({ media }: PlannedZone): Map<string, string> =>
    new Map(media.flatMap(({ id, address }) => (address === undefined ? [] : [[id, address] as const])));
  const { mediaCommand, mediaDevice = '' } = machine ?? {};
  const moving = mediaCommand === undefined ? addressesOn(mediaDevice) : addressesByCommand(mediaCommand);
  return { own: of(zone), twins: of(twin), moving };
}
