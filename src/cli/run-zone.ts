import { startZone } from '../zone/index.ts';
import { nodeFlags } from './node-flags.ts';
import { zoneSocket } from './paths.ts';
import { doorOf, placeOf } from './places.ts';
import { type ProcessContext, zoneNamed } from './process-context.ts';
import { openAdoptersState } from './state-engine.ts';

export async function runZone(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, planFile, clock, random, log } = context;
  const zone = zoneNamed(plan, id);
  const state = await openAdoptersState(context, zone);
  const running = await startZone({
    zone: zone.id,
    twin: { id: zone.twin, place: placeOf(plan, 'zone', zone.twin) },
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
