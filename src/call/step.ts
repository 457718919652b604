import type { Call } from './model.ts';
import type { CallContext, CallEvent, NewCall, Step } from './types.ts';

/** A call that begins: an authenticated INVITE without a dialog. */
export function beginCall(_newCall: NewCall, _ctx: CallContext): Step<Call> {
  throw new Error('not written yet');
}

/** What follows from an event. The call that comes in is not changed. */
export function step(_call: Call, _event: CallEvent, _ctx: CallContext): Step<Call> {
  throw new Error('not written yet');
}
