import type { Socket } from 'node:net';
import type { TransportName } from '../link/index.ts';
import { StreamFramer } from '../sip/index.ts';
import type { ClientCertificate, Connection, Connections } from './connections.ts';
import type { Address } from './options.ts';
import type { Rim } from './rim.ts';

const PONG = Buffer.from('\r\n');

/** SIP over a stream of bytes, TCP or TLS: messages are cut by Content-Length (RFC 3261 §18.3), double CRLFs answered (RFC 5626 §4.4.1). */
export function serveStream(
  rim: Rim,
  connections: Connections,
  socket: Socket,
  transport: TransportName,
  local: Address,
  certificate?: ClientCertificate,
): void {
  const nowMs = rim.clock.nowMs();
  const framer = new StreamFramer({ maxBodyBytes: rim.limits.messageBytes });
  const connection: Connection = {
    flow: connections.newFlow(transport, local, socket),
    certificate,
    unsent: () => socket.writableLength,
    write: (bytes) => socket.write(bytes),
    end: (atOnce) => (atOnce ? socket.destroy() : socket.destroySoon()),
    partialSinceMs: undefined,
    hasSpoken: false,
    heardMs: nowMs,
    sentMs: nowMs,
    pingedMs: 0,
  };
  const { flow } = connection;
  connections.add(connection);
  // The guard's listener is on the socket below TLS.
  socket.on('error', () => {});
  socket.on('close', () => connections.remove(connection));
  socket.on('data', (chunk) => {
    connection.heardMs = rim.clock.nowMs();
    let wholeOnes = 0;
    for (const event of framer.push(chunk)) {
      // What was asked behind the end of a connection is not heard any more.
      if (!connections.has(flow.id)) return;
      if (event.type === 'message') {
        wholeOnes++;
        connection.hasSpoken = true;
        rim.receive(flow, event.bytes);
      } else if (event.type === 'ping') {
        rim.counters.add('keepalives_total', 'kind="crlf"');
        connections.send(flow.id, PONG);
      } else if (event.type === 'error') {
        rim.log.info({ flow: flow.id, reason: event.reason }, 'edge.stream_unreadable');
        rim.receiveUnreadable(flow, chunk);
        connections.close(flow.id, event.reason);
        return;
      }
    }
    if (framer.heldBytes === 0) connection.partialSinceMs = undefined;
    else if (wholeOnes > 0) connection.partialSinceMs = connection.heardMs;
    else connection.partialSinceMs ??= connection.heardMs;
  });
}
