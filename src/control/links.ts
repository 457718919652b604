import { type Clock, type Logger, type Random, TwinlineError } from '../base/index.ts';
import { type Channel, connectTo, type LinkClient, type LinkPlace, type Peer } from '../link/index.ts';

/** Whom control talks to. */
export interface Peers {
  readonly zones: readonly { readonly id: string; readonly place: LinkPlace }[];
  readonly switches: readonly { readonly id: string; readonly place: LinkPlace }[];
  readonly edges: readonly { readonly id: string; readonly place: LinkPlace }[];
  readonly launcher: string;
}

type Role = 'zone' | 'switch' | 'edge' | 'launcher';

/** A stopped process keeps its sockets open; nobody should wait for it longer than a person would. */
const ANSWER_MS = 1500;

/** Links to every process that control asks; each is connected again and again by itself. */
export class Links {
  readonly #clients = new Map<string, LinkClient>();

  constructor(peers: Peers, options: { self: Peer; clock: Clock; random: Random; log: Logger }) {
    const connect = (role: Role, id: string, place: LinkPlace): void => {
      this.#clients.set(
        `${role} ${id}`,
        connectTo({
          ...options,
          place,
          // Most of what is not there stays away for long: a killed zone.
          retry: { firstMs: 20, maxMs: 500 },
          onChannel: () => {},
        }),
      );
    };
    for (const { id, place } of peers.zones) connect('zone', id, place);
    for (const { id, place } of peers.switches) connect('switch', id, place);
    for (const { id, place } of peers.edges) connect('edge', id, place);
    connect('launcher', 'launcher', peers.launcher);
  }

  channel(role: Role, id: string): Channel | undefined {
    return this.#clients.get(`${role} ${id}`)?.channel;
  }

  /** Asks one process. Rejects with `not_running` when there is no link, with the link's or the peer's code otherwise. */
  async ask<Reply>(role: Role, id: string, kind: string, data: unknown, waitMs = ANSWER_MS): Promise<Reply> {
    const channel = this.channel(role, id);
    if (channel === undefined)
      throw new TwinlineError(
        'not_running',
        `${role === 'launcher' ? 'the launcher' : `${role} ${id}`} does not run`,
      );
    return (await channel.request({ kind, data }, waitMs)).data as Reply;
  }

  /** Asks one process; undefined when it does not answer. */
  async tryAsk<Reply>(role: Role, id: string, kind: string, data: unknown): Promise<Reply | undefined> {
    try {
      return await this.ask<Reply>(role, id, kind, data);
    } catch {
      return undefined;
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close('control ends');
  }
}
