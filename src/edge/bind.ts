import type { AddressInfo, Server, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { TwinlineError } from '../base/index.ts';
import { markTraffic } from '../native/index.ts';
import type { Address, ListenerOptions, ListenerStatus } from './options.ts';
import { plainAddress } from './rim.ts';

/** Listens, or says in one sentence why not (PH-EDGE-03). */
export function bind(server: Server, options: ListenerOptions): Promise<ListenerStatus> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(bindError(options, error)));
    server.listen({ host: options.address, port: options.port, backlog: 1_024 }, () => {
      server.removeAllListeners('error');
      // Later errors (out of descriptors) concern one client, not the listener.
      server.on('error', () => {});
      markSocket(server, options.dscp);
      const { address, port } = server.address() as AddressInfo;
      resolve({ transport: options.transport, address, port });
    });
  });
}

/** Node has no call for it: the descriptor lies in the handle that it keeps for libuv. A connection must have begun. */
export function markSocket(socket: Server | Socket, dscp: number | undefined): void {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
  if (dscp !== undefined && handle?.fd !== undefined && handle.fd >= 0) markTraffic(handle.fd, dscp);
}

export function bindError({ transport, address, port }: ListenerOptions, error: unknown): TwinlineError {
  const what = `SIP over ${transport.toUpperCase()} cannot listen on ${address} port ${port}`;
  const cause = { cause: error };
  switch ((error as NodeJS.ErrnoException | TwinlineError).code) {
    case 'EADDRINUSE':
    case 'port_in_use':
      return new TwinlineError(
        'port_in_use',
        `${what}: another program uses it; end that program or choose another port.`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
    case 'not_permitted':
      return new TwinlineError(
        'not_permitted',
        `${what}: this user may not; choose a port above 1023 or grant the right.`,
        cause,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EINVAL':
    case 'bad_address':
    case 'address_unavailable':
      return new TwinlineError(
        'address_unavailable',
        `${what}: this machine has no such address; choose one of its own.`,
        cause,
      );
    default:
      return new TwinlineError(
        'listen_failed',
        `${what}: ${error instanceof Error ? error.message : String(error)}.`,
        cause,
      );
  }
}

/** The address that clients are told to reach us at, in Via and Contact. */
export function advertised({ advertise }: ListenerOptions, bound: Address, socket?: Socket): Address {
  const address = advertise?.host ?? (isWildcard(bound.address) ? reachable(socket) : bound.address);
  return { address, port: advertise?.port ?? bound.port };
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** Bound to every address: a connection knows the one that it came to; for datagrams the first outward one must do. */
function reachable(socket: Socket | undefined): string {
  if (socket?.localAddress) return plainAddress(socket.localAddress);
  const outward = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4');
  return outward?.address ?? '127.0.0.1';
}
