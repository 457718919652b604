import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { advertised, bind } from './bind.ts';
import type { ClientCertificate, Connections, Guarded } from './connections.ts';
import type { Credentials } from './credentials.ts';
import type { ListenerOptions } from './options.ts';
import { type Listener, plainAddress, type Rim } from './rim.ts';
import { serveStream } from './stream.ts';

export async function listenTls(
  rim: Rim,
  connections: Connections,
  options: ListenerOptions,
  credentials: Credentials,
): Promise<Listener> {
  const handshakes = new Handshakes();
  const server = createServer({
    ...credentials.context,
    requestCert: credentials.asksClients,
    // Refused by ourselves, with the reason in the log.
    rejectUnauthorized: false,
    noDelay: true,
    handshakeTimeout: rim.limits.headerMs,
  });
  const bound = await bind(server, options);
  credentials.serve(server);
  // Before node's own listener wraps the socket: a connection over the limit costs no handshake.
  server.prependListener('connection', (socket) =>
    handshakes.began(socket, connections.guard(socket, 'tls')),
  );
  server.on('tlsClientError', (error, socket) => {
    rim.counters.add('connections_refused_total', 'reason="tls_handshake"');
    rim.log.info({ address: socket.remoteAddress, error: error.message }, 'edge.tls_handshake_failed');
  });
  server.on('secureConnection', (socket) => {
    handshakes.ended(socket);
    if (!hasUsableCertificate(rim, credentials, socket)) return;
    serveStream(rim, connections, socket, 'tls', advertised(options, bound, socket), certificateOf(socket));
  });
  return { bound, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Finds a socket's guard again when TLS, or TLS and HTTP, have been shaken hands over it: by the client's address and port. */
export class Handshakes {
  readonly #guards = new Map<string, Guarded>();

  began(
    socket: Peer & { once(event: 'close', action: () => void): unknown },
    guarded: Guarded | undefined,
  ): void {
    if (!guarded) return;
    const key = keyOf(socket);
    this.#guards.set(key, guarded);
    socket.once('close', () => this.#guards.delete(key));
  }

  ended(socket: Peer): void {
    const guarded = this.#guards.get(keyOf(socket));
    if (guarded) guarded.established = true;
  }
}

interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

const keyOf = ({ remoteAddress, remotePort }: Peer): string => `${remoteAddress}:${remotePort}`;

/** What is worth keeping of a client's certificate: undefined if it has none that is trusted. */
export function certificateOf(socket: Socket): ClientCertificate | undefined {
  if (!('authorized' in socket) || !socket.authorized) return undefined;
  const { subject, issuer, fingerprint256, valid_to } = (socket as TLSSocket).getPeerCertificate();
  if (fingerprint256 === undefined) return undefined;
  return {
    subject: String(subject.CN),
    issuer: String(issuer.CN),
    fingerprint: fingerprint256,
    validTo: valid_to,
  };
}

/** A client need not have a certificate; one that it shows must be good, and if it is not, the log says why and since when (TR-MEDIA-12). */
export function hasUsableCertificate(rim: Rim, credentials: Credentials, socket: TLSSocket): boolean {
  if (!credentials.asksClients || socket.authorized) return true;
  const certificate = socket.getPeerCertificate();
  if (!certificate || Object.keys(certificate).length === 0) return true;
  rim.counters.add('connections_refused_total', 'reason="client_certificate"');
  rim.log.warn(
    {
      address: plainAddress(socket.remoteAddress ?? ''),
      subject: certificate.subject?.CN,
      validTo: certificate.valid_to,
      error: String(socket.authorizationError),
    },
    'edge.client_certificate_refused',
  );
  socket.destroy();
  return false;
}
