import type { CallId } from '../base/index.ts';

export const CALL_SCHEMA_VERSION = 1;

/** Every state of a call; each is adopted in a way of its own, and a test goes through them all. */
export const callStates = [
  /** The callee's devices are being looked up. */
  'routing',
  /** INVITEs go out, or wait for a media port; no device has rung yet. */
  'calling',
  'ringing',
  /** A device has answered; the caller's ACK has not come. */
  'answered',
  'talking',
  /** Either side sends no audio by its own wish. */
  'held',
  /** BYE or CANCEL is under way, streams are being closed. */
  'ending',
  /** The record is written; transactions absorb what is sent again. */
  'ended',
] as const;

export type CallState = (typeof callStates)[number];

export interface Call {
  readonly v: typeof CALL_SCHEMA_VERSION;
  readonly id: CallId;
  state: CallState;
}
