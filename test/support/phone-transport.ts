import dgram from 'node:dgram';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { KEEP_ALIVE_PING, KEEP_ALIVE_PONG, StreamFramer, toBytes } from '../../src/sip/index.ts';

export type PhoneTransportName = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A way to one peer: an address pair over UDP, else a connection. */
export interface PhoneFlow {
  readonly transport: PhoneTransportName;
  readonly reliable: boolean;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly closed: boolean;
  /** The phone's other flow, since this one has ended: what would have been sent here is sent there (RFC 5626). */
  instead?: PhoneFlow;
  /** A SIP message as a byte string. On a closed flow nothing is sent and false comes back. */
  send(text: string): boolean;
  /** Bytes outside any message: keep-alives, garbage. */
  sendRaw(bytes: Uint8Array): void;
  ping(): void;
  close(): void;
  /** Ends it as a phone does that loses its network: no FIN, no close frame. */
  destroy(): void;
}

export interface FlowHandlers {
  message(bytes: Uint8Array, flow: PhoneFlow): void;
  pong(flow: PhoneFlow): void;
  closed(flow: PhoneFlow, reason: string): void;
}

/** How many copies of a datagram pass: 0 drops it, 2 duplicates it. UDP only. */
export type DatagramFilter = (direction: 'in' | 'out', text: string) => number;

export interface PhoneTransportOptions {
  readonly transport: PhoneTransportName;
  readonly bind: string;
  /** UDP: the port to bind, 0 for a free one. */
  readonly port?: number;
  readonly filter?: DatagramFilter;
  /** PEM of who signed the server's certificate. Without it any certificate is taken: these are tests. */
  readonly ca?: string;
  /** The WebSocket's path. */
  readonly path?: string;
}

const CONNECT_WITHIN_MS = 10_000;

/** What a phone needs of its sockets. */
export type PhoneSockets = Pick<PhoneTransport, 'open' | 'listening' | 'listen' | 'flowTo' | 'close'>;

/** All sockets of one phone. */
export class PhoneTransport {
  readonly #options: PhoneTransportOptions;
  readonly #handlers: FlowHandlers;
  readonly #flows = new Set<PhoneFlow>();
  readonly #udpFlows = new Map<string, PhoneFlow>();
  readonly #closers: (() => Promise<void>)[] = [];
  #udp: dgram.Socket | undefined;
  #listening: Endpoint | undefined;

