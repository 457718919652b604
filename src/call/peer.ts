import {
  END_TO_END_FEATURE,
  hasFeature,
  hasOption,
  header,
  parseNameAddr,
  type SipMessage,
  tokensOf,
} from '../sip/index.ts';
import type { Leg } from './model.ts';

/** What a message of the peer says that it allows; without `Allow` in it what was known stays. */
export function peerAllows(known: Leg['peer'], message: SipMessage): Leg['peer'] {
  const allowed = tokensOf(message, 'Allow');
  const update =
    allowed.length === 0 ? known.update : allowed.some((method) => method.toUpperCase() === 'UPDATE');
  const timer = known.timer || hasOption(message, 'Supported', 'timer');
  const endToEnd = known.endToEnd === true || canEncryptEndToEnd(message);
  const userAgent = known.userAgent ?? nameOf(message);
  const isSame =
    update === known.update &&
    timer === known.timer &&
    endToEnd === (known.endToEnd === true) &&
    userAgent === known.userAgent;
  return isSame
    ? known
    : { update, timer, ...(endToEnd ? { endToEnd } : {}), ...(userAgent === undefined ? {} : { userAgent }) };
}

const MOST_NAME = 128;

/** The device's name, for the record (PH-QOS-02). */
const nameOf = (message: SipMessage): string | undefined =>
  (header(message, 'User-Agent') ?? header(message, 'Server'))?.slice(0, MOST_NAME);

/** Its Contact says so (RFC 3840 §5). */
function canEncryptEndToEnd(message: SipMessage): boolean {
  const text = header(message, 'Contact');
  // Read again for the few that have it only.
  if (text?.toLowerCase().includes(END_TO_END_FEATURE) !== true) return false;
  return hasFeature(parseNameAddr(text)?.params ?? {}, END_TO_END_FEATURE);
}
