import type { SwitchId } from '../base/index.ts';
import { watchDirectories, watchServing } from '../directory/index.ts';
import { bootId, moderateTurns } from '../native/index.ts';
import { loadOrCreateKeyFile, openVault, sealer } from '../state/index.ts';
import { startSwitch, type Trunk } from '../switch/index.ts';
import { pairKeyFile, switchSocket, zoneSocket } from './paths.ts';
import { doorOf, placeOf } from './places.ts';
import type { Plan } from './plan.ts';
import { type ProcessContext, pairSecret, tokensOf, zoneNamed, zoneOfSwitch } from './process-context.ts';
import { openAdoptersState } from './state-engine.ts';
import { SIGNALLING_TURNS } from './turns.ts';
import { usageMeter } from './usage.ts';

/** A phone that was sent to the other data centre looks here again no sooner. */
const RETRY_AFTER_SEC = 30;

/** To the others by our first edge as by any. */
function trunksOf({ edges, dataCentre }: Plan): Trunk[] {
  const [edge] = edges;
  if (edge?.trunk === undefined || dataCentre === undefined) return [];
  const { reachedBy, port } = edge.trunk;
  return dataCentre.trunks.flatMap(({ id, places: [first] }) =>
    first === undefined
      ? []
      : [
          {
            dataCentre: id,
            edge: edge.id,
            local: { address: reachedBy, port },
            remote: { address: first.host, port: first.port },
          },
        ],
  );
}

export async function runSwitch(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, self, clock, random, log } = context;
  moderateTurns(SIGNALLING_TURNS);
  const zone = zoneOfSwitch(plan, id);
  const state = await openAdoptersState(context, zone);
  // Machines share no file.
  const vault =
    plan.machine === undefined
      ? openVault({ directory: plan.data, zone: zone.id, bootId: bootId(), random })
      : undefined;
  const directories = await watchDirectories(state, { clock, log });
  const { dataCentre } = plan;
  const watch = dataCentre && (await watchServing(state, { clock, log }));
  const pair = [zone, zoneNamed(plan, zone.twin)];
  const running = await startSwitch({
    id: id as SwitchId,
    zone: zone.id,
    switchesInZone: zone.switches.length,
    capacity: zone.capacity,
    // Several media processes of a zone share its switches.
    preferredMedia: zone.media[zone.switches.indexOf(id as SwitchId) % zone.media.length]!.id,
    self,
    socket: switchSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'switch', id),
    zoneSocket: zoneSocket(plan.data, zone.id),
    edges: plan.edges.map((edge) => placeOf(plan, 'edge', edge.id)),
    media: pair.flatMap(({ media }) => media.map((one) => placeOf(plan, 'media', one.id))),
    clock,
    random,
    state,
    sealer: sealer(loadOrCreateKeyFile(pairKeyFile(plan.data), random), random, vault ?? 'state'),
    tokens: tokensOf(plan),
    pairSecret: pairSecret(plan),
    directories,
    serverName: plan.serverName,
    ...(plan.state.checkpoints === false && { checkpoints: false }),
    ...(plan.keepLostPhoneMs !== undefined && { keepLostPhoneMs: plan.keepLostPhoneMs }),
    log,
    ...(dataCentre &&
      watch && {
        serving: { ...dataCentre, retryAfterSec: RETRY_AFTER_SEC, watch, trunks: trunksOf(plan) },
      }),
    usage: usageMeter(clock),
  });
  return async () => {
    await running.stop();
    directories.close();
    watch?.close();
    await state.close();
    vault?.close();
  };
}
