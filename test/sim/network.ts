import {
  type EdgeId,
  type FlowId,
  type Random,
  randomBelow,
  randomText,
  type VirtualClock,
} from '../../src/base/index.ts';
import type { Address, EdgeCore, Transports } from '../../src/edge/index.ts';
import type { Flow } from '../../src/link/index.ts';
import type { History } from './history.ts';
import type { SimProcess } from './process.ts';

export interface Network {
  /** One-way, between phones and edges. Over streams what is lost only comes later. */
  readonly lossRatio: number;
  readonly duplicateRatio: number;
  /** Evenly spread, so that what is sent in a row overtakes one another. */
  readonly delayMs: { readonly min: number; readonly max: number };
}

/** Where a phone's datagrams arrive. */
export interface SimPeer {
  receive(bytes: Uint8Array, from: Address): void;
}

/** The phone's end of a stream to an edge. */
export interface SimStreamEnd {
  readonly open: boolean;
  send(bytes: Uint8Array): void;
  close(): void;
}

export interface SimStreamHandlers {
  message(bytes: Uint8Array): void;
  closed(reason: string): void;
}

/** How long TCP takes to say again what was lost. */
const RESEND_MS = 200;

interface Door {
  readonly id: EdgeId;
  readonly address: Address;
  readonly process: SimProcess;
  readonly core: EdgeCore;
}

/** Between phones and edges: datagrams that are lost, late, doubled and overtake each other, and streams that end with their edge. */
export class SimNetwork {
  /** Whether the network loses a message to a phone, beside what it loses by chance. */
  loses: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #history: History;
  readonly #how: Partial<Network>;
  readonly #doors = new Map<string, Door>();
  readonly #phones = new Map<string, SimPeer>();
  readonly #streams = new Map<FlowId, Stream>();

  constructor(options: { clock: VirtualClock; random: Random; history: History; how: Partial<Network> }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#history = options.history;
    this.#how = options.how;
  }

  /** An edge listens there from now on. */
  serve(door: Door): void {
    this.#doors.set(nameOf(door.address), door);
    door.process.onExit(() => {
      for (const stream of this.#streams.values()) if (stream.door === door) stream.died('the edge ended');
    });
  }

  /** The sockets of that edge. `passes`: something leaves for a phone. */
  transportsOf(id: EdgeId, address: Address, passes: () => void): Transports {
    return {
      send: (flow, bytes, remote) => {
        passes();
        const stream = this.#streams.get(flow);
        if (stream !== undefined) return stream.toPhone(bytes);
        const [kind, edge, , host, port] = flow.split(':');
        if (kind !== 'u' || edge !== id) return false;
        this.#toPhone(bytes, address, remote ?? { address: host ?? '', port: Number(port) });
        return true;
      },
      close: (flow, reason) => this.#streams.get(flow)?.died(reason ?? 'closed'),
    };
  }

  plug(at: Address, peer: SimPeer): void {
    this.#phones.set(nameOf(at), peer);
  }

  /** A datagram from a phone. */
  toEdge(bytes: Uint8Array, from: Address, to: Address): void {
    this.#carry(() => {
      const door = this.#doors.get(nameOf(to));
      if (door === undefined) return;
      this.#history.add(`${from.address} > ${door.id} ${firstLine(bytes)}`, bytes);
      this.#history.pass('to-edge');
      const id = `u:${door.id}:0:${from.address}:${from.port}` as FlowId;
      door.process.run(() =>
        door.core.receive({ id, edge: door.id, transport: 'udp', local: door.address, remote: from }, bytes),
      );
    });
  }

  /** A stream from a phone. Resolves when it stands; rejects when nobody listens. */
  async connect(from: Address, to: Address, handlers: SimStreamHandlers): Promise<SimStreamEnd> {
    await new Promise<void>((resolve) => this.#clock.after(2 * this.#delayMs(), resolve));
    const door = this.#doors.get(nameOf(to));
    if (door?.process.alive !== true) throw new Error(`nobody listens at ${nameOf(to)}`);
    const flow: Flow = {
      id: randomText(this.#random, 16) as FlowId,
      edge: door.id,
      transport: 'tcp',
      local: door.address,
      remote: from,
    };
    const stream = new Stream(door, flow, handlers, {
      clock: this.#clock,
      delayMs: () => this.#delayMs() + (this.chance() < (this.#how.lossRatio ?? 0) ? RESEND_MS : 0),
      carried: (way, bytes) => {
        const ends = [from.address, door.id];
        const [sender, receiver] = way === 'to-edge' ? ends : ends.reverse();
        this.#history.add(`${sender} > ${receiver} ${firstLine(bytes)}`, bytes);
        this.#history.pass(way);
        return way === 'to-edge' || this.loses?.(bytes) !== true;
      },
      ended: () => this.#streams.delete(flow.id),
    });
    this.#streams.set(flow.id, stream);
    return stream;
  }

  chance(): number {
    return randomBelow(this.#random, 1_000_000) / 1_000_000;
  }

  #toPhone(bytes: Uint8Array, from: Address, to: Address): void {
    this.#history.add(`edge > ${to.address} ${firstLine(bytes)}`, bytes);
    this.#history.pass('to-phone');
    if (this.loses?.(bytes)) return;
    this.#carry(() => {
      this.#history.add(`${to.address} receives ${firstLine(bytes)}`);
      this.#phones.get(nameOf(to))?.receive(bytes, from);
    });
  }

  #carry(deliver: () => void): void {
    const { lossRatio = 0, duplicateRatio = 0 } = this.#how;
    const copies = this.chance() < lossRatio ? 0 : this.chance() < duplicateRatio ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#clock.after(this.#delayMs(), deliver);
  }

  #delayMs(): number {
    const { delayMs = { min: 1, max: 1 } } = this.#how;
    return delayMs.min + this.chance() * (delayMs.max - delayMs.min);
  }
}

