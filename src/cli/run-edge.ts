import type { EdgeId } from '../base/index.ts';
import { watchDirectories } from '../directory/index.ts';
import { startEdge } from '../edge/index.ts';
import { moderateTurns } from '../native/index.ts';
import { challenger } from '../registrar/index.ts';
import { certificateFile, certificateKeyFile, edgeSocket } from './paths.ts';
import { doorOf } from './places.ts';
import { edgeNamed, type ProcessContext, pairSecret, tokensOf } from './process-context.ts';
import { openReader } from './state-engine.ts';
import { SIGNALLING_TURNS } from './turns.ts';

/** Only challenges are made by it: a change may come a little later than to the switches, and an idle edge sleeps. */
const DIRECTORY_POLL_MS = 5_000;

export async function runEdge(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, clock, random, log } = context;
  moderateTurns(SIGNALLING_TURNS);
  // It reads the index of calls; whose side it looks from makes no difference.
  const state = await openReader(context, plan.zones[0]!);
  const tls = { certificateFile: certificateFile(plan.data), keyFile: certificateKeyFile(plan.data) };
  const { listeners, trunk } = edgeNamed(plan, id);
  const { dataCentre } = plan;
  const directories = await watchDirectories(state, { clock, log, later: true, pollMs: DIRECTORY_POLL_MS });
  const edge = await startEdge({
    id: id as EdgeId,
    listeners: listeners.map(({ transport, address, port, advertise, door }) => ({
      transport,
      address,
      port,
      dscp: plan.marking.signalling,
      ...(advertise !== undefined && { advertise: { host: advertise } }),
      ...(door !== undefined && { door: { proxies: door } }),
      ...((transport === 'tls' || transport === 'wss') && { tls }),
    })),
    ...(trunk !== undefined &&
      dataCentre !== undefined && {
        trunks: {
          dataCentre: dataCentre.dataCentre,
          address: trunk.address,
          port: trunk.port,
          advertise: { address: trunk.reachedBy, port: trunk.port },
          peers: dataCentre.trunks,
          certificates: dataCentre.certificates,
          dscp: plan.marking.signalling,
        },
      }),
    linkPath: edgeSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'edge', id),
    tokens: tokensOf(plan),
    state,
    challenge: challenger({
      directories,
      pairSecret: pairSecret(plan),
      clock,
      serverName: plan.serverName,
    }),
    clock,
    random,
    log,
  });
  return async () => {
    directories.close();
    await edge.close();
    await state.close();
  };
}
