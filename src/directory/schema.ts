import type * as z from 'zod';
import { list, matching, oneOf, record, text, wholeNumber, yesNo } from './yaml.ts';

/** The format of an account's configuration, as `config/demo` shows it. */

const identifier = () =>
  matching(
    /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
    'a name of lower-case letters, digits and hyphens, at most 40',
  );
const digits = (max: number) => matching(new RegExp(`^[0-9]{1,${max}}$`), `1 to ${max} digits`);
const domain = () =>
  matching(
    /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/,
    'a domain name such as phones.example.com',
  ).transform((name) => name.toLowerCase());

const digest = () => list(oneOf(['MD5', 'SHA-256']), 2).min(1, 'must name MD5, SHA-256 or both');
const media = () => oneOf(['app', 'browser', 'desk-128', 'desk-256', 'trunk', 'plain']);
const holdMusic = () =>
  matching(
    /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\\\0]{1,255}$/,
    'the name of a file below the folder of assets, such as music/waltz.mp3, or none',
  );
const maxBindings = () => wholeNumber(1, 50);
const ring = () =>
  record({ mode: oneOf(['all', 'in-order']).optional(), 'max-wait-sec': wholeNumber(5, 60).optional() });

/** What says the password: itself, or its digest hashes so that it stands nowhere in clear. */
const credential = {
  password: text(128).optional(),
  'ha1-md5': matching(/^[0-9a-f]{32}$/, '32 hexadecimal digits in lower case').optional(),
  'ha1-sha256': matching(/^[0-9a-f]{64}$/, '64 hexadecimal digits in lower case').optional(),
};
const sipUser = () =>
  matching(/^[A-Za-z0-9._~!*'()&=+$,-]{1,64}$/, 'a SIP user name of at most 64 letters, digits and marks');

const device = record({
  name: identifier(),
  'sip-user': sipUser().optional(),
  ...credential,
  digest: digest().optional(),
  media: media().optional(),
  'max-bindings': maxBindings().optional(),
});

export const accountSchema = record({
  account: identifier().optional(),
  'region-lock': identifier().optional(),
  domains: list(domain(), 20).min(1, 'must name at least one domain').optional(),
  defaults: record({
    digest: digest().optional(),
    media: media().optional(),
    'max-bindings': maxBindings().optional(),
    ring: ring().optional(),
  }).optional(),
  sites: list(
    record({
      id: identifier(),
      name: text(),
      code: digits(6),
      extensions: matching(/^[0-9]{1,10}-[0-9]{1,10}$/, 'a range such as 1000-1999'),
      'require-media-encryption': yesNo().optional(),
      'prefer-256': yesNo().optional(),
      'end-to-end-encryption': oneOf(['refused', 'allowed', 'required']).optional(),
      'hold-music': holdMusic().optional(),
      'personal-hold-music': yesNo().optional(),
      zone: identifier().optional(),
    }),
    1000,
  ).optional(),
  users: list(
    record({
      id: identifier().optional(),
      extension: digits(10),
      name: text(),
      site: identifier(),
      ring: ring().optional(),
      'hold-music': holdMusic().optional(),
      'sip-user': sipUser().optional(),
      ...credential,
      digest: digest().optional(),
      media: media().optional(),
      'max-bindings': maxBindings().optional(),
      devices: list(device, 20).min(1, 'must name at least one device').optional(),
    }),
  ).optional(),
});

export type AccountFile = z.infer<typeof accountSchema>;
export type UserEntry = NonNullable<AccountFile['users']>[number];
export type SiteEntry = NonNullable<AccountFile['sites']>[number];
export type DeviceEntry = NonNullable<UserEntry['devices']>[number];
export type Defaults = NonNullable<AccountFile['defaults']>;
