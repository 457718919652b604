import type { EdgeId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import { parseUri } from '../sip/index.ts';
import { endCall, finishLeg } from './end.ts';
import { askForFlow, leave, moveTo, sayAgain } from './flow.ts';
import type { Call, Leg, Lookup } from './model.ts';
import { deviceFailed, ringOverOtherFlow } from './ring.ts';
import { leavesTransferred } from './transferring.ts';
import type { CallEvent } from './types.ts';
import { openClientInvite, sendRequest, sendText } from './wire.ts';
import { legById, type Work } from './work.ts';

/** How long an established call waits for a phone that no flow leads to, unless the installation says otherwise. */
const KEEP_MS = 60_000;
/** One that rings waits for a phone whose edge died: it is back within seconds or not in time. */
const KEEP_RINGING_MS = 10_000;
/** A phone may register anew before we know of its loss; a flow that died without a word is doubted within the other time. */
const REGISTERS_BEFORE_MS = 2_000;
const UNNOTICED_MS = 30_000;
/** The registrations are read again after so long, doubled each time: the phone may come back through any switch. */
const LOOK_AGAIN_MS = { first: 500, most: 8_000 };

/** Whether a leg of the call is on that connection, or at that edge: each end of one is told to every call. */
export function concernsFlowOf(
  call: Call,
  event: Extract<CallEvent, { readonly type: 'flow-closed' | 'edge' }>,
): boolean {
  return call.legs.some(({ flow, state, lost }) => {
    if (state === 'ended') return false;
    if (event.type === 'flow-closed') return flow.id === event.flow && lost === undefined;
    if (flow.edge !== event.edge || flow.dataCentre !== undefined) return false;
    return event.up ? lost !== undefined && flow.transport === 'udp' : lost === undefined;
  });
}

/** A connection ended. Each leg on it looks for another way to its phone (RFC 5626: a phone may hold several). */
export function flowEnded(work: Work, flow: string): void {
  for (const leg of work.call.legs) if (leg.flow.id === flow) loseFlow(work, leg, false);
}

/** An edge is gone with all of its connections; over UDP it is the same flow again when the edge is back. */
export function edgeGone(work: Work, edge: EdgeId): void {
  for (const leg of work.call.legs) {
    // Any edge leads to another data centre.
    if (leg.flow.edge === edge && leg.trunk === undefined) loseFlow(work, leg, true);
  }
}

export function edgeBack(work: Work, edge: EdgeId): void {
  for (const leg of work.call.legs) {
    if (leg.flow.edge !== edge || leg.flow.transport !== 'udp' || leg.lost === undefined) continue;
    delete leg.lost;
    delete leg.leftFlows;
    sayAgain(work, leg);
  }
}

function loseFlow(work: Work, leg: Leg, byEdge: boolean): void {
  if (leg.state === 'ended' || leg.lost !== undefined) return;
  const { nowMs, keepLostPhoneMs = KEEP_MS } = work.ctx;
  if (leg.trunk !== undefined && leg.role === 'callee' && (leg.state === 'new' || leg.state === 'calling')) {
    deviceFailed(work, leg, 503, `data centre ${leg.trunk.dataCentre} cannot be reached`);
    return;
  }
  const isUp = leg.state === 'answered' || leg.state === 'confirmed' || leg.state === 'ending';
  if (leg.trunk === undefined) leave(work, leg);
  leg.lost = {
    byEdge,
    sinceUtcMs: work.ctx.utcMs,
    untilMs: nowMs + (isUp ? keepLostPhoneMs : KEEP_RINGING_MS),
    nextMs: nowMs + LOOK_AGAIN_MS.first,
    pauseMs: LOOK_AGAIN_MS.first,
  };
  // Also of a call that is over: its BYE or CANCEL is to be heard.
  if (leg.trunk === undefined) askForFlow(work, leg);
}

/** Nobody has answered for a while what we said over this flow: it may be dead without a word (RFC 5626 §4.4). */
export function doubtFlow(work: Work, leg: Leg): void {
  if (leg.state !== 'ended' && leg.lost === undefined && leg.trunk === undefined) askForFlow(work, leg);
}

export function findFlow(
  work: Work,
  lookup: Lookup & { readonly why: 'find-flow' },
  bindings: readonly Binding[],
): void {
  const leg = legById(work.call, lookup.leg);
  if (leg === undefined || leg.state === 'ended') return;
  const other = otherFlowOf(leg, notRung(work.call, leg, bindings), work.ctx.utcMs);
  if (lookup.refused === true) {
    if (other !== undefined && work.call.end === undefined) {
      ringOverOtherFlow(work, leg, other);
      finishLeg(leg);
    } else deviceFailed(work, leg, 480, "the device's connection ended");
    return;
  }
  if (other !== undefined) {
    if (leg.lost === undefined) leave(work, leg);
    delete leg.lost;
    moveTo(work, leg, other.flow);
    sayAgain(work, leg);
    ringAgain(work, leg);
    return;
  }
  if (leg.lost !== undefined && !leg.lost.byEdge) giveUpRinging(work, leg);
}

/** A phone that rings hears the INVITE again over its other flow, and says there what it has to say from now on. */
function ringAgain(work: Work, leg: Leg): void {
  const invite = leg.role === 'callee' ? openClientInvite(leg) : undefined;
  if (invite?.tx.state === 'Proceeding' && invite.tx.request !== '') sendText(work, leg, invite.tx.request);
}

/** Looks for lost phones again, and gives up those that were waited for long enough. */
export function runLost(work: Work, leg: Leg): void {
  const { lost } = leg;
  if (lost === undefined) return;
  const { nowMs } = work.ctx;
  if (lost.untilMs <= nowMs) {
    delete leg.lost;
    if (work.call.end !== undefined) return;
    if (leavesTransferred(work, leg)) return;
    giveUpRinging(work, leg);
    if (leg.state === 'answered' || leg.state === 'confirmed') {
      endCall(work, {
        outcome: 'answered',
        status: 200,
        by: 'system',
        reason:
          leg.trunk === undefined
            ? `the ${leg.role}'s connection ended and the phone did not come back`
            : `data centre ${leg.trunk.dataCentre} was lost`,
      });
    }
  } else if (lost.nextMs <= nowMs) {
    const pauseMs = Math.min(LOOK_AGAIN_MS.most, lost.pauseMs * 2);
    leg.lost = { ...lost, pauseMs, nextMs: nowMs + pauseMs };
    if (leg.trunk === undefined) askForFlow(work, leg);
    else askTrunk(work, leg);
  }
}

/**
 * Whatever comes over the trunk shows that it is there again (`follow`), so what waits for an answer asks already. Said again after a
 * younger request it would be refused (RFC 3261 §12.2.2).
 */
function askTrunk(work: Work, leg: Leg): void {
  const asked = leg.clients.some(({ tx }) => tx.state === 'Trying' || tx.state === 'Calling');
  if (!asked && leg.state !== 'ending')
    sendRequest(work, leg, { method: 'OPTIONS', purpose: { kind: 'done' } });
}

function giveUpRinging(work: Work, leg: Leg): void {
  if (work.call.end !== undefined) return;
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

/** What rings by a leg of its own, or has answered by it, is no other way for this one: a phone must not ring twice. */
function notRung(call: Call, leg: Leg, bindings: readonly Binding[]): readonly Binding[] {
  const rung = call.legs.filter(
    (other) =>
      other !== leg && other.role === 'callee' && other.device === leg.device && other.state !== 'ended',
  );
  return bindings.filter(({ contact }) => !rung.some(({ target }) => target?.contact === contact));
}

/** The newest way to the leg's phone but the present one, and but those found dead since they were registered. */
function otherFlowOf(leg: Leg, bindings: readonly Binding[], utcMs: number): Binding | undefined {
  const isDead = ({ flow, registeredUtcMs }: Binding): boolean =>
    leg.leftFlows?.some((left) => left.flow === flow.id && registeredUtcMs <= left.utcMs) === true;
  return (
    samePhone(leg, bindings, utcMs)
      .filter((binding) => binding.expiresUtcMs > utcMs && !isDead(binding))
      .filter(({ flow }) => flow.id !== leg.flow.id || leg.lost !== undefined)
      // With an edge go all of its connections, whether this call knew them or not.
      .filter(
        ({ flow, registeredUtcMs }) =>
          leg.lost?.byEdge !== true || flow.edge !== leg.flow.edge || registeredUtcMs > leg.lost.sinceUtcMs,
      )
      .sort((a, b) => b.registeredUtcMs - a.registeredUtcMs)[0]
  );
}

/**
 * The registrations of the phone at this leg. Several phones may share one device's credentials (PH-DEVICE-08), so the instance counts
 * (RFC 5626 §4.1), for phones without one the Contact, else where they are.
 */
function samePhone(leg: Leg, bindings: readonly Binding[], utcMs: number): readonly Binding[] {
  const ofDevice = bindings.filter(({ deviceId }) => deviceId === leg.device);
  const target = leg.target?.contact ?? leg.dialog?.remoteTarget ?? '';
  const known =
    ofDevice.find(({ contact }) => contact === target) ??
    ofDevice.find(({ flow }) => flow.id === leg.flow.id);
  const instanceId = leg.instanceId ?? known?.instanceId;
  if (instanceId !== undefined) return ofDevice.filter((binding) => binding.instanceId === instanceId);
  const name = userAtHost(target);
  const named = ofDevice.filter(({ contact }) => userAtHost(contact) === name);
  const nameless = ofDevice.filter((binding) => binding.instanceId === undefined);
  // Such a phone has one flow: another is its own only if it was registered about when the first one was lost.
  const sinceUtcMs = (leg.lost?.sinceUtcMs ?? utcMs - UNNOTICED_MS) - REGISTERS_BEFORE_MS;
  const isBack = ({ contact, flow, registeredUtcMs }: Binding): boolean =>
    contact === target || (flow.transport === leg.flow.transport && registeredUtcMs >= sinceUtcMs);
  const same = named.filter((binding) => nameless.includes(binding) && isBack(binding));
  if (same.length > 0) return same;
  // Its own registration is gone already: by an outbound Contact (RFC 5626 §4.3) the phone has an instance, and this is the only one there.
  if (known === undefined && target.includes(';ob') && isOnePhone(named)) return named;
  // A Contact made up anew with each connection, by the only phone at that address.
  const { address } = leg.flow.remote;
  const there = nameless.filter((binding) => binding.flow.remote.address === address && isBack(binding));
  return isOnePhone(there) ? there : [];
}

const isOnePhone = (bindings: readonly Binding[]): boolean =>
  new Set(bindings.map(({ instanceId, contact }) => instanceId ?? contact)).size === 1;

/** Without the port, which changes with each connection. */
function userAtHost(uri: string): string {
  const parsed = parseUri(uri);
  return parsed === undefined || parsed.scheme === 'tel' ? uri : `${parsed.user ?? ''}@${parsed.host}`;
}
