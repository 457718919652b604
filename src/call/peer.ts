import { hasOption, type SipMessage, tokensOf } from '../sip/index.ts';
import type { Leg } from './model.ts';

/** What a message of the peer says that it allows; without `Allow` in it what was known stays. */
export function peerAllows(known: Leg['peer'], message: SipMessage): Leg['peer'] {
  const allowed = tokensOf(message, 'Allow');
  const update =
    allowed.length === 0 ? known.update : allowed.some((method) => method.toUpperCase() === 'UPDATE');
  const timer = known.timer || hasOption(message, 'Supported', 'timer');
  return update === known.update && timer === known.timer ? known : { update, timer };
}
