import type { BundleId, EdgeId, FlowId, Logger, SwitchId, ZoneId } from '../base/index.ts';
import {
  type BundleEpoch,
  type Channel,
  type EdgeToSwitch,
  type Flow,
  type Frame,
  PROTOCOL_VERSION,
} from '../link/index.ts';
import { toBytes } from '../sip/index.ts';

/** An edge that does not answer this long is taken to be dead: it learns the epochs when it greets again. */
const OWN_TIMEOUT_MS = 500;

export interface EdgeHandlers {
  message(flow: Flow, bundle: EdgeToSwitch['sip']['bundle'], bytes: Uint8Array): Promise<void> | void;
  flowClosed(flow: FlowId): Promise<void> | void;
  stale(bundle: BundleEpoch): void;
  /** The edge's process ended, or an edge is there: with all of its connections gone, its UDP flows the same as before. */
  edge(edge: EdgeId, up: boolean): void;
}

/** The channels to the edges: every message to a client leaves here. */
export class Edges {
  readonly #channels = new Map<EdgeId, Channel>();
  /** Edges that were there and are not now. */
  readonly #gone = new Set<EdgeId>();
  readonly #zone: ZoneId;
  readonly #switch: SwitchId;
  readonly #log: Logger;
  readonly #handlers: EdgeHandlers;
  readonly #owns: () => BundleEpoch[];
  /** Before the first bundle is granted there is nowhere to put a new call. */
  #load = { load: 0, draining: true };

  constructor(options: {
    zone: ZoneId;
    switch: SwitchId;
    log: Logger;
    handlers: EdgeHandlers;
    owns: () => BundleEpoch[];
  }) {
    this.#zone = options.zone;
    this.#switch = options.switch;
    this.#log = options.log;
    this.#handlers = options.handlers;
    this.#owns = options.owns;
  }

  accept(channel: Channel): void {
    const id = channel.peer.id as EdgeId;
    this.#channels.set(id, channel);
    channel.onFrame((frame) => this.#onFrame(frame));
    channel.onClose((reason) => {
      this.#log.warn({ edge: id, reason }, 'edge.disconnected');
      if (this.#channels.get(id) === channel) this.#lost(id);
    });
    channel.send({
      kind: 'greet',
      lane: 'priority',
      data: {
        version: PROTOCOL_VERSION,
        zone: this.#zone,
        switch: this.#switch,
        owns: this.#owns(),
        ...this.#load,
      },
    });
    this.#log.info({ edge: id }, 'edge.connected');
    if (this.#gone.delete(id)) this.#handlers.edge(id, true);
  }

  #lost(id: EdgeId): void {
    this.#channels.delete(id);
    this.#gone.add(id);
    // Its phones turn to the others, with requests of transactions that only the dead one knew.
    for (const channel of this.#channels.values())
      channel.send({ kind: 'edge-lost', data: { edge: id }, lane: 'priority' });
    this.#handlers.edge(id, false);
  }

  /** Edges that can be reached now. */
  get here(): Iterable<EdgeId> {
    return this.#channels.keys();
  }

  /** Edges that were there and are not now. */
  get gone(): ReadonlySet<EdgeId> {
    return this.#gone;
  }

  async #onFrame(frame: Frame): Promise<undefined> {
    switch (frame.kind) {
      case 'sip': {
        const { flow, bundle } = frame.data as EdgeToSwitch['sip'];
        await this.#handlers.message(flow, bundle, frame.body ?? new Uint8Array());
        return undefined;
      }
      case 'flow-closed':
        await this.#handlers.flowClosed((frame.data as EdgeToSwitch['flow-closed']).flow);
        return undefined;
      case 'stale':
        this.#handlers.stale(frame.data as BundleEpoch);
        return undefined;
      default:
        this.#log.warn({ kind: frame.kind }, 'edge.unknown_frame');
        return undefined;
    }
  }

  /** False when that edge is away or its queue is full: SIP's own retransmission is the remedy. */
  send(
    flow: Flow,
    text: string,
    options: { owner?: BundleEpoch; remote?: { address: string; port: number }; trace?: string } = {},
  ): boolean {
    const channel = this.#channelFor(flow);
    if (channel === undefined) return false;
    const { owner, remote, trace } = options;
    return channel.send({
      kind: 'sip',
      data: {
        flow: flow.id,
        ...(remote === undefined ? {} : { remote }),
        ...(owner === undefined ? {} : { bundle: owner.bundle, epoch: owner.epoch }),
      },
      body: toBytes(text),
      ...(trace === undefined ? {} : { trace }),
    });
  }

  /** The flow's own edge; for a proxy and for another data centre any that is there, whose door or trunk will do as well. */
  #channelFor({ edge, door, dataCentre }: Flow): Channel | undefined {
    const own = this.#channels.get(edge);
    return own ?? (door || dataCentre !== undefined ? this.#channels.values().next().value : undefined);
  }

  /** Gives a message back that another switch's call is meant by. */
  giveBack(flow: Flow, bundle: BundleId, bytes: Uint8Array): void {
    this.#channels.get(flow.edge)?.send({ kind: 'return', data: { flow, bundle }, body: bytes });
  }

  /** Resolves when every edge that can be reached routes these bundles to us and refuses lower epochs. */
  async own(bundles: readonly BundleEpoch[]): Promise<void> {
    await Promise.all(
      [...this.#channels.values()].map((channel) =>
        channel
          .request({ kind: 'own', data: { bundles }, lane: 'priority' }, OWN_TIMEOUT_MS)
          .catch((error: unknown) => {
            this.#log.warn({ edge: channel.peer.id, error: String(error) }, 'edge.own_unanswered');
            // A request is void after its time; an edge that only stood still shall hear it when it goes on.
            channel.send({ kind: 'own', data: { bundles }, lane: 'priority' });
          }),
      ),
    );
  }

  release(bundles: readonly BundleEpoch['bundle'][]): void {
    for (const channel of this.#channels.values()) channel.send({ kind: 'release', data: { bundles } });
  }

  tellLoad(load: number, draining: boolean): void {
    this.#load = { load, draining };
    for (const channel of this.#channels.values())
      channel.send({ kind: 'load', data: this.#load, lane: 'priority' });
  }
}
