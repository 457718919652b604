import type { Binding, EndToEndPolicy } from '../directory/index.ts';
import type { EndToEndRefusal } from './end-to-end-rules.ts';
import { mediaCan } from './media-can.ts';
import type { Leg } from './model.ts';
import { readOffer } from './negotiate.ts';
import { indexOf } from './route.ts';
import type { Terms } from './terms.ts';
import { callerLeg, type Work } from './work.ts';

/*
 * Calls that are encrypted end to end (PH-SEC-07, PH-SEC-08, TR-MEDIA-13 to 15). The clients encrypt frames inside of SRTP and mark the
 * medium; we pass the mark, and what they say of their keys with it, from one leg to the other and read neither.
 */

/**
 * What may stand between two who ask for it. A trunk leads to another data centre of ours, to a user of the same account, and passes it on (decision 25); a leg
 * to a carrier will be refused here. Automatic recording of either user is asked about here, once there is any. */
function refusalBetween(work: Work, users: readonly Pick<Leg, 'user'>[]): EndToEndRefusal | undefined {
  const policies = users.map(({ user }) => policyOf(work.ctx, user));
  if (policies.includes(undefined)) return 'e2ee_other_account';
  if (policies.includes('refused')) return 'e2ee_policy';
  return mediaCan(work, 'opaque') ? undefined : 'e2ee_media';
}

/** Undefined: no user of this account. */
function policyOf(ctx: Work['ctx'], user: Leg['user']): EndToEndPolicy | undefined {
  const index = indexOf(ctx.snapshot);
  const found = index.userById(user);
  return found && (index.siteById(found.siteId)?.endToEnd ?? 'allowed');
}

/** Whether both sites demand it, where both clients have it. */
const isRequired = ({ ctx }: Work, ...users: readonly Leg['user'][]): boolean =>
  users.every((user) => policyOf(ctx, user) === 'required');

/** What an offer inside a call means for its encryption: undefined if it may be passed on. */
export function refusedChange(work: Work, leg: Leg, other: Leg, offer: Terms): EndToEndRefusal | undefined {
  if (offer.sframe !== undefined) {
    leg.peer = { ...leg.peer, endToEnd: true };
    // Behind a trunk the other data centre knows which client there is.
    const isAble = other.peer.endToEnd === true || other.trunk !== undefined;
    return refusalBetween(work, [leg, other]) ?? (isAble ? undefined : 'e2ee_client');
  }
  const leaves = leg.media.endToEnd !== undefined;
  return leaves && isRequired(work, leg.user, other.user) ? 'e2ee_required' : undefined;
}

/** What an offer asks that cannot be refused but by the answer: without the mark where that may not be. */
export function withoutRefused(work: Work, leg: Leg, other: Leg, offer: Terms): Terms {
  if (offer.sframe === undefined || refusedChange(work, leg, other, offer) === undefined) return offer;
  const { sframe: _, ...plain } = offer;
  return plain;
}

/** Which of the callee's devices ring for a caller who asks for it, or does not. */
export function ringable(
  work: Work,
  bindings: readonly Binding[],
): { readonly bindings: readonly Binding[]; readonly refusal?: EndToEndRefusal } {
  const { call } = work;
  const caller = callerLeg(call);
  const able = bindings.filter(({ endToEnd }) => endToEnd === true);
  const callee = call.target?.user ?? caller.user;
  if (!asksFor(caller)) {
    const mustAsk = caller.peer.endToEnd === true && caller.media.unanswered !== undefined;
    const isAsked = mustAsk && able.length > 0 && isRequired(work, caller.user, callee);
    return isAsked ? { bindings, refusal: 'e2ee_required' } : { bindings };
  }
  caller.peer = { ...caller.peer, endToEnd: true };
  const refusal = refusalBetween(work, [caller, { user: callee }]);
  if (refusal !== undefined) return { bindings: [], refusal };
  return bindings.length > 0 && able.length === 0
    ? { bindings: [], refusal: 'e2ee_client' }
    : { bindings: able };
}

/** The caller's first offer has the mark. */
export function asksFor(caller: Leg): boolean {
  const offer = caller.media.unanswered ?? caller.media.answeredEarly;
  if (offer === undefined) return false;
  const read = readOffer({ ...caller, media: { ...caller.media, agreed: false } }, offer);
  return read.ok && read.value.sframe !== undefined;
}

/** The caller asked for it, and this device has answered without. */
export const isLeftUnanswered = (caller: Leg, callee: Leg): boolean =>
  callee.media.endToEnd === undefined && asksFor(caller);
