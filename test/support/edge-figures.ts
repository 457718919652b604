import path from 'node:path';
import { silentLogger } from '../../src/base/index.ts';
import type { EdgeStatus } from '../../src/edge/index.ts';
import { type Channel, connectLink, type LinkClient } from '../../src/link/index.ts';
import { processStartTime, systemClock, systemRandom } from '../../src/native/index.ts';
import type { Installation } from './installation.ts';

/** Asks a running edge for its own figures, as control does. */
export class EdgeFigures {
  readonly #client: LinkClient;
  readonly #channel: Promise<Channel>;

  constructor(at: Installation, id = 'edge1') {
    let connected: (channel: Channel) => void = () => {};
    this.#channel = new Promise((resolve) => {
      connected = resolve;
    });
    this.#client = connectLink({
      path: path.join(at.data, `run/edge-${id}.sock`),
      self: { role: 'control', id: 'figures', pid: process.pid, startTime: processStartTime(process.pid) },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      onChannel: connected,
    });
  }

  async status(): Promise<EdgeStatus> {
    const channel = await this.#channel;
    return (await channel.request({ kind: 'status', data: {} }, 10_000)).data as EdgeStatus;
  }

  /** As an operator makes a new certificate count at once. */
  async reloadCertificates(): Promise<void> {
    await (await this.#channel).request({ kind: 'reload-certificates', data: {} }, 10_000);
  }

  /** The sum of a counter over those labels that contain `labels`. */
  async counter(name: string, labels = ''): Promise<number> {
    const { counters } = await this.status();
    return Object.entries(counters)
      .filter(([key]) => key.split('{')[0] === name && key.includes(labels))
      .reduce((sum, [, value]) => sum + value, 0);
  }

  /** Asks until it is as wished: the edge's own report is the event. */
  async when(what: string, wished: (status: EdgeStatus) => boolean, withinMs = 20_000): Promise<EdgeStatus> {
    const endMs = performance.now() + withinMs;
    for (;;) {
      const status = await this.status();
      if (wished(status)) return status;
      if (performance.now() > endMs)
        throw new Error(`not within ${withinMs} ms: ${what}; last ${JSON.stringify(status)}`);
    }
  }

  close(): void {
    this.#client.close('done');
  }
}
