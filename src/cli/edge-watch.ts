import type { Clock, Logger, Random } from '../base/index.ts';
import { connectLink, type LinkClient, type Peer, type ProcessRef } from '../link/index.ts';
import { Heartbeat, readProcessFacts } from '../zone/index.ts';

export interface EdgeWatchOptions {
  readonly edges: readonly { readonly id: string; readonly socket: string }[];
  readonly self: Peer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** That edge process hangs: it is to be killed, so that it is started again. */
  readonly onHung: (edge: ProcessRef) => void;
}

/** Asks every edge whether it lives. An edge belongs to no zone, so it is watched by who starts it. Gives what ends the watch. */
export function watchEdges({ edges, self, clock, random, log, onHung }: EdgeWatchOptions): () => void {
  const watched = new Map<string, ProcessRef>();
  const heartbeat = new Heartbeat({
    clock,
    log,
    look: readProcessFacts,
    onSilent: (id) => {
      const edge = watched.get(id);
      if (edge === undefined) return;
      log.error({ edge: id, pid: edge.pid }, 'launcher.edge_hangs');
      onHung(edge);
    },
  });
  const clients = edges.map(
    ({ id, socket }): LinkClient =>
      connectLink({
        path: socket,
        self,
        clock,
        random,
        log,
        onChannel: (channel) => {
          const { pid, startTime } = channel.peer;
          watched.set(id, { role: 'edge', id, pid, startTime });
          heartbeat.watch(id, channel, watched.get(id));
          // An edge that has ended is started anyway, and does not answer until it is up.
          channel.onClose(() => heartbeat.forget(id));
        },
      }),
  );
  heartbeat.start();
  return () => {
    heartbeat.stop();
    for (const client of clients) client.close('the launcher ends');
  };
}
