import { startControl } from '../control/index.ts';
import {
  controlSocket,
  databaseFile,
  edgeSocket,
  launcherSocket,
  switchSocket,
  zoneSocket,
} from './paths.ts';
import type { ProcessContext } from './process-context.ts';
import { openState } from './state-engine.ts';

export async function runControl(context: ProcessContext): Promise<() => Promise<void>> {
  const { plan, planFile, self, clock, random, log } = context;
  const { data } = plan;
  // Snapshots are written in the first zone's environment; both zones read both.
  const state = await openState(context, plan.zones[0]!);
  const control = await startControl({
    self,
    socket: controlSocket(data),
    peers: {
      zones: plan.zones.map(({ id }) => ({ id, socket: zoneSocket(data, id) })),
      switches: plan.zones.flatMap(({ switches }) =>
        switches.map((id) => ({ id, socket: switchSocket(data, id) })),
      ),
      edges: plan.edges.map(({ id }) => ({ id, socket: edgeSocket(data, id) })),
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
