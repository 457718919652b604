import type { Playback } from '../media/index.ts';
import { mediaCan } from './media-can.ts';
import type { Leg } from './model.ts';
import { indexOf } from './route.ts';
import type { Terms } from './terms.ts';
import { callerLeg, isRinging, isTransferred, peerOf, type Work } from './work.ts';

/** Ships with us, and lies behind the installation's own assets: a file of this name among those takes its place. */
export const DEFAULT_HOLD_MUSIC = 'hold-music.ogg';

/** What is heard on this leg while its peer holds it (PH-CALL-05). Undefined: it is not held, or hears nothing of ours. */
export function holdMusicOn(work: Work, leg: Leg): Playback | undefined {
  const holder = peerOf(work.call, leg);
  if (holder?.media.holds !== true || leg.media.direction !== 'sendonly') return undefined;
  const asset = musicFor(work, leg, holder);
  return asset === undefined ? undefined : { id: 'hold', items: [{ asset }], times: 0 };
}

/** A holder that wants to hear and say nothing says `inactive`; the other end is to hear the music all the same. */
export function heldTerms<T extends Terms>(work: Work, holder: Leg, other: Leg | undefined, offer: T): T {
  if (offer.direction !== 'inactive' || other === undefined) return offer;
  return musicFor(work, other, holder) === undefined ? offer : { ...offer, direction: 'sendonly' };
}

/** What the party that stays hears while it rings. */
export function ringbackOn({ call }: Work, leg: Leg): Playback | undefined {
  if (!isRinging(call) || leg !== callerLeg(call) || !isTransferred(call)) return undefined;
  return { id: 'ringback', items: [{ tone: 'ringback' }], times: 0 };
}

function musicFor(work: Work, leg: Leg, holder: Leg): string | undefined {
  // Behind a trunk is a switch that plays its own.
  if (holder.trunk !== undefined || !canHear(work, leg)) return undefined;
  const index = indexOf(work.ctx.snapshot);
  const user = index.userById(holder.user);
  const site = user && index.siteById(user.siteId);
  const personal = site?.personalHoldMusic === true ? user?.holdMusic : undefined;
  const music = personal ?? site?.holdMusic ?? DEFAULT_HOLD_MUSIC;
  return music === 'none' ? undefined : music;
}

/** Whether anything of ours can be put into the leg's audio. */
function canHear(work: Work, { media }: Leg): boolean {
  if (!mediaCan(work, 'play') || media.endToEnd !== undefined || media.fax !== undefined) return false;
  return media.codecs.some(({ name }) => media.opened?.transcodes?.includes(name) === true);
}
