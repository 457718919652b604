import type { UserId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import type { SipMessage } from '../sip/index.ts';
import { endCall } from './end.ts';
import type { Leg, Lookup } from './model.ts';
import { deviceFailed } from './ring.ts';
import { sendText } from './wire.ts';
import { legById, type Work } from './work.ts';

/** Requests over strange flows that may wait for the registrations at once; more are refused unheard. */
const MAX_JUDGED = 4;

/**
 * Whether a request in a dialog may have come this way: over the dialog's flow, or from the same address at the same edge (a phone that
 * connected again, a NAT that changed the port).
 */
export const isKnownWay = (leg: Leg, flow: Flow): boolean =>
  flow.id === leg.flow.id || (flow.edge === leg.flow.edge && flow.remote.address === leg.flow.remote.address);

/** The leg goes on where its phone was heard last. */
export function follow(leg: Leg, flow: Flow): void {
  if (flow.id === leg.flow.id) return;
  leg.flow = flow;
  delete leg.flowEnded;
}

/** A request over a strange flow waits until the registrations say whether the leg's user has that flow. False: too many wait. */
export function judgeLater(work: Work, leg: Leg, message: SipMessage, flow: Flow): boolean {
  const { lookups } = work.call;
  const waiting = lookups.filter(({ why }) => why === 'judge-flow');
  const repeated = waiting.some(
    (lookup) => lookup.why === 'judge-flow' && JSON.stringify(lookup.message) === JSON.stringify(message),
  );
  if (repeated) return true;
  if (waiting.length >= MAX_JUDGED) return false;
  ask(work, { why: 'judge-flow', user: leg.user, leg: leg.id, message, flow });
  return true;
}

export function ask(work: Work, lookup: Lookup): void {
  work.call.lookups.push(lookup);
  work.commands.push({ type: 'find-bindings', user: lookup.user });
}

/** A connection ended. Each leg on it looks for another way to its phone (RFC 5626: a phone may hold several). */
export function flowEnded(work: Work, flow: string): void {
  for (const leg of work.call.legs) {
    if (leg.flow.id !== flow || leg.state === 'ended' || leg.flowEnded === true) continue;
    leg.flowEnded = true;
    if (work.call.end === undefined) ask(work, { why: 'find-flow', user: leg.user, leg: leg.id });
  }
}

export function findFlow(
  work: Work,
  lookup: Lookup & { readonly why: 'find-flow' },
  bindings: readonly Binding[],
): void {
  const { call } = work;
  const leg = legById(call, lookup.leg);
  if (leg === undefined || leg.flowEnded !== true || leg.state === 'ended') return;
  const other = bindings.find(
    (binding) =>
      binding.deviceId === leg.device &&
      binding.flow.id !== leg.flow.id &&
      (leg.instanceId === undefined || binding.instanceId === leg.instanceId),
  );
  if (other !== undefined) {
    follow(leg, other.flow);
    sayAgain(work, leg);
    return;
  }
  // An established call waits for its phone: media may well go on, and the session timer ends it if not.
  if (leg.role === 'callee' && (leg.state === 'new' || leg.state === 'calling' || leg.state === 'ringing')) {
    deviceFailed(work, leg, 480, "the device's connection ended");
  } else if (leg.role === 'caller' && (leg.state === 'calling' || leg.state === 'ringing')) {
    endCall(work, {
      outcome: 'cancelled',
      status: 487,
      by: 'system',
      reason: "the caller's connection ended",
    });
  }
}

/** Sends again what nobody has answered yet: over a stream the transactions do not, for nothing gets lost there but with its process. */
export function sayAgain(work: Work, leg: Leg): void {
  for (const { tx } of leg.clients) {
    if (tx.state === 'Calling' || tx.state === 'Trying') sendText(work, leg, tx.request);
  }
  if (leg.answer !== undefined) sendText(work, leg, leg.answer.text);
}

export const isKnownFlow = (bindings: readonly Binding[], user: UserId, flow: Flow): boolean =>
  bindings.some((binding) => binding.userId === user && binding.flow.id === flow.id);
