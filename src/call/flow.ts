import type { UserId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import type { SipMessage } from '../sip/index.ts';
import type { Leg, Lookup } from './model.ts';
import { sendText } from './wire.ts';
import type { Work } from './work.ts';

/** Messages over strange flows that may wait for the registrations at once; more are refused unheard. */
const MAX_JUDGED = 4;
/** After a move to another edge, so that the calls of a dead edge do not all speak at once. */
const NEW_CONTACT_MS = { least: 500, most: 3_000 };
/** Flows of a phone that were found dead and are still listed. */
const MAX_LEFT = 4;

/**
 * Whether a message in a dialog may have come this way: over the dialog's flow, or from the same address at the same edge (a phone that
 * connected again, a NAT that changed the port). The flow before counts too: our Contact names its edge until the phone has heard the new one.
 */
export const isKnownWay = (leg: Leg, flow: Flow): boolean =>
  isSameWay(leg.flow, flow) || (leg.formerFlow !== undefined && isSameWay(leg.formerFlow, flow));

const isSameWay = (known: Flow, flow: Flow): boolean =>
  flow.id === known.id || (flow.edge === known.edge && flow.remote.address === known.remote.address);

/** The leg goes on where its phone was heard last. */
export function follow(work: Work, leg: Leg, flow: Flow): void {
  delete leg.lost;
  const left = leg.leftFlows?.filter((one) => one.flow !== flow.id) ?? [];
  if (left.length > 0) leg.leftFlows = left;
  else delete leg.leftFlows;
  moveTo(work, leg, flow);
}

/** Another edge has another address: the phone learns by a target refresh where its requests go now (RFC 3261 §12.2). */
export function moveTo(work: Work, leg: Leg, flow: Flow): void {
  if (flow.id === leg.flow.id) return;
  const { local, edge } = leg.flow;
  if (flow.edge !== edge && (flow.local.address !== local.address || flow.local.port !== local.port)) {
    const { least, most } = NEW_CONTACT_MS;
    leg.newContactAtMs = work.ctx.nowMs + least + (most - least) * fraction(work);
  }
  leg.formerFlow = leg.flow;
  leg.flow = flow;
}

const fraction = ({ ctx }: Work): number => ctx.random.bytes(1)[0]! / 256;

/** A message over a strange flow waits until the registrations say whether the leg's user has that flow. False: too many wait. */
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

export function askForFlow(work: Work, leg: Leg): void {
  const asked = work.call.lookups.some((lookup) => lookup.why === 'find-flow' && lookup.leg === leg.id);
  if (!asked) ask(work, { why: 'find-flow', user: leg.user, leg: leg.id });
}

/** Not to be tried again until the phone registers over it anew. */
export function leave(work: Work, leg: Leg): void {
  const left = { flow: leg.flow.id, utcMs: work.ctx.utcMs };
  leg.leftFlows = [...(leg.leftFlows ?? []).filter(({ flow }) => flow !== left.flow), left].slice(-MAX_LEFT);
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
