import type { Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { FlowId, Timer } from '../base/index.ts';
import { checkName, DcCredentials, type Flow, namesOf, TLS13, wrongCertificate } from '../link/index.ts';
import { StreamFramer } from '../sip/index.ts';
import { bind, markSocket } from './bind.ts';
import type { Address } from './options.ts';
import { type Listener, plainAddress, type Rim } from './rim.ts';

/**
 * SIP between data centres. Each other one is a single flow, whichever of its edges a message goes to or comes from: all of them lead to its
 * switches. Both ends show the certificate by which data centres meet (TR-MEDIA-04), and what one says is believed, so no limit of a
 * source is put on it. Over such a flow calls send again what nobody answers, as over UDP: a connection may end with the edge
 * at either end while messages are on it.
 */
export interface TrunkOptions {
  /** Which one this is. */
  readonly dataCentre: string;
  /** Where the others come in. */
  readonly address: string;
  readonly port: number;
  /** What the others know it by. */
  readonly advertise: Address;
  readonly peers: readonly TrunkPeer[];
  /** Directory with `ca.crt`, `dc.crt` and `dc.key`. */
  readonly certificates: string;
  /** As of a listener, for the connections that either end opens (PH-QOS-03). */
  readonly dscp?: number;
}

export interface TrunkPeer {
  readonly id: string;
  /** Its edges, the first one is tried first. */
  readonly places: readonly { readonly host: string; readonly port: number }[];
}

const PREFIX = 'i:';

export const trunkFlowId = (dataCentre: string): FlowId => `${PREFIX}${dataCentre}` as FlowId;
export const isTrunkFlow = (flow: FlowId): boolean => flow.startsWith(PREFIX);

const PING = Buffer.from('\r\n\r\n');
/** Each side of a connection pings (RFC 5626 §4.4.1) and needs no answer: what it hears is the other's ping. */
const PING_MS = 2_000;
const SILENT_MS = 6_000;
const CONNECT_MS = 3_000;
/** After no place could be reached what is to be sent fails at once. */
const PAUSE_MS = 1_000;
/** What waits for a connection. More than that is sent again by its call. */
const HELD_MESSAGES = 256;

interface Connection {
  readonly socket: Socket;
  heardMs: number;
  hasSpoken: boolean;
}

interface Peer extends TrunkPeer {
  readonly connections: Connection[];
  /** What waits for a connection that is being made. */
  held: Uint8Array[];
  attempt: Socket | undefined;
  failedMs: number;
}

export class Trunks {
  readonly #rim: Rim;
  readonly #options: TrunkOptions;
  readonly #credentials: DcCredentials;
  readonly #peers: ReadonlyMap<string, Peer>;
  readonly #server: ReturnType<typeof createServer>;
  #watch: Timer | undefined;
  #closed = false;

  /** Throws `dc_certificates` when the certificates cannot be read. */
  constructor(rim: Rim, options: TrunkOptions) {
    this.#rim = rim;
    this.#options = options;
    this.#credentials = new DcCredentials({
      directory: options.certificates,
      clock: rim.clock,
      log: rim.log,
      onChanged: (renewed) => this.#server.setSecureContext({ ...renewed, ...TLS13 }),
    });
    this.#server = createServer({
      ...this.#credentials.present,
      ...TLS13,
      requestCert: true,
      // By `wrongCertificate`, so that the log says whose and why.
      rejectUnauthorized: false,
      noDelay: true,
      handshakeTimeout: rim.limits.headerMs,
    });
    this.#peers = new Map(
      options.peers.map((peer) => [
        peer.id,
        {
          ...peer,
          connections: [],
          held: [],
          attempt: undefined,
          failedMs: Number.NEGATIVE_INFINITY,
        },
      ]),
    );
  }

  async listen(): Promise<Listener> {
    const { address, port, dscp } = this.#options;
    const rim = this.#rim;
    this.#server.on('tlsClientError', (error, socket) => {
      rim.counters.add('connections_refused_total', 'reason="tls_handshake"');
      rim.log.warn({ address: socket.remoteAddress, reason: error.message }, 'edge.trunk_refused');
    });
    this.#server.on('secureConnection', (socket) => this.#accepted(socket));
    // Node's own errors of a socket in its handshake would end the process.
    this.#server.on('connection', (socket: Socket) => socket.on('error', () => {}));
    const bound = await bind(this.#server, {
      ...{ transport: 'tls', address, port },
      ...(dscp !== undefined && { dscp }),
    }).catch((error: unknown) => {
      this.#credentials.close();
      throw error;
    });
    return { bound, close: () => this.#close() };
  }

  /** False: that data centre cannot be reached now, or there is none of that name. */
  send(flow: FlowId, bytes: Uint8Array): boolean {
    const peer = this.#peers.get(flow.slice(PREFIX.length));
    if (peer === undefined) return false;
    const open = peer.connections.find(({ socket }) => socket.writableLength < this.#rim.limits.unsentBytes);
    if (open !== undefined) {
      open.socket.write(bytes);
      return true;
    }
    if (peer.attempt === undefined && this.#rim.clock.nowMs() - peer.failedMs < PAUSE_MS) return false;
    // The frame that it came in is gone when the connection is made.
    if (peer.held.length < HELD_MESSAGES) peer.held.push(Uint8Array.from(bytes));
    if (peer.attempt === undefined) this.#connect(peer, 0);
    return true;
  }

  #connect(peer: Peer, at: number): void {
    const place = peer.places[at];
    if (this.#closed) return;
    if (place === undefined) {
      this.#unreachable(peer);
      return;
    }
    const { log, clock } = this.#rim;
    let why = 'no answer in time';
    const socket = connect({
      ...place,
      ...this.#credentials.present,
      ...TLS13,
      rejectUnauthorized: false,
      checkServerIdentity: checkName(`dc:${peer.id}`),
    });
    peer.attempt = socket;
    socket.setNoDelay(true);
    const patience = clock.after(CONNECT_MS, () => socket.destroy());
    const failed = (): void => {
      patience.cancel();
      if (peer.attempt !== socket) return;
      log.warn({ dataCentre: peer.id, ...place, reason: why }, 'edge.trunk_not_reached');
      peer.attempt = undefined;
      this.#connect(peer, at + 1);
    };
    socket.on('error', (error) => {
      why = error.message;
    });
    socket.once('close', failed);
    // From then on it has a descriptor; the handshake is marked too.
    socket.once('connect', () => markSocket(socket, this.#options.dscp));
    socket.once('secureConnect', () => {
      const wrong = wrongCertificate(socket, clock.utcMs()) ?? nameError(socket, peer.id);
      if (wrong !== undefined) {
        why = wrong;
        socket.destroy();
        return;
      }
      patience.cancel();
      socket.off('close', failed);
      peer.attempt = undefined;
      this.#serve(peer, socket);
    });
  }

  #unreachable(peer: Peer): void {
    peer.failedMs = this.#rim.clock.nowMs();
    peer.held = [];
    // One of its edges may have come to us meanwhile.
    if (peer.connections.length === 0) this.#rim.flowClosed(trunkFlowId(peer.id));
  }

  #accepted(socket: TLSSocket): void {
    const { log, counters, clock } = this.#rim;
    socket.on('error', () => {});
    const names = namesOf(socket.getPeerCertificate());
    const peer = [...this.#peers.values()].find(({ id }) => names.includes(`dc:${id}`));
    const wrong =
      wrongCertificate(socket, clock.utcMs()) ??
      (peer === undefined ? `${names.join(', ') || 'nobody'} is no data centre that we know` : undefined);
    if (wrong !== undefined || peer === undefined) {
      counters.add('connections_refused_total', 'reason="trunk_certificate"');
      log.warn({ address: plainAddress(socket.remoteAddress ?? ''), reason: wrong }, 'edge.trunk_refused');
      socket.destroy();
      return;
    }
    this.#serve(peer, socket);
  }

  #serve(peer: Peer, socket: Socket): void {
    const rim = this.#rim;
    const connection: Connection = { socket, heardMs: rim.clock.nowMs(), hasSpoken: false };
    const flow = this.#flowOf(peer, socket);
    const framer = new StreamFramer({ maxBodyBytes: rim.limits.messageBytes });
    peer.connections.push(connection);
    rim.log.info({ dataCentre: peer.id, ...flow.remote }, 'edge.trunk_up');
    socket.on('data', (chunk: Buffer) => {
      connection.heardMs = rim.clock.nowMs();
      connection.hasSpoken = true;
      for (const event of framer.push(chunk)) {
        if (event.type === 'message') rim.receive(flow, event.bytes);
        else if (event.type === 'error') {
          rim.log.warn({ dataCentre: peer.id, reason: event.reason }, 'edge.trunk_unreadable');
          socket.destroy();
          return;
        }
      }
    });
    socket.on('close', () => this.#ended(peer, connection));
    // That we are content with the other's certificate is heard by a first ping.
    socket.write(PING);
    const held = peer.held;
    peer.held = [];
    for (const bytes of held) socket.write(bytes);
    this.#armWatch();
  }

  #flowOf(peer: Peer, socket: Socket): Flow {
    return {
      id: trunkFlowId(peer.id),
      edge: this.#rim.edge,
      transport: 'tls',
      local: this.#options.advertise,
      remote: { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 },
      dataCentre: peer.id,
    };
  }

  /** Calls go on by another connection; whether there is one is found out at once, not with the next word of a call. */
  #ended(peer: Peer, connection: Connection): void {
    const at = peer.connections.indexOf(connection);
    if (at < 0) return;
    peer.connections.splice(at, 1);
    this.#rim.log.warn({ dataCentre: peer.id }, 'edge.trunk_down');
    if (peer.connections.length > 0 || peer.attempt !== undefined) return;
    // In TLS 1.3 who does not believe our certificate says so by ending what to us was a connection already.
    if (connection.hasSpoken) this.#connect(peer, 0);
    else this.#unreachable(peer);
  }

  #armWatch(): void {
    this.#watch ??= this.#rim.clock.after(PING_MS, () => {
      this.#watch = undefined;
      const nowMs = this.#rim.clock.nowMs();
      let any = false;
      for (const { connections } of this.#peers.values()) {
        for (const { socket, heardMs } of [...connections]) {
          any = true;
          if (nowMs - heardMs > SILENT_MS) socket.destroy();
          else socket.write(PING);
        }
      }
      if (any) this.#armWatch();
    });
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#watch?.cancel();
    this.#credentials.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const peer of this.#peers.values()) {
      peer.attempt?.destroy();
      for (const { socket } of peer.connections.splice(0)) socket.destroy();
    }
    await closed;
  }
}

const nameError = (socket: TLSSocket, id: string): string | undefined =>
  checkName(`dc:${id}`)('', socket.getPeerCertificate())?.message;
