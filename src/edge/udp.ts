import type { FlowId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import {
  formatAddress,
  noteTurn,
  openUdpLoop,
  type PacketBatch,
  parseAddress,
  settleSoon,
  UdpAddress,
  type UdpLoop,
  type UdpSocket,
} from '../native/index.ts';
import { advertised, bindError } from './bind.ts';
import { doorFlow, proxyCheck, readDoorFlow } from './door.ts';
import type { Address, ListenerOptions } from './options.ts';
import type { Listener, Rim } from './rim.ts';

interface UdpListener extends Listener {
  send(bytes: Uint8Array, to: UdpAddress): boolean;
}

/** Room for a burst while the loop is busy; the kernel caps it at net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Flow values are kept for as many phones, so that a message costs no new one. */
const KNOWN_FLOWS = 20_000;
/** What a datagram can hold (RFC 768): SIP has no smaller limit of its own (RFC 3261 §18.1.1). */
const LONGEST_DATAGRAM_BYTES = 65_535;
/** Datagrams read by one system call; a megabyte of addresses, of which only what was written to takes memory. */
const SLOTS = 16;

/** The UDP listeners of one edge: their sockets share one loop, and what is sent finds its socket by the flow. */
export class UdpListeners {
  readonly #rim: Rim;
  readonly #use: 'kernel' | 'dgram' | undefined;
  /** By the listener's place in the options, part of its flows' ids. */
  readonly #byIndex = new Map<number, UdpListener>();
  /** Of flows that were heard of lately, so that sending needs no parsing. */
  readonly #known = new Map<FlowId, { listener: UdpListener; remote: UdpAddress }>();
  readonly #doors: UdpListener[] = [];
  #loop: UdpLoop | undefined;

  /** `use` overrides the choice by platform, for tests of the fallback. */
  constructor(rim: Rim, use?: 'kernel' | 'dgram') {
    this.#rim = rim;
    this.#use = use;
  }

  /** Throws what `bindError` says. */
  listen(options: ListenerOptions, index: number): Listener {
    let socket: UdpSocket;
    try {
      this.#loop ??= openUdpLoop(this.#use, {
        longestPacketBytes: LONGEST_DATAGRAM_BYTES,
        slots: SLOTS,
      });
      socket = this.#loop.open({
        address: options.address,
        port: options.port,
        receiveBufferBytes: RECEIVE_BUFFER_BYTES,
        dualStack: true,
        ...(options.dscp !== undefined && { dscp: options.dscp }),
      });
    } catch (error) {
      throw bindError(options, error);
    }
    const { local } = socket;
    const bound = { transport: 'udp', address: formatAddress(local), port: local.port } as const;
    const listener: UdpListener = {
      bound,
      send: (bytes, to) => this.#send(socket, bytes, to),
      close: async () => socket.close(),
    };
    this.#byIndex.set(index, listener);
    if (options.door !== undefined) this.#doors.push(listener);
    this.#receive(socket, listener, options, index, advertised(options, bound));
    return listener;
  }

  /** Sends to the flow's own address, or to `to`. False for a flow that no listener of this edge can have had. */
  send(flow: FlowId, bytes: Uint8Array, to?: Address): boolean {
    const known = this.#known.get(flow);
    if (known !== undefined && to === undefined) return known.listener.send(bytes, known.remote);
    const proxy = readDoorFlow(flow);
    const read = readUdpFlow(this.#rim.edge, flow);
    const listener = proxy === undefined ? read && this.#byIndex.get(read.index) : this.#doors[0];
    const { address, port } = to ?? proxy ?? read?.remote ?? NOWHERE;
    const remote = parseAddress(address, port);
    return listener !== undefined && remote !== undefined && listener.send(bytes, remote);
  }

  /** After the listeners. */
  close(): void {
    this.#loop?.close();
  }

  #receive(
    socket: UdpSocket,
    listener: UdpListener,
    { door }: ListenerOptions,
    index: number,
    local: Address,
  ): void {
    const isProxy = door && proxyCheck(door);
    const rim = this.#rim;
    const flows = new Map<string | number, Flow>();
    const flowOf = (source: UdpAddress): Flow => {
      const key = keyOf(source);
      const known = flows.get(key);
      if (known) return known;
      const remote = { address: formatAddress(unmapped(source)), port: source.port };
      const flow: Flow =
        door === undefined
          ? { id: udpFlowId(rim.edge, index, remote), edge: rim.edge, transport: 'udp', local, remote }
          : doorFlow(rim.edge, local, remote);
      if (flows.size >= KNOWN_FLOWS) {
        flows.clear();
        this.#known.clear();
      }
      flows.set(key, flow);
      this.#known.set(flow.id, { listener, remote: source.clone() });
      return flow;
    };
    socket.resume((batch: PacketBatch) => {
      // The state may be asked, and the loop's callback is none in which promises settle by themselves.
      settleSoon();
      noteTurn();
      for (let at = 0; at < batch.count; at++) {
        const source = batch.sources[at]!;
        if (isProxy && !isProxy(source)) {
          rim.counters.add('dropped_total', 'reason="stranger_at_door"');
          continue;
        }
        const length = batch.lengths[at]!;
        // A copy: the batch is lent, the message is kept until a switch has acknowledged it.
        const bytes = Buffer.from(batch.buffers[at]!.subarray(0, length));
        rim.receive(flowOf(source), bytes);
      }
    });
  }

  #send(socket: UdpSocket, bytes: Uint8Array, to: UdpAddress): boolean {
    if (to.port === 0 || !socket.open) return false;
    const remote = fitted(to, socket.local.family);
    if (remote === undefined) return false;
    // Refused by the kernel (too large, no route, buffer full): SIP's retransmission or time-out deals with it.
    if (!socket.send(bytes, bytes.length, remote))
      this.#rim.log.debug({ to: String(to), bytes: bytes.length }, 'edge.udp_unsent');
    return true;
  }
}

const NOWHERE: Address = { address: '', port: 0 };

/** IPv4 leaves an IPv6 socket in IPv6 clothes (RFC 4291 §2.5.5.2); the other way round there are none. */
function fitted(to: UdpAddress, family: 4 | 6): UdpAddress | undefined {
  if (to.family === family) return to;
  if (family === 4) return undefined;
  const mapped = new UdpAddress();
  mapped.family = 6;
  mapped.port = to.port;
  mapped.words[2] = 0xffff;
  mapped.words[3] = to.words[0]!;
  return mapped;
}

function unmapped(source: UdpAddress): UdpAddress {
  const { words } = source;
  if (source.family === 4 || words[0] !== 0 || words[1] !== 0 || words[2] !== 0xffff) return source;
  const plain = new UdpAddress();
  plain.port = source.port;
  plain.words[0] = words[3]!;
  return plain;
}

/** One number for IPv4: no text is made per datagram. */
function keyOf(source: UdpAddress): string | number {
  if (source.family === 4) return (source.words[0]! >>> 0) * 65_536 + source.port;
  return String(source);
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
