import type { Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { TwinlineError } from '../base/index.ts';
import { Acceptor } from './acceptor.ts';
import {
  checkName,
  type LinkCredentials,
  mismatch,
  namesOf,
  TLS13,
  wrongCertificate,
} from './certificates.ts';
import type { Peer } from './channel.ts';
import { keepConnected } from './client.ts';
import type { ConnectOptions, LinkClient, LinkListener, LinkOptions } from './options.ts';

const HANDSHAKE_MS = 5000;

/** Serves links by mutual TLS 1.3. `reload` changes the certificate for new connections and drops none. */
export async function listenTlsLink(
  options: LinkOptions & {
    readonly host: string;
    readonly port: number;
    readonly credentials: LinkCredentials;
    /** The name that the certificate of this peer must bear; undefined: none does. Default `role:id`. */
    readonly certificateOf?: (peer: Peer) => string | undefined;
  },
): Promise<LinkListener & { readonly port: number; reload(credentials: LinkCredentials): void }> {
  const { host, port, credentials, log, certificateOf = ownName } = options;
  const acceptor = new Acceptor(options, true);
  const server = createServer({
    ...credentials,
    ...TLS13,
    requestCert: true,
    // By `wrongCertificate`: Node drops such a peer without a word about which certificate it had.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', (error, socket) => {
    log.warn({ remote: socket.remoteAddress, reason: error.message }, 'link.tls_refused');
  });
  server.on('secureConnection', (socket) => {
    const wrong = wrongCertificate(socket, options.clock.utcMs());
    if (wrong !== undefined) {
      log.warn({ remote: socket.remoteAddress, reason: wrong }, 'link.tls_refused');
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const names = namesOf(socket.getPeerCertificate());
    acceptor.accept(socket, (peer) => {
      const wanted = certificateOf(peer);
      if (wanted === undefined) return `${ownName(peer)} has no business here`;
      return names.includes(wanted) ? undefined : mismatch(wanted, names);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new TwinlineError(
          'link_in_use',
          `cannot listen on ${host}:${port} for links (${cause.code}): choose another`,
          {
            cause,
          },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    reload: (renewed) => server.setSecureContext({ ...renewed, ...TLS13 }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        acceptor.closeAll('the listener was closed');
        // Those still in their handshake have no channel that could be closed.
        for (const socket of sockets) if (!socket.destroyed && socket.bytesRead === 0) socket.destroy();
      }),
  };
}

/** Connects by mutual TLS 1.3 for ever; only `expect` is talked to, however valid another's certificate. */
export function connectTlsLink(
  options: ConnectOptions & {
    readonly host: string;
    readonly port: number;
    /** Read anew for each attempt, so that a renewed certificate is used without a restart. */
    readonly credentials: LinkCredentials | (() => LinkCredentials);
    /** Whom we mean to reach: the greeting must bear this name, and the certificate. */
    readonly expect: { readonly role: string; readonly id: string };
    /** The name in the certificate, where it is not `role:id`. */
    readonly certificate?: string;
  },
): LinkClient {
  const { host, port, credentials, expect } = options;
  const greeted = ownName(expect);
  const expected = options.certificate ?? greeted;
  const refuse = (peer: { readonly role: string; readonly id: string }): string | undefined =>
    ownName(peer) === greeted ? undefined : `${ownName(peer)} answers where ${greeted} was meant`;
  return keepConnected(
    {
      open: () =>
        connect({
          host,
          port,
          ...(typeof credentials === 'function' ? credentials() : credentials),
          ...TLS13,
          // By `check`, before anything is said.
          rejectUnauthorized: false,
          checkServerIdentity: checkName(expected),
        }).setNoDelay(true) as TLSSocket,
      ready: 'secureConnect',
      check: (socket) => wrongCertificate(socket as TLSSocket, options.clock.utcMs()),
      remainingDeadlines: true,
      target: `${host}:${port}`,
    },
    { ...options, refuse: (peer) => refuse(peer) ?? options.refuse?.(peer) },
  );
}

const ownName = ({ role, id }: { readonly role: string; readonly id: string }): string => `${role}:${id}`;