interface StreamOptions {
  readonly clock: VirtualClock;
  /** One-way, of the next message. */
  readonly delayMs: () => number;
  /** False when the network loses it for good, as it does not but for a test. */
  readonly carried: (way: 'to-edge' | 'to-phone', bytes: Uint8Array) => boolean;
  readonly ended: () => void;
}

/** A connection between a phone and an edge: in order, without loss, and over when either end is. */
class Stream implements SimStreamEnd {
  readonly door: Door;
  readonly #flow: Flow;
  readonly #phone: SimStreamHandlers;
  readonly #options: StreamOptions;
  #phoneOpen = true;
  #edgeOpen = true;
  #dueAtEdgeMs = 0;
  #dueAtPhoneMs = 0;

  constructor(door: Door, flow: Flow, phone: SimStreamHandlers, options: StreamOptions) {
    this.door = door;
    this.#flow = flow;
    this.#phone = phone;
    this.#options = options;
  }

  get open(): boolean {
    return this.#phoneOpen;
  }

  send(bytes: Uint8Array): void {
    if (!this.#phoneOpen) return;
    this.#atEdge(() => {
      this.#options.carried('to-edge', bytes);
      this.door.core.receive(this.#flow, bytes);
    });
  }

  close(): void {
    if (!this.#phoneOpen) return;
    this.#phoneOpen = false;
    this.#atEdge(() => {
      this.#edgeOpen = false;
      this.#options.ended();
      this.door.core.flowClosed(this.#flow.id);
    });
  }

  toPhone(bytes: Uint8Array): boolean {
    if (!this.#edgeOpen) return false;
    if (this.#options.carried('to-phone', bytes)) this.#atPhone(() => this.#phone.message(bytes));
    return true;
  }

  /** At the edge's side. */
  died(reason: string): void {
    if (!this.#edgeOpen) return;
    this.#edgeOpen = false;
    this.#options.ended();
    this.#atPhone(() => {
      this.#phoneOpen = false;
      this.#phone.closed(reason);
    });
  }

  #atEdge(act: () => void): void {
    const { clock, delayMs } = this.#options;
    const nowMs = clock.nowMs();
    this.#dueAtEdgeMs = Math.max(this.#dueAtEdgeMs, nowMs + delayMs());
    clock.after(this.#dueAtEdgeMs - nowMs, () =>
      this.door.process.run(() => {
        if (this.#edgeOpen) act();
      }),
    );
  }

  #atPhone(act: () => void): void {
    const { clock, delayMs } = this.#options;
    const nowMs = clock.nowMs();
    this.#dueAtPhoneMs = Math.max(this.#dueAtPhoneMs, nowMs + delayMs());
    clock.after(this.#dueAtPhoneMs - nowMs, () => {
      if (this.#phoneOpen) act();
    });
  }
}

const nameOf = ({ address, port }: Address): string => `${address}:${port}`;

const firstLine = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes).toString('latin1');
  const cseq = /^CSeq: *(.*)$/im.exec(text)?.[1] ?? '';
  return `${text.slice(0, text.indexOf('\r'))} (${cseq.trim()})`;
};
