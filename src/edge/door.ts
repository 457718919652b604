import type { FlowId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { parseAddress, type UdpAddress } from '../native/index.ts';
import type { Address } from './options.ts';

/**
 * The plain-SIP door: a UDP listener for proxies that hold the phones' connections in our stead (Kamailio). Such a proxy is known by its
 * address; what it says of its clients (Path, Record-Route, the `received` of their Via) is believed, and no source limit is put on it,
 * for behind it stand all the phones. Strangers meet silence. A door's flow names the proxy and no edge, because every door reaches it:
 * when an edge dies, its calls' messages leave by another's door.
 */
export interface DoorOptions {
  /** Addresses of the proxies that may come in here. */
  readonly proxies: readonly string[];
}

const PREFIX = 'd:';

export const doorFlowId = ({ address, port }: Address): FlowId => `${PREFIX}${address}:${port}` as FlowId;

export const isDoorFlow = (flow: FlowId): boolean => flow.startsWith(PREFIX);

/** The proxy's address, or undefined where the id is of another kind. */
export function readDoorFlow(flow: FlowId): Address | undefined {
  const portAt = flow.lastIndexOf(':');
  if (!isDoorFlow(flow) || portAt <= PREFIX.length) return undefined;
  return { address: flow.slice(PREFIX.length, portAt), port: Number(flow.slice(portAt + 1)) };
}

export function doorFlow(edge: Flow['edge'], local: Address, remote: Address): Flow {
  return { id: doorFlowId(remote), edge, transport: 'udp', local, remote, door: true };
}

/** Whether a datagram's sender is one of the proxies. Ports are theirs to choose. */
export function proxyCheck({ proxies }: DoorOptions): (source: UdpAddress) => boolean {
  const known = new Set(proxies.map((proxy) => hostOf(parseAddress(proxy, 1))));
  return (source) => known.has(hostOf(source));
}

const hostOf = (address: UdpAddress | undefined): string =>
  address === undefined
    ? ''
    : `${address.family} ${address.words.slice(0, address.family === 4 ? 1 : 4).join(' ')}`;
