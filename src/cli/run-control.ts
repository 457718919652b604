import { startControl } from '../control/index.ts';
import { controlSocket, databaseFile, launcherSocket } from './paths.ts';
import { isHere, placeOf } from './places.ts';
import type { ProcessContext } from './process-context.ts';
import { openState } from './state-engine.ts';

export async function runControl(context: ProcessContext): Promise<() => Promise<void>> {
  const { plan, planFile, self, clock, random, log } = context;
  const { data } = plan;
  // Snapshots are written in the first zone's environment; both zones read both.
  const state = await openState(context, plan.zones.find((zone) => isHere(plan, zone)) ?? plan.zones[0]!);
  const machineOf = (all: readonly { readonly id: string; readonly machine?: string }[], role: string) =>
    all.flatMap((one): [string, string][] =>
      isHere(plan, one) ? [] : [[`${role} ${one.id}`, one.machine ?? '']],
    );
  const control = await startControl({
    // Of several machines each has a control, which the others' processes know by its machine.
    self: plan.machine === undefined ? self : { ...self, id: `control-${plan.machine}` },
    socket: controlSocket(data),
    peers: {
      zones: plan.zones.map(({ id }) => ({ id, place: placeOf(plan, 'zone', id) })),
      switches: plan.zones.flatMap(({ switches }) =>
        switches.map((id) => ({ id, place: placeOf(plan, 'switch', id) })),
      ),
      edges: plan.edges.map(({ id }) => ({ id, place: placeOf(plan, 'edge', id) })),
      launcher: launcherSocket(data),
    },
    shape: {
      zones: plan.zones.map(({ id, switches, media }) => ({
        id,
        switches,
        media: media.map((one) => one.id),
      })),
      edges: plan.edges.map(({ id }) => id),
      planFile,
      elsewhere: new Map([...machineOf(plan.zones, 'zone'), ...machineOf(plan.edges, 'edge')]),
    },
    databaseFile: databaseFile(data),
    http: plan.http,
    configPath: plan.configPath,
    loopbackOnly: plan.loopbackOnly,
    places: plan.places,
    ...(plan.dataCentre && { dataCentre: plan.dataCentre }),
    state,
    clock,
    random,
    log,
  });
  return async () => {
    await control.stop();
    await state.close();
  };
}
