import { type Clock, type Logger, silentLogger } from '../base/index.ts';
import type { Channel, Peer } from './channel.ts';
import { Connection } from './connection.ts';
import type { Wire } from './wire.ts';

export interface MemoryLink {
  /** The end that `left` holds: its `peer` is `right`. */
  readonly left: Channel;
  readonly right: Channel;
  /** One-way delay of what is sent from now on. */
  delayMs: number;
  /** What is sent from now on vanishes silently, both ways: also the news that an end was closed. */
  cut(): void;
  /** Ends a cut. If something had vanished meanwhile, the next frame shows the gap and closes the channel, as a reset would. */
  heal(): void;
  /** One end's process dies: its last frames may be lost, the other end hears of it as of an ended socket (unless cut). */
  crash(side: 'left' | 'right'): void;
}

/** A pair of channels on a clock, with the semantics of the real ones: for unit tests and the simulator. */
export function memoryLink(options: {
  readonly clock: Clock;
  readonly left: Peer;
  readonly right: Peer;
  readonly delayMs?: number;
  readonly window?: { readonly frames: number; readonly bytes: number };
  readonly ping?: { readonly everyMs: number; readonly timeoutMs: number };
  readonly acknowledgeMs?: number;
  readonly log?: Logger;
}): MemoryLink {
  const { clock, left, right, window, ping, acknowledgeMs, log = silentLogger } = options;
  const shared = { clock, log, window, ping, acknowledgeMs };
  const road: Road = { clock, delayMs: options.delayMs ?? 0, cut: false };
  const leftWire = new MemoryWire(road);
  const rightWire = new MemoryWire(road);
  leftWire.other = rightWire;
  rightWire.other = leftWire;
  return {
    left: new Connection(leftWire, { self: left, peer: right, ...shared }),
    right: new Connection(rightWire, { self: right, peer: left, ...shared }),
    get delayMs() {
      return road.delayMs;
    },
    set delayMs(delayMs) {
      road.delayMs = delayMs;
    },
    cut() {
      road.cut = true;
    },
    heal() {
      road.cut = false;
    },
    crash(side) {
      (side === 'left' ? leftWire : rightWire).destroy();
    },
  };
}

interface Road {
  readonly clock: Clock;
  delayMs: number;
  cut: boolean;
}

class MemoryWire implements Wire {
  readonly #road: Road;
  other!: MemoryWire;
  #ended = false;
  #lastDueMs = 0;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onEnd: (reason: string) => void = () => {};

  constructor(road: Road) {
    this.#road = road;
  }

  send(chunk: Uint8Array): boolean {
    if (!this.#ended) this.#deliver(() => this.other.onBytes(chunk));
    return true;
  }

  soon(flush: () => void): void {
    this.#road.clock.after(0, flush);
  }

  flush(): void {}

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deliver(() => this.other.onEnd('the peer ended the connection'));
  }

  destroy(): void {
    this.end();
    this.onEnd('the process died');
  }

  #deliver(arrive: () => void): void {
    const { clock, delayMs, cut } = this.#road;
    if (cut) return;
    // A delay that became shorter must not let the later overtake the earlier.
    const now = clock.nowMs();
    this.#lastDueMs = Math.max(this.#lastDueMs, now + delayMs);
    clock.after(this.#lastDueMs - now, arrive);
  }
}
