import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { type Random, randomBelow, seededRandom } from '../../src/base/index.ts';

/** What a bad network does to each packet, in each direction. Rates from 0 to 1. */
export interface Impairment {
  readonly delayMs?: number;
  /** Added to the delay, evenly spread from 0; order is kept, as in a queue. */
  readonly jitterMs?: number;
  readonly dropRate?: number;
  readonly duplicateRate?: number;
  /** Of the packets that leave the row: they are held up by `reorderMs` more (default 30), others overtake them. */
  readonly reorderRate?: number;
  readonly reorderMs?: number;
}

export interface PathEnd {
  readonly address: string;
  readonly port: number;
}

export interface PathOptions {
  /** The same seed does the same to the same packets in each direction. */
  readonly seed: number;
  readonly up?: Impairment;
  readonly down?: Impairment;
  /** Where the path's two sockets are bound, default 127.0.0.1. */
  readonly bind?: string;
  /** Known beforehand, or learned from the client's first packet. */
  readonly client?: PathEnd;
  readonly server?: PathEnd;
}

export interface DirectionCount {
  passed: number;
  dropped: number;
  duplicated: number;
  reordered: number;
}

/** Packets under way beyond this are dropped. */
const MOST_UNDER_WAY = 20_000;

/** A UDP path between one client and one server, both ways, that treats packets as its impairments say. */
export class ImpairedPath {
  /** Where the client sends, in place of the server. */
  readonly near: PathEnd;
  /** What the server sees in place of the client, and sends to. */
  readonly far: PathEnd;
  readonly up: DirectionCount = { passed: 0, dropped: 0, duplicated: 0, reordered: 0 };
  readonly down: DirectionCount = { passed: 0, dropped: 0, duplicated: 0, reordered: 0 };
  readonly #nearSocket: dgram.Socket;
  readonly #farSocket: dgram.Socket;
  readonly #underWay = new Set<NodeJS.Timeout>();
  readonly #lanes: { readonly up: Lane; readonly down: Lane };
  #client: PathEnd | undefined;
  #server: PathEnd | undefined;
  #closed = false;

  private constructor(near: dgram.Socket, far: dgram.Socket, options: PathOptions) {
    this.#nearSocket = near;
    this.#farSocket = far;
    this.near = near.address();
    this.far = far.address();
    this.#client = options.client;
    this.#server = options.server;
    this.#lanes = {
      up: {
        impairment: options.up ?? {},
        random: seededRandom(options.seed),
        row: [],
        attended: false,
        count: this.up,
      },
      down: {
        impairment: options.down ?? {},
        random: seededRandom(options.seed + 1),
        row: [],
        attended: false,
        count: this.down,
      },
    };
    near.on('message', (packet, from) => {
      this.#client = from;
      this.#pass(packet, this.#lanes.up, (copy) => this.#send(this.#farSocket, copy, this.#server));
    });
    far.on('message', (packet) => {
      this.#pass(packet, this.#lanes.down, (copy) => this.#send(this.#nearSocket, copy, this.#client));
    });
    // ICMP errors of a peer that is not there yet: the packet is lost, as on any network.
    near.on('error', () => {});
    far.on('error', () => {});
  }

  static async open(options: PathOptions): Promise<ImpairedPath> {
    const bind = options.bind ?? '127.0.0.1';
    const [near, far] = await Promise.all([openSocket(bind), openSocket(bind)]);
    return new ImpairedPath(near, far, options);
  }

  /** Where packets of the client go from now on. */
  connect(server: PathEnd): void {
    this.#server = server;
  }

  /** The network gets better or worse. */
  impair(change: { readonly up?: Impairment; readonly down?: Impairment }): void {
    if (change.up) this.#lanes.up.impairment = change.up;
    if (change.down) this.#lanes.down.impairment = change.down;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#underWay) clearTimeout(timer);
    this.#nearSocket.close();
    this.#farSocket.close();
  }

  #send(socket: dgram.Socket, packet: Buffer, to: PathEnd | undefined): void {
    if (to && !this.#closed) socket.send(packet, to.port, to.address);
  }

  #pass(packet: Buffer, lane: Lane, send: (packet: Buffer) => void): void {
    const {
      delayMs = 0,
      jitterMs = 0,
      dropRate = 0,
      duplicateRate = 0,
      reorderRate = 0,
      reorderMs = 30,
    } = lane.impairment;
    // Always the same number of draws, so that one packet's fate does not change the next one's.
    const dropped = chance(lane.random) < dropRate;
    const duplicated = chance(lane.random) < duplicateRate;
    const reordered = chance(lane.random) < reorderRate;
    const jitter = chance(lane.random) * jitterMs;
    if (dropped || this.#underWay.size + lane.row.length >= MOST_UNDER_WAY) {
      lane.count.dropped++;
      return;
    }
    if (duplicated) lane.count.duplicated++;
    if (reordered) lane.count.reordered++;
    lane.count.passed++;
    const release = (): void => {
      send(packet);
      if (duplicated) send(packet);
    };
    const waitMs = delayMs + jitter;
    if (reordered) {
      const timer = setTimeout(() => {
        this.#underWay.delete(timer);
        release();
      }, waitMs + reorderMs);
      this.#underWay.add(timer);
    } else if (waitMs === 0 && lane.row.length === 0) {
      release();
    } else {
      lane.row.push({ atMs: performance.now() + waitMs, release });
      this.#attend(lane);
    }
  }

  /** Lets out the head of the row when it is due; who is due earlier behind it waits for it. */
  #attend(lane: Lane): void {
    const [head] = lane.row;
    if (lane.attended || head === undefined) return;
    lane.attended = true;
    const timer = setTimeout(
      () => {
        this.#underWay.delete(timer);
        lane.attended = false;
        while (lane.row[0] && lane.row[0].atMs <= performance.now()) lane.row.shift()!.release();
        this.#attend(lane);
      },
      Math.max(1, Math.ceil(head.atMs - performance.now())),
    );
    this.#underWay.add(timer);
  }
}

interface Lane {
  impairment: Impairment;
  readonly random: Random;
  readonly row: { readonly atMs: number; readonly release: () => void }[];
  /** A timer waits for the head of the row. */
  attended: boolean;
  readonly count: DirectionCount;
}

const chance = (random: Random): number => randomBelow(random, 1_000_000) / 1_000_000;

export async function openSocket(address: string, port = 0): Promise<dgram.Socket> {
  const socket = dgram.createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  return socket;
}
