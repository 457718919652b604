import { addressesByCommand, addressesOn } from '../native/index.ts';
import { startZone } from '../zone/index.ts';
import { nodeFlags } from './node-flags.ts';
import { zoneSocket } from './paths.ts';
import { doorOf, isHere, placeOf } from './places.ts';
import type { Plan, PlannedZone } from './plan.ts';
import { type ProcessContext, zoneNamed } from './process-context.ts';
import { openAdoptersState } from './state-engine.ts';

export async function runZone(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, planFile, clock, random, log } = context;
  const zone = zoneNamed(plan, id);
  const twin = zoneNamed(plan, zone.twin);
  const state = await openAdoptersState(context, zone);
  const running = await startZone({
    zone: zone.id,
    twin: {
      id: zone.twin,
      place: placeOf(plan, 'zone', zone.twin),
      ...(isHere(plan, twin) ? {} : { elsewhere: addressesOf(plan, zone, twin) }),
    },
    onTaken: () => {
      process.stderr.write(`zone ${id} was taken over by its twin while it could not be heard\n`);
      process.exit(1);
    },
    switches: zone.switches,
    media: zone.media.map((media) => media.id),
    socket: zoneSocket(plan.data, zone.id),
    remoteDoor: doorOf(plan, 'zone', zone.id),
    command: (role, child) => ({
      file: process.execPath,
      args: [...nodeFlags(role), process.argv[1]!, `run-${role}`, child, planFile],
    }),
    state,
    clock,
    random,
    log,
  });
  return async () => {
    await running.stop();
    await state.close();
  };
}

/** Each media process's address, and how it comes to this machine. */
function addressesOf(plan: Plan, zone: PlannedZone, twin: PlannedZone) {
  const machine = plan.machines.find(({ id }) => id === plan.machine);
  const of = ({ media }: PlannedZone): Map<string, string> =>
    new Map(media.flatMap(({ id, address }) => (address === undefined ? [] : [[id, address] as const])));
  const { mediaCommand, mediaDevice = '' } = machine ?? {};
  const moving = mediaCommand === undefined ? addressesOn(mediaDevice) : addressesByCommand(mediaCommand);
  return { own: of(zone), twins: of(twin), moving };
}
