import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, TwinlineError } from '../base/index.ts';

export interface HttpOptions {
  readonly address: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Prometheus' text form. */
  readonly metrics: () => Promise<string>;
  /** Whether calls can be made: a zone serves and an edge is up, and no other data centre serves in place of this one. */
  readonly healthy: () => Promise<boolean>;
  readonly log: Logger;
}

export interface HttpDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** Control's plain HTTP door for those who watch: `GET /metrics` and `GET /health`. Rejects with `port_in_use`. */
export function startHttp(options: HttpOptions): Promise<HttpDoor> {
  const { address, port, log } = options;
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 8_192 },
    (request, response) => {
      answer(options, request, response).catch((error: unknown) => {
        log.warn({ url: request.url, error: String(error) }, 'http.failed');
        if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' });
        response.end('the answer could not be made; the log says why\n');
      });
    },
  );
  server.maxConnections = 64;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be opened: ${error.message}`;
      reject(new TwinlineError('port_in_use', `TCP port ${port} on ${address} (HTTP) ${why}`));
    });
    server.listen(port, address, () => {
      server.removeAllListeners('error');
      server.on('error', (error) => log.warn({ error: String(error) }, 'http.error'));
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function answer(
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Type': 'text/plain' }).end('only GET and HEAD\n');
    return;
  }
  switch (path) {
    case '/metrics':
      response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
      response.end(await options.metrics());
      return;
    case '/health': {
      const healthy = await options.healthy();
      response.writeHead(healthy ? 200 : 503, { 'Content-Type': 'text/plain' });
      response.end(healthy ? 'ok\n' : 'no zone serves behind an edge, or another data centre serves\n');
      return;
    }
    default:
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('there are /metrics and /health\n');
  }
}
