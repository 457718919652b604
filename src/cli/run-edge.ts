import type { EdgeId } from '../base/index.ts';
import { startEdge } from '../edge/index.ts';
import { certificateFile, certificateKeyFile, edgeSocket } from './paths.ts';
import { doorOf } from './places.ts';
import { edgeNamed, type ProcessContext, tokensOf } from './process-context.ts';
import { openReader } from './state-engine.ts';

export async function runEdge(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, clock, random, log } = context;
  // It reads the index of calls; whose side it looks from makes no difference.
  const state = await openReader(context, plan.zones[0]!);
  const tls = { certificateFile: certificateFile(plan.data), keyFile: certificateKeyFile(plan.data) };
  const { listeners, trunk } = edgeNamed(plan, id);
  const { dataCentre } = plan;
  const edge = await startEdge({
    id: id as EdgeId,
    listeners: listeners.map(({ transport, address, port, advertise, door }) => ({
      transport,
      address,
      port,
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
        },
      }),
    linkPath: edgeSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'edge', id),
    tokens: tokensOf(plan),
    state,
    clock,
    random,
    log,
  });
  return async () => {
    await edge.close();
    await state.close();
  };
}
