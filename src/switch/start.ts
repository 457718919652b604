import type { Channel, LinkClient, LinkPlace, Peer, RemoteDoor } from '../link/index.ts';
import { connectTo, listenAt, SIP_ACKNOWLEDGE_MS } from '../link/index.ts';
import { CallSwitch, type CallSwitchOptions } from './switch.ts';

export interface SwitchOptions extends CallSwitchOptions {
  /** Who this process is: role `switch`, the switch's id, its pid and start time. */
  readonly self: Peer;
  /** Where control reaches us. */
  readonly socket: string;
  /** And from another machine. */
  readonly remoteDoor?: RemoteDoor | undefined;
  readonly zoneSocket: string;
  readonly edges: readonly LinkPlace[];
  readonly media: readonly LinkPlace[];
}

/** Runs a call switch in this process. Resolves once it listens; it connects, and connects again, by itself. */
export async function startSwitch(
  options: SwitchOptions,
): Promise<{ callSwitch: CallSwitch; stop(): Promise<void> }> {
  const { self, clock, random, log } = options;
  const callSwitch = new CallSwitch(options);
  const connect = (place: LinkPlace, onChannel: (channel: Channel) => void, more = {}): LinkClient =>
    connectTo({ place, self, clock, random, log, onChannel, ...more });
  const toEdge = { acknowledgeMs: SIP_ACKNOWLEDGE_MS };
  const listener = await listenAt({
    path: options.socket,
    remote: options.remoteDoor,
    self,
    clock,
    log,
    onChannel: (channel) => callSwitch.acceptControl(channel),
    refuse: (peer) =>
      peer.role === 'control' ? undefined : `a switch is not reached by a ${peer.role} here`,
  });
  const clients = [
    ...options.edges.map((place) => connect(place, (channel) => callSwitch.acceptEdge(channel), toEdge)),
    ...options.media.map((place) => connect(place, (channel) => callSwitch.acceptMedia(channel))),
    connect(options.zoneSocket, (channel) => callSwitch.acceptZone(channel)),
  ];
  return {
    callSwitch,
    async stop() {
      callSwitch.stop();
      for (const client of clients) client.close('the switch ends');
      await listener.close();
    },
  };
}
