import { failed, ok, type Result } from '../base/index.ts';
import type { Call } from './model.ts';

/** Why a call cannot be encrypted end to end, in words for its user (PH-SEC-07). They stand in the Warning of the refusal. */
export const refusalTexts = {
  e2ee_policy: 'the site does not allow end-to-end encryption',
  e2ee_required: 'the site demands end-to-end encryption between clients that have it',
  e2ee_client: "the other end's client has no end-to-end encryption",
  e2ee_other_account: 'end-to-end encryption is for two users of one account',
  e2ee_media: 'the media engine in use does not pass what is encrypted end to end',
  e2ee_terms: 'what is said of the end-to-end encryption is too long',
} as const;

export type EndToEndRefusal = keyof typeof refusalTexts;

/**
 * What a feature asks before it does something with a call: the one table of what end-to-end encryption forbids (PH-SEC-08, TR-MEDIA-14).
 * `refused`: it would have to hear. `ends it`: both ends are told first, by a re-INVITE without the mark, and then it goes on. `goes on`: it
 * passes what it cannot read.
 */
const whileEncrypted = {
  record: 'refused',
  transcribe: 'refused',
  monitor: 'refused',
  transcode: 'refused',
  'keys in audio': 'refused',
  announce: 'refused',
  conference: 'refused',
  park: 'refused',
  transfer: 'ends it',
  hold: 'goes on',
  'keys by INFO': 'goes on',
} as const;

export type Feature = keyof typeof whileEncrypted;

/** Whether either end's media is encrypted end to end. */
export const isEndToEnd = (call: Call): boolean =>
  call.legs.some(({ media, state }) => media.endToEnd !== undefined && state !== 'ended');

/** May this feature be used on this call now? `e2ee_active`: it would have to decode what nobody here can. */
export function mayUse(call: Call, feature: Feature): Result<'freely' | 'ends it', 'e2ee_active'> {
  if (!isEndToEnd(call)) return ok('freely');
  const rule = whileEncrypted[feature];
  if (rule === 'refused') return failed('e2ee_active');
  return ok(rule === 'ends it' ? 'ends it' : 'freely');
}
