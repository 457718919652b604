import { isUtf8 } from 'node:buffer';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { advertised, bind } from './bind.ts';
import type { Connection, Connections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import type { Address, ListenerOptions } from './options.ts';
import type { Listener, Rim } from './rim.ts';
import { certificateOf, Handshakes, hasUsableCertificate } from './tls.ts';

const PING = '\r\n\r\n';
const PONG = Buffer.from('\r\n');

/** SIP over WebSocket (RFC 7118), with TLS when there are credentials. */
export async function listenWs(
  rim: Rim,
  connections: Connections,
  options: ListenerOptions,
  credentials?: Credentials,
): Promise<Listener> {
  const transport = credentials ? 'wss' : 'ws';
  const http = {
    headersTimeout: rim.limits.headerMs,
    requestTimeout: rim.limits.headerMs,
    // The guard's deadline holds for all handshakes; node's own check would wake an idle process.
    connectionsCheckingInterval: 3_600_000,
    maxHeaderSize: 16 * 1024,
  };
  const server = credentials
    ? createSecureServer({
        ...http,
        ...credentials.context,
        requestCert: credentials.asksClients,
        rejectUnauthorized: false,
        handshakeTimeout: rim.limits.headerMs,
      })
    : createServer(http);
  const handshakes = new Handshakes();
  const bound = await bind(server, options);
  if (credentials && 'setSecureContext' in server) credentials.serve(server);
  server.prependListener('connection', (socket: Socket) =>
    handshakes.began(socket, connections.guard(socket, transport)),
  );
  server.on('tlsClientError', (error: Error) => {
    rim.counters.add('connections_refused_total', 'reason="tls_handshake"');
    rim.log.info({ error: error.message }, 'edge.tls_handshake_failed');
  });
  server.on('request', (_request, response) => {
    response.writeHead(426, { Upgrade: 'websocket', Connection: 'close', 'Content-Type': 'text/plain' });
    response.end('This is a SIP server: connect by WebSocket with the subprotocol "sip" (RFC 7118).\n');
  });
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // A compressor per connection costs far more memory than the connection.
    perMessageDeflate: false,
    maxPayload: rim.limits.messageBytes,
    handleProtocols: () => 'sip',
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {});
    const refusal = whyRefused(request, options);
    if (refusal !== undefined) {
      rim.counters.add('connections_refused_total', 'reason="websocket_handshake"');
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    if (credentials && !hasUsableCertificate(rim, credentials, socket as TLSSocket)) return;
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      handshakes.ended(socket);
      serveWebSocket(rim, connections, webSocket, socket, transport, advertised(options, bound, socket));
    });
  });
  return {
    bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The client must ask for `sip` (RFC 7118 §4.1), and come from a page that may, where pages are named. */
function whyRefused(request: IncomingMessage, { origins }: ListenerOptions): string | undefined {
  const asked = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
  if (!asked.includes('sip')) return '400 Bad Request';
  const { origin } = request.headers;
  return origins && (origin === undefined || !origins.includes(origin)) ? '403 Forbidden' : undefined;
}

function serveWebSocket(
  rim: Rim,
  connections: Connections,
  webSocket: WebSocket,
  socket: Socket,
  transport: 'ws' | 'wss',
  local: Address,
): void {
  const nowMs = rim.clock.nowMs();
  let speaksBinary = false;
  const connection: Connection = {
    flow: connections.newFlow(transport, local, socket),
    certificate: certificateOf(socket),
    unsent: () => webSocket.bufferedAmount,
    // Text where it can be text: browsers' stacks expect it unless they speak binary themselves (RFC 7118 §5.1).
    write: (bytes) => webSocket.send(bytes, { binary: speaksBinary || !isUtf8(bytes) }),
    end: (atOnce) => (atOnce ? webSocket.terminate() : webSocket.close(1000)),
    ping: () => webSocket.ping(),
    partialSinceMs: undefined,
    hasSpoken: false,
    heardMs: nowMs,
    sentMs: nowMs,
    pingedMs: 0,
  };
  const { flow } = connection;
  connections.add(connection);
  // Also what is no WebSocket frame, or larger than allowed: `ws` closes the connection by itself.
  webSocket.on('error', (error) =>
    rim.log.info({ flow: flow.id, error: error.message }, 'edge.websocket_error'),
  );
  webSocket.on('close', () => connections.remove(connection));
  webSocket.on('pong', () => {
    connection.heardMs = rim.clock.nowMs();
  });
  webSocket.on('message', (data: Buffer, isBinary) => {
    if (!connections.has(flow.id)) return;
    connection.heardMs = rim.clock.nowMs();
    if (data.length <= PING.length && data.toString('latin1').trim() === '') {
      rim.counters.add('keepalives_total', 'kind="crlf"');
      if (data.length === PING.length) connections.send(flow.id, PONG);
      return;
    }
    speaksBinary = isBinary;
    connection.hasSpoken = true;
    rim.receive(flow, data);
  });
}
