import { type Clock, type Random, randomBelow, TwinlineError } from '../base/index.ts';
import type { UdpLoop, UdpSocket } from '../native/index.ts';
import type { Sockets } from './stream.ts';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Pairs of ports (even for RTP, the next for RTCP: RFC 3550 §11) of the zone's range, from a random start, so that a stranger
 * cannot reckon the next stream's. A pair that rests after its stream, or that somebody else holds (the twin, for streams it
 * took over), is passed by.
 */
export class PortPairs {
  readonly #firstEven: number;
  readonly #pairs: number;
  readonly #restMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loop: Pick<UdpLoop, 'open'>;
  readonly #dscp: number;
  readonly #used = new Set<number>();
  /** Pair number → when it may be used again; in order of that. */
  readonly #resting = new Map<number, number>();

  constructor(options: {
    range: PortRange;
    restMs: number;
    dscp: number;
    clock: Clock;
    random: Random;
    loop: Pick<UdpLoop, 'open'>;
  }) {
    const { first, last } = options.range;
    this.#firstEven = first + (first % 2);
    this.#pairs = Math.floor((last + 1 - this.#firstEven) / 2);
    if (!Number.isInteger(first) || !Number.isInteger(last) || first < 1 || last > 65_535 || this.#pairs < 1)
      throw new TwinlineError('bad_ports', `the media port range ${first}-${last} holds no pair of ports`);
    this.#restMs = options.restMs;
    this.#dscp = options.dscp;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#loop = options.loop;
  }

  get free(): number {
    this.#endRests();
    return this.#pairs - this.#used.size - this.#resting.size;
  }

  /** Opens the sockets of a pair. Throws `no_ports` when none can be had, `address_unavailable` for an address not of this machine. */
  open(address: string): Sockets {
    this.#endRests();
    const start = randomBelow(this.#random, this.#pairs);
    for (let i = 0; i < this.#pairs; i++) {
      const pair = (start + i) % this.#pairs;
      if (this.#used.has(pair) || this.#resting.has(pair)) continue;
      const sockets = this.#tryPair(address, this.#firstEven + 2 * pair);
      if (sockets === undefined) continue;
      this.#used.add(pair);
      return sockets;
    }
    throw new TwinlineError(
      'no_ports',
      `all ${this.#pairs} pairs of media ports from ${this.#firstEven} on are in use`,
    );
  }

  /** Opens just this pair, of this range or not; undefined when somebody holds it or the address is not of this machine. */
  openAt(address: string, port: number): Sockets | undefined {
    if (port % 2 !== 0) return undefined;
    const pair = (port - this.#firstEven) / 2;
    if (this.#used.has(pair)) return undefined;
    let sockets: Sockets | undefined;
    try {
      sockets = this.#tryPair(address, port);
    } catch {
      return undefined;
    }
    if (sockets !== undefined && pair >= 0 && pair < this.#pairs) {
      this.#resting.delete(pair);
      this.#used.add(pair);
    }
    return sockets;
  }

  /** Opens a pair of the twin's, at an address that may come to this machine later. */
  openEarly(address: string, port: number): Sockets | undefined {
    return this.#tryPair(address, port, true);
  }

  /** The pair's sockets were closed. Ports that are not of this range (taken over ones) are none of its business. */
  release(rtpPort: number): void {
    const pair = (rtpPort - this.#firstEven) / 2;
    if (!this.#used.delete(pair)) return;
    this.#resting.set(pair, this.#clock.nowMs() + this.#restMs);
  }

  #tryPair(address: string, port: number, early = false): Sockets | undefined {
    const options = { address, dscp: this.#dscp, ...(early && { early }) };
    let rtp: UdpSocket | undefined;
    try {
      rtp = this.#loop.open({ ...options, port });
      return { rtp, rtcp: this.#loop.open({ ...options, port: port + 1 }) };
    } catch (error) {
      rtp?.close();
      if (error instanceof TwinlineError && error.code === 'port_in_use') return undefined;
      throw error;
    }
  }

  #endRests(): void {
    const nowMs = this.#clock.nowMs();
    for (const [pair, untilMs] of this.#resting) {
      if (untilMs > nowMs) return;
      this.#resting.delete(pair);
    }
  }
}
