import type { Installation } from '../installation.ts';
import type { Phone, PhoneCall } from '../phone.ts';
import { registeredPhone } from '../talk.ts';
import { FaxMedia, type FaxMediaOptions } from './fax-media.ts';

/** A demo user's fax machine, registered. */
export function registeredFax(
  at: Installation,
  user: string,
  options: Omit<FaxMediaOptions, 'address'>,
): Promise<Phone> {
  return registeredPhone(at, user, {
    phone: { media: ({ address }) => FaxMedia.open({ ...options, address }) },
  });
}

export const faxOf = (call: PhoneCall): FaxMedia => call.media as FaxMedia;

/** Asks for T.38 in the audio's place; the response to it. */
export async function turnToT38(call: PhoneCall) {
  const fax = faxOf(call);
  fax.wantsT38 = true;
  const response = await call.reinvite();
  fax.wantsT38 = fax.isT38;
  return response;
}