  constructor(options: PhoneTransportOptions, handlers: FlowHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  /** Where peers reach this phone without a flow: UDP, or after `listen`. */
  get listening(): Endpoint | undefined {
    return this.#listening;
  }

  async open(): Promise<void> {
    if (this.#options.transport !== 'udp') return;
    const { bind, port = 0 } = this.#options;
    const socket = dgram.createSocket(bind.includes(':') ? 'udp6' : 'udp4');
    this.#udp = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, bind, () => resolve());
    });
    // A peer that is gone shows as ECONNREFUSED on some later call; the transaction's timer is who tells.
    socket.removeAllListeners('error').on('error', () => {});
    this.#listening = { address: bind, port: socket.address().port };
    socket.on('message', (bytes, from) => this.#datagram(bytes, { address: from.address, port: from.port }));
    this.#closers.push(() => new Promise((resolve) => socket.close(() => resolve())));
  }

  /** An open flow to that peer, the one there is or a new one. */
  async flowTo(remote: Endpoint, options: { readonly fresh?: boolean } = {}): Promise<PhoneFlow> {
    if (this.#udp !== undefined) return this.#udpFlow(remote);
    if (options.fresh !== true) {
      for (const flow of this.#flows) {
        if (!flow.closed && flow.remote.port === remote.port && flow.remote.address === remote.address)
          return flow;
      }
    }
    return this.#connect(remote);
  }

  /** Accepts connections, so that two phones can talk without a server between them. */
  async listen(certificate?: { readonly key: string; readonly cert: string }): Promise<Endpoint> {
    const { transport, bind } = this.#options;
    const accept = (socket: net.Socket): void => {
      this.#streamFlow(socket, true);
    };
    let server: net.Server;
    if (transport === 'tcp') server = net.createServer(accept);
    else if (transport === 'tls') server = tls.createServer({ ...certificate }, accept);
    else if (transport === 'ws' || transport === 'wss') {
      server = transport === 'ws' ? http.createServer() : https.createServer({ ...certificate });
      const sockets = new WebSocketServer({
        server: server as http.Server,
        handleProtocols: (offered) => (offered.has('sip') ? 'sip' : false),
      });
      sockets.on('connection', (socket, request) => this.#webSocketFlow(socket, request.socket));
    } else return this.#listening!;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, bind, () => resolve());
    });
    this.#closers.push(() => new Promise((resolve) => server.close(() => resolve())));
    this.#listening = { address: bind, port: (server.address() as net.AddressInfo).port };
    return this.#listening;
  }

  async close(): Promise<void> {
    for (const flow of this.#flows) flow.destroy();
    await Promise.all(this.#closers.map((close) => close()));
  }

  #datagram(bytes: Uint8Array, from: Endpoint): void {
    const flow = this.#udpFlow(from);
    if (bytes.length <= 4) {
      if (bytes.length === 4 && Buffer.compare(bytes, toBytes(KEEP_ALIVE_PING)) === 0) {
        flow.sendRaw(toBytes(KEEP_ALIVE_PONG));
      } else this.#handlers.pong(flow);
      return;
    }
    const copies = this.#options.filter?.('in', Buffer.from(bytes).toString('latin1')) ?? 1;
    for (let copy = 0; copy < copies; copy++) this.#handlers.message(bytes, flow);
  }

  #udpFlow(remote: Endpoint): PhoneFlow {
    const key = `${remote.address}|${remote.port}`;
    const known = this.#udpFlows.get(key);
    if (known !== undefined) return known;
    const socket = this.#udp!;
    const { filter } = this.#options;
    const flow = {
      transport: 'udp' as const,
      reliable: false,
      local: this.#listening!,
      remote,
      closed: false,
      send(text: string): boolean {
        if (flow.closed) return false;
        const copies = filter?.('out', text) ?? 1;
        for (let copy = 0; copy < copies; copy++) flow.sendRaw(toBytes(text));
        return true;
      },
      sendRaw(bytes: Uint8Array): void {
        if (!flow.closed) socket.send(bytes, remote.port, remote.address, () => {});
      },
      ping: () => flow.sendRaw(toBytes(KEEP_ALIVE_PING)),
      close(): void {
        flow.closed = true;
      },
      destroy(): void {
        flow.closed = true;
      },
    };
    this.#udpFlows.set(key, flow);
    this.#flows.add(flow);
    return flow;
  }

  async #connect(remote: Endpoint): Promise<PhoneFlow> {
    const { transport, bind, ca, path = '/' } = this.#options;
    const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
    if (transport === 'ws' || transport === 'wss') {
      const host = remote.address.includes(':') ? `[${remote.address}]` : remote.address;
      const socket = new WebSocket(`${transport}://${host}:${remote.port}${path}`, 'sip', {
        ...trust,
        handshakeTimeout: CONNECT_WITHIN_MS,
        localAddress: bind,
      });
      let stream: net.Socket | undefined;
      socket.once('upgrade', (response) => {
        stream = response.socket;
      });
      return new Promise<PhoneFlow>((resolve, reject) => {
        socket.once('error', (error) => reject(connectError(transport, remote, error)));
        // The server may speak in the same segment as its 101, so the flow is made in the event, not after it.
        socket.once('open', () => resolve(this.#webSocketFlow(socket, stream!)));
      });
    }
    const to = { host: remote.address, port: remote.port, localAddress: bind };
    const socket = transport === 'tls' ? tls.connect({ ...to, ...trust }) : net.connect(to);
    return new Promise<PhoneFlow>((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_WITHIN_MS);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(connectError(transport, remote, error));
      });
      socket.once(transport === 'tls' ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer);
        resolve(this.#streamFlow(socket, false));
      });
    });
  }

  #streamFlow(socket: net.Socket, accepted: boolean): PhoneFlow {
    socket.setNoDelay(true);
    const framer = new StreamFramer({ keepAlives: accepted ? 'ping' : 'pong' });
    const flow = this.#connectionFlow(socket, {
      send: (bytes) => socket.write(bytes),
      ping: () => socket.write(toBytes(KEEP_ALIVE_PING)),
      end: () => socket.end(),
      destroy: () => socket.destroy(),
    });
    socket.on('data', (chunk) => {
      for (const event of framer.push(chunk)) {
        if (event.type === 'message') this.#handlers.message(Uint8Array.from(event.bytes), flow);
        else if (event.type === 'ping') socket.write(toBytes(KEEP_ALIVE_PONG));
        else if (event.type === 'pong') this.#handlers.pong(flow);
        else socket.destroy(new Error(event.reason));
      }
    });
    return flow;
  }

  #webSocketFlow(socket: WebSocket, stream: net.Socket): PhoneFlow {
    const flow = this.#connectionFlow(stream, {
      send: (bytes) => socket.send(bytes, { binary: false }),
      ping: () => socket.ping(),
      end: () => socket.close(),
      destroy: () => socket.terminate(),
    });
    socket.on('error', () => {});
    socket.on('pong', () => this.#handlers.pong(flow));
    socket.on('message', (data: RawData) => {
      const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
      // RFC 7118 §6: a client may keep the flow alive by CRLFs too.
      if (bytes.length <= 4) this.#handlers.pong(flow);
      else this.#handlers.message(bytes, flow);
    });
    return flow;
  }

  #connectionFlow(
    socket: net.Socket,
    io: { send(bytes: Uint8Array): void; ping(): void; end(): void; destroy(): void },
  ): PhoneFlow {
    const flow: PhoneFlow & { closed: boolean } = {
      transport: this.#options.transport,
      reliable: true,
      local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
      remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
      closed: false,
      send(text: string): boolean {
        if (flow.closed) return flow.instead?.send(text) ?? false;
        io.send(toBytes(text));
        return true;
      },
      sendRaw(bytes: Uint8Array): void {
        if (!flow.closed) io.send(bytes);
      },
      ping(): void {
        if (!flow.closed) io.ping();
      },
      close: () => io.end(),
      destroy: () => io.destroy(),
    };
    this.#flows.add(flow);
    let reason = 'the peer ended the connection';
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.once('close', () => {
      flow.closed = true;
      this.#flows.delete(flow);
      this.#handlers.closed(flow, reason);
    });
    return flow;
  }
}

const connectError = (transport: string, { address, port }: Endpoint, error: Error): Error =>
  new Error(`no ${transport} connection to ${address}:${port}: ${error.message}`, { cause: error });
