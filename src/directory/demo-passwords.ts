import { type Random, randomText } from '../base/index.ts';
import { type AccountDraft, digestHash } from './compile.ts';
import type { Device } from './types.ts';

/** The demo's passwords stand in its documentation: whoever reaches the server from elsewhere knows them. */
export function hasDemoPassword(device: Pick<Device, 'sipUser' | 'domain' | 'ha1'>): boolean {
  const demo = (algorithm: 'md5' | 'sha256'): string =>
    digestHash(algorithm, device.sipUser, device.domain, `demo-${device.sipUser}`);
  return (
    (device.ha1.md5 !== undefined && device.ha1.md5 === demo('md5')) ||
    (device.ha1.sha256 !== undefined && device.ha1.sha256 === demo('sha256'))
  );
}

/** The draft with random passwords in place of the demo's, and which they are: to be shown once and kept nowhere. */
export function replaceDemoPasswords(
  draft: AccountDraft,
  random: Random,
): { draft: AccountDraft; passwords: { readonly sipUser: string; readonly password: string }[] } {
  const passwords: { sipUser: string; password: string }[] = [];
  const devices = draft.devices.map((device): Device => {
    if (!hasDemoPassword(device)) return device;
    // 80 bits, fit for typing into a phone.
    const password = randomText(random, 16);
    passwords.push({ sipUser: device.sipUser, password });
    const hash = (algorithm: 'md5' | 'sha256'): string =>
      digestHash(algorithm, device.sipUser, device.domain, password);
    return {
      ...device,
      ha1: {
        ...(device.ha1.md5 !== undefined && { md5: hash('md5') }),
        ...(device.ha1.sha256 !== undefined && { sha256: hash('sha256') }),
      },
    };
  });
  return { draft: passwords.length === 0 ? draft : { ...draft, devices }, passwords };
}
