/**
 * SIP as pure data and functions: messages, parsing and writing, URIs, digest, transactions, dialogs, session timers. No socket,
 * no clock and no knowledge of SDP: a body is bytes here.
 */

export { createRequest, createResponse, type RequestInit, type ResponseInit } from './build.ts';
export { detached, fromBytes, fromUtf8, toBytes, toUtf8 } from './bytes.ts';
// Transactions (RFC 3261 §17, RFC 6026), dialogs (§12), what is repeated until acknowledged, session timers, outbound.
export * from './dialog.ts';
export type * from './dialog-types.ts';
export * from './digest.ts';
export { checkNonce, createNonce, type NonceOptions } from './digest-nonce.ts';
export { EMERGENCY_NUMBERS, isEmergencyUri } from './emergency.ts';
export * from './features.ts';
export * from './fields.ts';
export { canonicalName } from './header-names.ts';
export * from './headers.ts';
export { maskMessage } from './mask.ts';
export type * from './message.ts';
export { type NameAddr, parseNameAddr, scanTag, serializeNameAddr, tagOf } from './name-addr.ts';
export * from './outbound.ts';
export { type Params, parseTokenParams, serializeParams } from './params.ts';
export { DEFAULT_LIMITS, type Parsed, type ParseLimits, parseMessage, type Refused } from './parse.ts';
export { type Peeked, peek } from './peek.ts';
export { reasonPhrase } from './reasons.ts';
export * from './reliable.ts';
export {
  type Dns,
  type NaptrRecord,
  type ResolveOptions,
  resolve,
  type SrvRecord,
  type Target,
  type TargetTransport,
} from './resolve.ts';
export { serialize } from './serialize.ts';
export { NIL_UUID, newSessionUuid, type SessionId, sessionIdHeader, sessionIdOf } from './session-id.ts';
export * from './session-timer.ts';
export { type FramerOptions, type StreamEvent, StreamFramer } from './stream-framer.ts';
export * from './transaction.ts';
export {
  receiveResponse,
  startClient,
  startInviteClient,
  startNonInviteClient,
} from './transaction-client.ts';
export { cancelledTransactionKey, clientTransactionKey, serverTransactionKey } from './transaction-key.ts';
export { ackForFailure, cancelFor } from './transaction-requests.ts';
export { receiveRequest, respond, startServer } from './transaction-server.ts';
export type * from './transaction-types.ts';
export { RFC_TIMES } from './transaction-types.ts';
export {
  escapeParam,
  escapeUser,
  parseUri,
  type SipUri,
  schemeOf,
  serializeUri,
  type TelUri,
  type Uri,
  unescapeText,
} from './uri.ts';
export { uriEquals } from './uri-equals.ts';
export { validateRequest, validateResponse } from './validate.ts';
export { parseVia, scanVia, serializeVia, topVia, type Via, viasOf } from './via.ts';
export { parseVqReport, VQ_EVENT, VQ_LIMITS, VQ_TYPE, type VqReport } from './vq-report.ts';
