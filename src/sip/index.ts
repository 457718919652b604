/**
 * SIP as pure data and functions: messages, parsing and writing, URIs, digest, transactions, dialogs, session timers. No socket,
 * no clock and no knowledge of SDP: a body is bytes here.
 */
export type * from './message.ts';
