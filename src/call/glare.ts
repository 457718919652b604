import { type Random, randomBelow } from '../base/index.ts';
import type { Leg, ServerRequest } from './model.ts';
import { type Answer, openClientInvite } from './wire.ts';

/** An offer of ours on this leg is open: in an INVITE, an UPDATE, or a 2xx that waits for its ACK. */
function offersAt(leg: Leg): boolean {
  const invite = openClientInvite(leg);
  // The first INVITE rings on after a reliable 1xx has answered its offer (RFC 3311 §5.1).
  const asks = invite !== undefined && (invite.purpose.kind !== 'invite' || !leg.media.agreed);
  return leg.media.offered !== undefined || asks || leg.ackOwed !== undefined;
}

/** An offer of ours is due as soon as the port that it tells of is open. */
const awaitsPort = ({ media }: Leg): boolean => media.renewal?.ready === false;

/**
 * Why a re-INVITE or UPDATE cannot be taken up now: 491 when it met one of ours on either leg, both ends then wait by chance and try again
 * (RFC 3261 §14.2, RFC 3311 §5.2); 500 with Retry-After when the same end has another open.
 */
export function collision(
  leg: Leg,
  other: Leg | undefined,
  server: ServerRequest,
  random: Random,
): (Answer & { readonly status: number }) | undefined {
  const another = leg.servers.some(
    (open) =>
      open !== server &&
      open.request !== undefined &&
      (open.method === 'UPDATE' || (open.method === 'INVITE' && !isAnsweredEarly(leg, open))),
  );
  if (another) {
    return { status: 500, headers: [{ name: 'Retry-After', value: String(randomBelow(random, 11)) }] };
  }
  if (offersAt(leg) || awaitsPort(leg)) return { status: 491 };
  // The other end has not acknowledged our last 2xx, or asks for a change itself: its answer must come first.
  const otherBusy =
    other !== undefined &&
    (awaitsPort(other) ||
      offersAt(other) ||
      other.answer !== undefined ||
      other.media.unanswered !== undefined);
  return otherBusy ? { status: 491 } : undefined;
}

const isAnsweredEarly = (leg: Leg, invite: ServerRequest): boolean =>
  invite.cseq === leg.inviteCseq && leg.media.agreed && leg.state !== 'confirmed';

/** How long to wait after a 491 (RFC 3261 §14.1): the owner of the Call-ID 2.1 to 4 s, the other up to 2 s, in steps of 10 ms. */
export const retryDelayMs = (leg: Leg, random: Random): number =>
  leg.role === 'callee' ? 2_100 + 10 * randomBelow(random, 191) : 10 * randomBelow(random, 201);

export const isBusyWithOffers = (leg: Leg): boolean =>
  offersAt(leg) || leg.answer !== undefined || leg.media.unanswered !== undefined;
