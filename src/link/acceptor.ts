import type { Socket } from 'node:net';
import type { Peer } from './channel.ts';
import { Connection } from './connection.ts';
import type { LinkOptions } from './options.ts';
import { socketWire } from './wire.ts';

/** Connections that have not yet said who they are. */
const MAX_UNGREETED = 64;

/** The channels of one listener. */
export class Acceptor {
  readonly #options: LinkOptions;
  readonly #remainingDeadlines: boolean;
  readonly #connections = new Set<Connection>();
  #ungreeted = 0;

  constructor(options: LinkOptions, remainingDeadlines: boolean) {
    this.#options = options;
    this.#remainingDeadlines = remainingDeadlines;
  }

  accept(socket: Socket, refuse?: (peer: Peer) => string | undefined): void {
    if (this.#ungreeted >= MAX_UNGREETED) {
      this.#options.log.warn({ limit: MAX_UNGREETED }, 'link.too_many_ungreeted');
      socket.destroy();
      return;
    }
    this.#ungreeted++;
    let greeted = false;
    const { self, clock, log, window, ping, acknowledgeMs, onChannel } = this.#options;
    const connection: Connection = new Connection(socketWire(socket, clock), {
      self,
      clock,
      log,
      window,
      ping,
      acknowledgeMs,
      remainingDeadlines: this.#remainingDeadlines,
      refuse: (peer) => refuse?.(peer) ?? this.#options.refuse?.(peer),
      onGreeted: (channel) => {
        greeted = true;
        this.#ungreeted--;
        onChannel(channel);
      },
      onEnd: () => {
        if (!greeted) this.#ungreeted--;
        this.#connections.delete(connection);
      },
    });
    this.#connections.add(connection);
  }

  closeAll(reason: string): void {
    for (const connection of [...this.#connections]) connection.close(reason);
  }
}
