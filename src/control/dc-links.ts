import type { Clock, Logger, Random } from '../base/index.ts';
import {
  type Channel,
  connectTlsLink,
  DcCredentials,
  type Frame,
  type LinkClient,
  listenTlsLink,
  type Peer,
} from '../link/index.ts';

/** What a half-open connection is noticed by: far below the time after which a data centre is lost. */
const PING = { everyMs: 1000, timeoutMs: 3000 };
/** Quick enough that a data centre which is back is met before its phones have come back to it. */
const RETRY = { firstMs: 100, maxMs: 500 };

export interface DataCentrePeer {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

export interface DataCentreLinkOptions {
  readonly dataCentre: string;
  /** Where the others come in. */
  readonly meet: { readonly address: string; readonly port: number };
  readonly peers: readonly DataCentrePeer[];
  /** Holds `ca.crt`, `dc.crt` and `dc.key`. */
  readonly certificates: string;
  readonly self: Peer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A request of a peer. */
  readonly onFrame: (peer: string, frame: Frame) => Promise<Frame | undefined>;
}

export interface DataCentreLinks {
  channel(peer: string): Channel | undefined;
  close(): Promise<void>;
}

/**
 * Links between data centres: mutual TLS 1.3, each end named `dc:ID` by its certificate (TR-MEDIA-04). Of two the one whose id sorts first
 * connects. Rejects with `dc_certificates` when ours cannot be used.
 */
export async function linkDataCentres(options: DataCentreLinkOptions): Promise<DataCentreLinks> {
  const { dataCentre, meet, peers, clock, random, log, onFrame } = options;
  const self: Peer = { ...options.self, role: 'dc', id: dataCentre };
  const channels = new Map<string, Channel>();
  const known = (id: string): boolean => peers.some((peer) => peer.id === id);
  const shared = { self, clock, log, ping: PING };
  const accept = (channel: Channel): void => {
    const { id } = channel.peer;
    const before = channels.get(id);
    channels.set(id, channel);
    before?.close('it was connected anew');
    log.info({ peer: id }, 'dc.met');
    channel.onFrame((frame) => onFrame(id, frame));
    channel.onClose((reason) => {
      if (channels.get(id) !== channel) return;
      channels.delete(id);
      log.warn({ peer: id, reason }, 'dc.out_of_sight');
    });
  };
  const credentials = new DcCredentials({
    directory: options.certificates,
    clock,
    log,
    onChanged: (renewed) => listener.reload(renewed),
  });
  const listener = await listenTlsLink({
    ...shared,
    host: meet.address,
    port: meet.port,
    credentials: credentials.present,
    refuse: ({ role, id }) =>
      role === 'dc' && known(id) ? undefined : `data centre ${dataCentre} meets no ${role} ${id}`,
    onChannel: accept,
  }).catch((error: unknown) => {
    credentials.close();
    throw error;
  });
  const clients = peers
    .filter(({ id }) => dataCentre < id)
    .map(({ id, host, port }): LinkClient => {
      let told = '';
      return connectTlsLink({
        ...shared,
        random,
        host,
        port,
        credentials: () => credentials.present,
        expect: { role: 'dc', id },
        retry: RETRY,
        onChannel: accept,
        onState: (state, reason) => {
          // Tried for ever; each reason is said once.
          if (state === 'down' && reason !== told) log.warn({ peer: id, reason }, 'dc.not_reached');
          if (state !== 'connecting') told = reason;
        },
      });
    });
  return {
    channel: (peer) => channels.get(peer),
    async close() {
      credentials.close();
      for (const client of clients) client.close('control ends');
      await listener.close();
    },
  };
}
