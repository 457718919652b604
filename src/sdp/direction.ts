/** Of the one who wrote the description (RFC 3264 §5.1, RFC 8866 §6.7). */
export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export const DIRECTIONS: readonly Direction[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];

export const maySend = (direction: Direction): boolean =>
  direction === 'sendrecv' || direction === 'sendonly';
export const mayReceive = (direction: Direction): boolean =>
  direction === 'sendrecv' || direction === 'recvonly';

export function directionOf(sends: boolean, receives: boolean): Direction {
  if (sends) return receives ? 'sendrecv' : 'sendonly';
  return receives ? 'recvonly' : 'inactive';
}

/** The same direction seen from the other end. */
export const reverseDirection = (direction: Direction): Direction =>
  directionOf(mayReceive(direction), maySend(direction));

/**
 * What to answer to an offered direction when we ourselves want `wanted`: never more than the offer allows (RFC 3264
 * §6.1). An offer of `sendonly` (the peer holds us) is answered `recvonly`, of `inactive` always `inactive`.
 */
export const answerDirection = (offered: Direction, wanted: Direction): Direction =>
  directionOf(maySend(wanted) && mayReceive(offered), mayReceive(wanted) && maySend(offered));

/** An offer by which the peer puts us on hold: it will not listen (RFC 3264 §8.4). */
export const isHold = (offered: Direction): boolean => !mayReceive(offered);
