import { createServer } from 'node:net';
import { advertised, bind } from './bind.ts';
import type { Connections } from './connections.ts';
import type { ListenerOptions } from './options.ts';
import type { Listener, Rim } from './rim.ts';
import { serveStream } from './stream.ts';

export async function listenTcp(
  rim: Rim,
  connections: Connections,
  options: ListenerOptions,
): Promise<Listener> {
  const server = createServer({ noDelay: true });
  const bound = await bind(server, options);
  server.on('connection', (socket) => {
    const guarded = connections.guard(socket, 'tcp');
    if (!guarded) return;
    guarded.established = true;
    serveStream(rim, connections, socket, 'tcp', advertised(options, bound, socket));
  });
  return { bound, close: () => new Promise((resolve) => server.close(() => resolve())) };
}
