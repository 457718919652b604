import { type FlowId, TwinlineError } from '../base/index.ts';
import { type Channel, type Frame, type LinkListener, listenAt } from '../link/index.ts';
import { processStartTime } from '../native/index.ts';
import { type ClientCertificate, Connections } from './connections.ts';
import { EdgeCore } from './core.ts';
import { Credentials } from './credentials.ts';
import { isDoorFlow } from './door.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Address, EdgeOptions, EdgeStatus, ListenerOptions, ListenerStatus } from './options.ts';
import type { Listener, Rim } from './rim.ts';
import { listenTcp } from './tcp.ts';
import { listenTls } from './tls.ts';
import { isTrunkFlow, Trunks } from './trunks.ts';
import { UdpListeners } from './udp.ts';
import { listenWs } from './ws.ts';

export interface Edge {
  /** What is bound, in the order of the options. */
  readonly addresses: readonly ListenerStatus[];
  status(): EdgeStatus;
  /** Prometheus text. */
  metrics(): string;
  /** Reads the certificates' files again; connections stay. Rejects with a sentence when they cannot be used: the old ones stay. */
  reloadCertificates(): Promise<void>;
  /** Of a connection over TLS or WSS whose client showed a certificate that `clientCaFile` vouches for. */
  clientCertificate(flow: FlowId): ClientCertificate | undefined;
  /** Ends every connection and listener. */
  close(): Promise<void>;
}

/**
 * Starts an edge. Rejects with `port_in_use`, `not_permitted`, `address_unavailable`, `certificate_unusable` or a `link_…` code and
 * a sentence for people; nothing stays open then.
 */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const edge = new RunningEdge(options);
  try {
    await edge.open();
  } catch (error) {
    await edge.close();
    throw error;
  }
  return edge;
}

class RunningEdge implements Edge {
  readonly #options: EdgeOptions;
  readonly #core: EdgeCore;
  readonly #rim: Rim;
  readonly #connections: Connections;
  readonly #listeners: Listener[] = [];
  readonly #udp: UdpListeners;
  readonly #credentials: Credentials[] = [];
  #trunks: Trunks | undefined;
  #link: LinkListener | undefined;

  constructor(options: EdgeOptions) {
    this.#options = options;
    const { id, clock, random, log } = options;
    this.#core = new EdgeCore({
      ...options,
      transports: {
        send: (flow, bytes, remote) => this.#send(flow, bytes, remote),
        close: (flow, reason) => this.#connections.close(flow, reason),
      },
    });
    const core = this.#core;
    this.#rim = {
      edge: id,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      clock,
      random,
      log,
      counters: core.counters,
      receive: (flow, bytes) => core.receive(flow, bytes),
      receiveUnreadable: (flow, bytes) => core.receiveUnreadable(flow, bytes),
      flowClosed: (flow) => core.flowClosed(flow),
    };
    this.#connections = new Connections(this.#rim);
    this.#udp = new UdpListeners(this.#rim, options.udp);
  }

  async open(): Promise<void> {
    for (const [index, listener] of this.#options.listeners.entries()) {
      this.#listeners.push(await this.#listen(listener, index));
    }
    if (this.#options.trunks !== undefined) {
      this.#trunks = new Trunks(this.#rim, this.#options.trunks);
      this.#listeners.push(await this.#trunks.listen());
    }
    // Last: whoever connects finds the listeners open.
    const { id, clock, log, linkPath, remoteDoor } = this.#options;
    const self = { role: 'edge', id, pid: process.pid, startTime: processStartTime(process.pid) };
    this.#link = await listenAt({
      path: linkPath,
      remote: remoteDoor,
      self,
      clock,
      log,
      onChannel: (channel) => this.#connected(channel),
    });
    log.info({ addresses: this.addresses }, 'edge.up');
  }

  get addresses(): ListenerStatus[] {
    return this.#listeners.map(({ bound }) => bound);
  }

  status(): EdgeStatus {
    return { ...this.#core.status(), listeners: this.addresses, flows: this.#connections.counts() };
  }

  metrics(): string {
    const { zones, bundles, transactions, waiting } = this.#core.status();
    const gauges: Record<string, number> = {
      bundles,
      transactions,
      waiting,
      sockets: this.#connections.sockets,
    };
    for (const [transport, count] of Object.entries(this.#connections.counts())) {
      gauges[`flows{transport="${transport}"}`] = count;
    }
    for (const zone of zones) gauges[`zone_load{zone="${zone.id}"}`] = zone.load;
    return this.#core.counters.prometheus(gauges);
  }

  async reloadCertificates(): Promise<void> {
    for (const credentials of this.#credentials) await credentials.reload();
  }

  clientCertificate(flow: FlowId): ClientCertificate | undefined {
    return this.#connections.certificateOf(flow);
  }

  async close(): Promise<void> {
    for (const credentials of this.#credentials) credentials.close();
    const closing = this.#listeners.map((listener) => listener.close());
    this.#connections.closeAll();
    await Promise.all([...closing, this.#link?.close()]);
    this.#udp.close();
    this.#core.close();
  }

  async #listen(options: ListenerOptions, index: number): Promise<Listener> {
    switch (options.transport) {
      case 'udp':
        return this.#udp.listen(options, index);
      case 'tcp':
        return listenTcp(this.#rim, this.#connections, options);
      case 'tls':
        return listenTls(this.#rim, this.#connections, options, await this.#credentialsFor(options));
      case 'ws':
        return listenWs(this.#rim, this.#connections, options);
      case 'wss':
        return listenWs(this.#rim, this.#connections, options, await this.#credentialsFor(options));
    }
  }

  async #credentialsFor({ transport, address, port, tls }: ListenerOptions): Promise<Credentials> {
    const where = `SIP over ${transport.toUpperCase()} on ${address} port ${port}`;
    if (!tls)
      throw new TwinlineError(
        'certificate_unusable',
        `${where} cannot start: it needs a certificate and a key.`,
      );
    const credentials = await Credentials.load(this.#rim, tls, where);
    this.#credentials.push(credentials);
    return credentials;
  }

  #send(flow: FlowId, bytes: Uint8Array, remote?: Address): boolean {
    if (flow.startsWith('u:') || isDoorFlow(flow)) return this.#udp.send(flow, bytes, remote);
    if (isTrunkFlow(flow)) return this.#trunks?.send(flow, bytes) === true;
    return this.#connections.send(flow, bytes);
  }

  #connected(channel: Channel): void {
    if (channel.peer.role === 'switch') this.#core.connected(channel);
    else channel.onFrame((frame) => this.#asked(frame));
  }

  /** Control: `status`, `metrics`, `reload-certificates`. The launcher: `ping`. */
  async #asked(frame: Frame): Promise<Frame> {
    switch (frame.kind) {
      case 'ping':
        return { kind: frame.kind, data: {} };
      case 'status':
        return { kind: frame.kind, data: this.status() };
      case 'metrics':
        return { kind: frame.kind, data: { text: this.metrics() } };
      case 'reload-certificates':
        await this.reloadCertificates();
        return { kind: frame.kind, data: {} };
      default:
        throw new TwinlineError('unknown_request', `an edge cannot answer "${frame.kind}".`);
    }
  }
}
