/**
 * How our processes talk: ordered frames with acknowledgement, credits, two lanes, deadlines, epochs and traces, over Unix
 * sockets on one machine and mutual TLS between machines. `protocol.ts` lists what is said; nothing here knows why.
 */
export {
  checkName,
  type LinkCredentials,
  mismatch,
  namesOf,
  TLS13,
  wrongCertificate,
} from './certificates.ts';
export type { Channel, Frame, Peer } from './channel.ts';
export { type CredentialFiles, readCredentialFiles } from './credential-files.ts';
export { DcCredentials, readCredentials } from './dc-credentials.ts';
export { type MemoryLink, memoryLink } from './memory.ts';
export {
  type ConnectOptions,
  type LinkClient,
  type LinkListener,
  type LinkOptions,
  type LinkState,
  SIP_ACKNOWLEDGE_MS,
} from './options.ts';
export {
  connectTo,
  type LinkPlace,
  listenAt,
  listenRemotely,
  type RemoteDoor,
  type RemotePlace,
} from './place.ts';
export * from './protocol.ts';
export { connectTlsLink, listenTlsLink } from './tls.ts';
export { connectLink, listenLink } from './unix.ts';
