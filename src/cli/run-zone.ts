import { startZone } from '../zone/index.ts';
import { mediaAddresses } from './media-addresses.ts';
import { nodeFlags } from './node-flags.ts';
import { zoneSocket } from './paths.ts';
import { doorOf, isHere, placeOf } from './places.ts';
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
      ...(isHere(plan, twin) ? {} : { elsewhere: mediaAddresses(plan, zone, twin) }),
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
