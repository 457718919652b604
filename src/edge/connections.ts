import type { Socket } from 'node:net';
import { type FlowId, randomText, type Timer } from '../base/index.ts';
import type { Flow, TransportName } from '../link/index.ts';
import type { Address } from './options.ts';
import { plainAddress, type Rim } from './rim.ts';

export interface ClientCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** Of SHA-256, in colons. */
  readonly fingerprint: string;
  readonly validTo: string;
}

/** One client's connection over TCP, TLS, WS or WSS. */
export interface Connection {
  readonly flow: Flow;
  /** The certificate that the client showed and that its CA vouches for. */
  readonly certificate: ClientCertificate | undefined;
  /** Bytes that the client has not taken yet. */
  unsent(): number;
  write(bytes: Uint8Array): void;
  /** Ends it after what is unsent, or at once. */
  end(atOnce: boolean): void;
  /** Asks whether the client is still there, where the transport can. */
  ping?(): void;
  /** When the message that is not whole yet began to come. */
  partialSinceMs: number | undefined;
  /** It has sent at least one whole message. */
  hasSpoken: boolean;
  /** When something last came from it, or went to it. */
  heardMs: number;
  sentMs: number;
  pingedMs: number;
}

export interface Guarded {
  readonly socket: Socket;
  readonly acceptedMs: number;
  /** Handshakes are over. */
  established: boolean;
}

const SWEEP_MS = 1_000;
/** A WebSocket that was silent so long is asked (RFC 7118 §6), and closed when it has not answered after as long again. */
const PING_MS = 30_000;
/** How long a connection that we end may take to read the rest. */
const LINGER_MS = 2_000;

/**
 * All connections of the edge: how many there may be, how long they may be silent or slow, how much they may leave unread. What
 * is closed leaves nothing behind.
 */
export class Connections {
  readonly #rim: Rim;
  readonly #byFlow = new Map<FlowId, { connection: Connection; openedMs: number }>();
  readonly #guarded = new Set<Guarded>();
  readonly #perSource = new Map<string, number>();
  #sweep: Timer | undefined;

  constructor(rim: Rim) {
    this.#rim = rim;
  }

  /** Every socket that was accepted, before any handshake. Undefined: there are too many, it is gone. */
  guard(socket: Socket, transport: TransportName): Guarded | undefined {
    const { limits, counters, clock } = this.#rim;
    // Without a listener an error of any client would end the process.
    socket.on('error', () => {});
    const address = plainAddress(socket.remoteAddress ?? '');
    const ofSource = this.#perSource.get(address) ?? 0;
    const refusal =
      address === ''
        ? 'gone'
        : this.#guarded.size >= limits.connections
          ? 'total'
          : ofSource >= limits.connectionsPerSource
            ? 'per_source'
            : undefined;
    if (refusal !== undefined) {
      counters.add('connections_refused_total', `reason="${refusal}"`);
      socket.destroy();
      return undefined;
    }
    counters.add('connections_total', `transport="${transport}"`);
    const guarded: Guarded = { socket, acceptedMs: clock.nowMs(), established: false };
    this.#guarded.add(guarded);
    this.#perSource.set(address, ofSource + 1);
    socket.once('close', () => {
      this.#guarded.delete(guarded);
      const left = (this.#perSource.get(address) ?? 1) - 1;
      if (left > 0) this.#perSource.set(address, left);
      else this.#perSource.delete(address);
    });
    // Finds out about peers that went without a word; phones also send keep-alives of their own.
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    this.#armSweep();
    return guarded;
  }

  newFlow(transport: TransportName, local: Address, socket: Socket): Flow {
    return {
      id: `${transport}:${this.#rim.edge}:${randomText(this.#rim.random, 16)}` as FlowId,
      edge: this.#rim.edge,
      transport,
      local,
      remote: { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 },
    };
  }

  add(connection: Connection): void {
    this.#byFlow.set(connection.flow.id, { connection, openedMs: this.#rim.clock.nowMs() });
    this.#armSweep();
  }

  /** It has ended, whoever ended it. */
  remove(connection: Connection): void {
    if (this.#byFlow.delete(connection.flow.id)) this.#rim.flowClosed(connection.flow.id);
  }

  has(flow: FlowId): boolean {
    return this.#byFlow.has(flow);
  }

  send(flow: FlowId, bytes: Uint8Array): boolean {
    const connection = this.#byFlow.get(flow)?.connection;
    if (!connection) return false;
    if (connection.unsent() + bytes.length > this.#rim.limits.unsentBytes) {
      this.#drop(connection, 'unread', true);
      return false;
    }
    connection.sentMs = this.#rim.clock.nowMs();
    connection.write(bytes);
    return true;
  }

  close(flow: FlowId, reason: string): void {
    const connection = this.#byFlow.get(flow)?.connection;
    if (!connection) return;
    this.#rim.log.info({ flow, reason }, 'edge.flow_closed');
    this.#drop(connection, 'closed_by_us', false);
  }

  certificateOf(flow: FlowId): ClientCertificate | undefined {
    return this.#byFlow.get(flow)?.connection.certificate;
  }

  counts(): Partial<Record<TransportName, number>> {
    const counts: Partial<Record<TransportName, number>> = {};
    for (const { connection } of this.#byFlow.values()) {
      const { transport } = connection.flow;
      counts[transport] = (counts[transport] ?? 0) + 1;
    }
    return counts;
  }

  /** Sockets, also those in the middle of a handshake. */
  get sockets(): number {
    return this.#guarded.size;
  }

  closeAll(): void {
    this.#sweep?.cancel();
    for (const { socket } of this.#guarded) socket.destroy();
  }

  #drop(connection: Connection, reason: string, atOnce: boolean): void {
    this.#rim.counters.add('connections_refused_total', `reason="${reason}"`);
    connection.end(atOnce);
    if (!atOnce) this.#rim.clock.after(LINGER_MS, () => connection.end(true));
    this.remove(connection);
  }

  /** Once a second, while there is any connection. */
  #armSweep(): void {
    this.#sweep ??= this.#rim.clock.after(SWEEP_MS, () => {
      this.#sweep = undefined;
      const nowMs = this.#rim.clock.nowMs();
      const { headerMs } = this.#rim.limits;
      for (const guarded of this.#guarded) {
        if (guarded.established || guarded.socket.destroyed || nowMs - guarded.acceptedMs <= headerMs)
          continue;
        this.#rim.counters.add('connections_refused_total', 'reason="slow_handshake"');
        guarded.socket.destroy();
      }
      for (const { connection, openedMs } of this.#byFlow.values()) {
        const reason = this.#overdue(connection, openedMs, nowMs);
        if (reason !== undefined) this.#drop(connection, reason, true);
      }
      if (this.#guarded.size > 0) this.#armSweep();
    });
  }

  #overdue(connection: Connection, openedMs: number, nowMs: number): string | undefined {
    const { headerMs, silentMs, idleMs } = this.#rim.limits;
    const { partialSinceMs, hasSpoken, heardMs, sentMs } = connection;
    if (partialSinceMs !== undefined && nowMs - partialSinceMs > headerMs) return 'slow_header';
    if (!hasSpoken && nowMs - openedMs > silentMs) return 'silent';
    if (nowMs - Math.max(heardMs, sentMs) > idleMs) return 'idle';
    if (!connection.ping || nowMs - heardMs <= PING_MS) return undefined;
    if (connection.pingedMs > heardMs) return nowMs - connection.pingedMs > PING_MS ? 'no_pong' : undefined;
    connection.pingedMs = nowMs;
    connection.ping();
    return undefined;
  }
}
