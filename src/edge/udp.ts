import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { FlowId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { advertised, bindError } from './bind.ts';
import type { Address, ListenerOptions } from './options.ts';
import { type Listener, plainAddress, type Rim } from './rim.ts';

export interface UdpListener extends Listener {
  send(bytes: Uint8Array, to: Address): boolean;
}

/** Room for a burst while the loop is busy; the kernel caps it at net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Flow values are kept for as many phones, so that a message costs no new one. */
const KNOWN_FLOWS = 20_000;

/** `index`: the listener's place in the options, part of its flows' ids. */
export async function listenUdp(rim: Rim, options: ListenerOptions, index: number): Promise<UdpListener> {
  const isV6 = isIPv6(options.address);
  const socket = createSocket({
    type: isV6 ? 'udp6' : 'udp4',
    // Only addresses are ever sent to: no look-up, and no tick lost to one.
    lookup: (host, _options, answer) => answer(null, host, isV6 ? 6 : 4),
  });
  const { address, port } = await bindSocket(socket, options);
  const bound = { transport: 'udp', address, port } as const;
  const local = advertised(options, bound);
  const flows = new Map<string, Flow>();
  socket.on('message', (bytes, from) => {
    const key = `${from.address}:${from.port}`;
    let flow = flows.get(key);
    if (!flow) {
      const remote = { address: plainAddress(from.address), port: from.port };
      const id = udpFlowId(rim.edge, index, remote);
      flow = { id, edge: rim.edge, transport: 'udp', local, remote };
      if (flows.size >= KNOWN_FLOWS) flows.clear();
      flows.set(key, flow);
    }
    rim.receive(flow, bytes);
  });
  // An error of one datagram (too large, no route): SIP's retransmission or time-out deals with it.
  socket.on('error', (error) => rim.log.debug({ error: error.message, port }, 'edge.udp_error'));
  return {
    bound,
    send(bytes, to) {
      if (to.port < 1 || to.port > 65_535) return false;
      const isTo6 = to.address.includes(':');
      if (isTo6 && !isV6) return false;
      socket.send(bytes, to.port, isV6 && !isTo6 ? `::ffff:${to.address}` : to.address);
      return true;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function bindSocket(socket: Socket, options: ListenerOptions): Promise<Address> {
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => reject(bindError(options, error)));
    socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      try {
        socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
      } catch {
        // Without it bursts are a little shorter.
      }
      resolve(socket.address());
    });
  });
}

/** Means the same after the edge was started anew: no table that could be lost. */
const udpFlowId = (edge: string, index: number, { address, port }: Address): FlowId =>
  `u:${edge}:${index}:${address}:${port}` as FlowId;

/** The listener's index and the client's address, or undefined if it is no UDP flow of this edge. */
export function readUdpFlow(edge: string, flow: FlowId): { index: number; remote: Address } | undefined {
  const prefix = `u:${edge}:`;
  if (!flow.startsWith(prefix)) return undefined;
  const indexEnd = flow.indexOf(':', prefix.length);
  const addressEnd = flow.lastIndexOf(':');
  if (indexEnd === -1 || addressEnd <= indexEnd) return undefined;
  const index = Number(flow.slice(prefix.length, indexEnd));
  const port = Number(flow.slice(addressEnd + 1));
  if (!Number.isInteger(index) || !Number.isInteger(port)) return undefined;
  return { index, remote: { address: flow.slice(indexEnd + 1, addressEnd), port } };
}
