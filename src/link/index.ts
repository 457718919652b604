/**
 * How our processes talk: ordered frames with acknowledgement, credits, two lanes, deadlines, epochs and traces, over Unix
 * sockets on one machine and mutual TLS between machines. `protocol.ts` lists what is said; nothing here knows why.
 */
export type { Channel, Frame, Peer } from './channel.ts';
export * from './protocol.ts';
