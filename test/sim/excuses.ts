import type { Conversation } from './crowd.ts';
import type { Faults } from './faults.ts';
import type { Plan } from './plan.ts';

/** So long after its edge died a phone with a stream may be without service: the edge's absence, and two attempts to come back. */
const WITHOUT_SERVICE_MS = 15_000;
/** Registrations last this long, and are refreshed shortly before. */
const REGISTERED_MS = 62_000;

/**
 * What no server can keep, and is therefore no promise. An established call is never among it.
 * - A call in set-up one of whose phones lost the stream over which its INVITE went, because the edge ended: the phone itself takes the
 *   request for failed (RFC 3261 §8.1.3.1). Over UDP it says it again, and nothing is lost.
 * - A call to a phone whose registration ran out because the wall clock went forward, until it registers anew.
 */
export function mayNotComeAbout(plan: Plan, faults: Faults): (one: Conversation) => boolean {
  return (one) => {
    const endedMs = one.acknowledgedMs ?? Number.POSITIVE_INFINITY;
    const during = (fromMs: number, toMs: number): boolean => fromMs <= endedMs && toMs >= one.beganMs;
    if (faults.jumpedForwardMs.some((atMs) => during(atMs, atMs + REGISTERED_MS))) return true;
    const phones = plan.phones.filter(({ user }) => user === one.plan.from || user === one.plan.to);
    return faults.edgeDeathsMs.some(
      ({ edge, atMs }) =>
        during(atMs, atMs + WITHOUT_SERVICE_MS) &&
        phones.some((phone) => phone.transport === 'tcp' && (phone.edge ?? 'edge1') === edge),
    );
  };
}
