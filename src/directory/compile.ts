import { createHash } from 'node:crypto';
import type { AccountId, DeviceId, UserId } from '../base/index.ts';
import type { AccountFile, DeviceEntry, UserEntry } from './schema.ts';
import type { Device, DirectorySnapshot, Site, User } from './types.ts';

/** A snapshot that has no number yet. Equal configurations give equal drafts. */
export type AccountDraft = Omit<DirectorySnapshot, 'number'>;

const DEFAULT_DIGEST = ['SHA-256', 'MD5'] as const;
const DEFAULT_MAX_BINDINGS = 10;
const DEFAULT_MAX_WAIT_SEC = 30;

/**
 * Compiles a checked configuration. Passwords become H(user:realm:password) here and are not kept; the realm is the account's main
 * domain (RFC 7616 §3.4.2).
 */
export function compileAccount(config: AccountFile): AccountDraft {
  const domains = [...new Set(config.domains ?? [])];
  const realm = domains[0]!;
  const defaults = config.defaults ?? {};
  const users: User[] = [];
  const devices: Device[] = [];

  for (const entry of config.users ?? []) {
    const entries: readonly (DeviceEntry | (UserEntry & { name: string }))[] = entry.devices ?? [entry];
    const sipUserOf = (device: { 'sip-user'?: string | undefined }): string =>
      device['sip-user'] ?? entry.extension;
    const id = (entry.id ?? sipUserOf(entries[0]!)) as UserId;
    users.push({
      id,
      siteId: entry.site,
      extension: entry.extension,
      displayName: entry.name,
      ring: {
        mode: entry.ring?.mode ?? defaults.ring?.mode ?? 'all',
        maxWaitSec: entry.ring?.['max-wait-sec'] ?? defaults.ring?.['max-wait-sec'] ?? DEFAULT_MAX_WAIT_SEC,
      },
      ...(entry['hold-music'] === undefined ? {} : { holdMusic: entry['hold-music'] }),
    });
    for (const device of entries) {
      const sipUser = sipUserOf(device);
      const digestAlgorithms = device.digest ?? entry.digest ?? defaults.digest ?? DEFAULT_DIGEST;
      const password = device.password;
      const hash = (algorithm: 'md5' | 'sha256'): string | undefined =>
        password === undefined ? device[`ha1-${algorithm}`] : digestHash(algorithm, sipUser, realm, password);
      devices.push({
        id: (entry.devices ? `${id}.${device.name}` : id) as string as DeviceId,
        userId: id,
        sipUser,
        domain: realm,
        // A hash that no challenge asks for would only be one more thing to steal.
        ha1: {
          ...(digestAlgorithms.includes('MD5') ? { md5: hash('md5') } : {}),
          ...(digestAlgorithms.includes('SHA-256') ? { sha256: hash('sha256') } : {}),
        } as Device['ha1'],
        digestAlgorithms: [...new Set(digestAlgorithms)],
        mediaProfile: device.media ?? entry.media ?? defaults.media ?? 'desk-128',
        maxBindings:
          device['max-bindings'] ?? entry['max-bindings'] ?? defaults['max-bindings'] ?? DEFAULT_MAX_BINDINGS,
      });
    }
  }
  const sites: Site[] = (config.sites ?? []).map((site) => ({
    id: site.id,
    name: site.name,
    code: site.code,
    requireMediaEncryption: site['require-media-encryption'] ?? false,
    prefer256: site['prefer-256'] ?? false,
    ...(site['end-to-end-encryption'] === undefined ? {} : { endToEnd: site['end-to-end-encryption'] }),
    ...(site['hold-music'] === undefined ? {} : { holdMusic: site['hold-music'] }),
    ...(site['personal-hold-music'] === true ? { personalHoldMusic: true as const } : {}),
    ...(site.zone === undefined ? {} : { zone: site.zone }),
  }));
  const lock = config['region-lock'];
  return {
    v: 1,
    account: config.account as AccountId,
    domains,
    ...(lock === undefined ? {} : { regionLock: lock }),
    sites,
    users,
    devices,
  };
}

/** H(user:realm:password) in hex (RFC 7616 §3.4.2). */
export function digestHash(
  algorithm: 'md5' | 'sha256',
  user: string,
  realm: string,
  password: string,
): string {
  return createHash(algorithm).update(`${user}:${realm}:${password}`).digest('hex');
}
