import type { Logger, VirtualClock } from '../../src/base/index.ts';
import { Connection } from '../../src/link/connection.ts';
import { type Channel, SIP_ACKNOWLEDGE_MS } from '../../src/link/index.ts';
import type { Wire } from '../../src/link/wire.ts';
import type { SimProcess } from './process.ts';

const RECONNECT_MS = 5;
/** To another machine. */
const DIAL_MS = 100;

export interface SimLinksOptions {
  readonly world: VirtualClock;
  /** One-way, of the next chunk. */
  readonly delayMs: () => number;
  readonly log: (process: SimProcess) => Logger;
  /** How the link between two is watched; undefined: it is not, both are on one machine. */
  readonly ping: (from: SimProcess, to: SimProcess) => { everyMs: number; timeoutMs: number } | undefined;
  /** Every chunk that one process sends to another. */
  readonly sent: (from: SimProcess, to: SimProcess, chunk: Uint8Array) => void;
}

/** `from` keeps a link to whoever serves `name`, as `connectLink` does: when it ends, the next one is made shortly. */
export class SimLinks {
  readonly #options: SimLinksOptions;
  readonly #servers = new Map<string, { process: SimProcess; accept: (channel: Channel) => void }>();
  /** Names that cannot be reached at present, and the roads to them. */
  readonly #cut = new Set<string>();
  readonly #roads = new Map<string, Set<Road>>();

  constructor(options: SimLinksOptions) {
    this.#options = options;
  }

  serve(name: string, process: SimProcess, accept: (channel: Channel) => void): void {
    this.#servers.set(name, { process, accept });
  }

  connect(from: SimProcess, name: string, onChannel: (channel: Channel) => void): void {
    const server = this.#servers.get(name);
    if (!from.alive) return;
    const again = (): void => {
      const { ping } = this.#options;
      const isFar = server !== undefined && ping(from, server.process) !== undefined;
      from.clock.after(isFar ? DIAL_MS : RECONNECT_MS, () => this.connect(from, name, onChannel));
    };
    // A stopped server's kernel would take the connection; that it is answered late is the same to whoever waits.
    if (
      server === undefined ||
      !server.process.alive ||
      server.process.frozen ||
      this.#cut.has(roadName(from.name, name))
    ) {
      again();
      return;
    }
    const { log } = this.#options;
    const ping = this.#options.ping(from, server.process);
    const road: Road = { cut: false, held: [] };
    const left = new SimWire(this.#options, road, from, server.process);
    const right = new SimWire(this.#options, road, server.process, from);
    left.other = right;
    right.other = left;
    const roads = this.#roads.get(roadName(from.name, name)) ?? new Set();
    this.#roads.set(roadName(from.name, name), roads);
    roads.add(road);
    const near = new Connection(left, {
      self: from.peer,
      peer: server.process.peer,
      clock: from.clock,
      log: log(from),
      acknowledgeMs: SIP_ACKNOWLEDGE_MS,
      ping,
      remainingDeadlines: ping !== undefined,
    });
    const far = new Connection(right, {
      self: server.process.peer,
      peer: from.peer,
      clock: server.process.clock,
      log: log(server.process),
      acknowledgeMs: SIP_ACKNOWLEDGE_MS,
      ping,
      remainingDeadlines: ping !== undefined,
    });
    from.onExit(() => left.died());
    server.process.onExit(() => right.died());
    server.accept(far);
    onChannel(near);
    near.onClose(() => {
      roads.delete(road);
      again();
    });
  }

  /** What is sent between the two from now on, be it that one has ended, arrives after `heal`, as TCP says it again; nobody connects. */
  cut(from: string, name: string): void {
    this.#cut.add(roadName(from, name));
    for (const road of this.#roads.get(roadName(from, name)) ?? []) road.cut = true;
  }

  heal(from: string, name: string): void {
    this.#cut.delete(roadName(from, name));
    for (const road of this.#roads.get(roadName(from, name)) ?? []) {
      road.cut = false;
      for (const deliver of road.held.splice(0)) deliver();
    }
  }
}

/** Both as operators name processes: `switch a1`, `edge edge1`. */
const roadName = (from: string, name: string): string => `${from} > ${name}`;

interface Road {
  cut: boolean;
  readonly held: (() => void)[];
}

/** One end of a stream socket: what it sends arrives in order, also at a process that is stopped, once it goes on. */
class SimWire implements Wire {
  readonly #options: SimLinksOptions;
  readonly #road: Road;
  readonly #self: SimProcess;
  readonly #peer: SimProcess;
  other!: SimWire;
  #ended = false;
  #lastDueMs = 0;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onEnd: (reason: string) => void = () => {};

  constructor(options: SimLinksOptions, road: Road, self: SimProcess, peer: SimProcess) {
    this.#options = options;
    this.#road = road;
    this.#self = self;
    this.#peer = peer;
  }

  send(chunk: Uint8Array): boolean {
    if (this.#ended || !this.#self.alive) return true;
    this.#options.sent(this.#self, this.#peer, chunk);
    this.#deliver(() => this.other.onBytes(chunk));
    return true;
  }

  soon(flush: () => void): void {
    this.#self.clock.after(0, flush);
  }

  flush(): void {}

  end(): void {
    if (this.#ended || !this.#self.alive) return;
    this.#ended = true;
    this.#deliver(() => this.other.onEnd('the peer ended the connection'));
  }

  /** The kernel closes what a dead process had open. */
  died(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deliver(() => this.other.onEnd('the process died'));
  }

  destroy(): void {
    this.end();
  }

  #deliver(arrive: () => void): void {
    if (this.#road.cut) {
      this.#road.held.push(() => this.#deliver(arrive));
      return;
    }
    const { world, delayMs } = this.#options;
    const nowMs = world.nowMs();
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + delayMs());
    world.after(this.#lastDueMs - nowMs, () => this.#peer.run(arrive));
  }
}
