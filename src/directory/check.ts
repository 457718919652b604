import type { Problem } from './problem.ts';
import type { AccountFile, Defaults, DeviceEntry, SiteEntry, UserEntry } from './schema.ts';
import type { Loose, Path, YamlFile } from './yaml.ts';

interface Place {
  readonly file: string;
  readonly line: number;
}

interface Entry<T> {
  readonly entry: Loose<T>;
  at(...path: Path): Place;
}

/**
 * What no single value shows: names given twice, references to nothing, ranges left. Works on whatever part of the files is sound, so
 * that one reading names all mistakes.
 */
export function checkAccount(path: string, files: readonly YamlFile<AccountFile>[]): Problem[] {
  const problems: Problem[] = [];
  const report = (place: Place, message: string): void => {
    problems.push({ ...place, message });
  };
  const anyFaulty = files.some((file) => file.problems.length > 0);
  const missing = (message: string): void => {
    // With a faulty file the list may well stand in the part that could not be read.
    if (!anyFaulty) report({ file: path, line: 0 }, message);
  };

  checkHead(files, report, missing);
  const sites = entriesOf<SiteEntry>(files, 'sites');
  const users = entriesOf<UserEntry>(files, 'users');
  if (sites.length === 0)
    missing('there is no site: each user belongs to one, so at least one must stand under "sites"');
  checkSites(sites, report);
  const defaults = files.find((file) => file.sound.defaults)?.sound.defaults ?? {};
  checkUsers(users, new Map(sites.map((site) => [site.entry.id ?? '', site])), defaults, report);
  return problems;
}

type Report = (place: Place, message: string) => void;

function entriesOf<T>(files: readonly YamlFile<AccountFile>[], key: 'sites' | 'users'): Entry<T>[] {
  return files.flatMap((file) => {
    const list = file.sound[key];
    if (!Array.isArray(list)) return [];
    return list.flatMap((entry, index) =>
      typeof entry === 'object' && entry !== null
        ? [
            {
              entry: entry as Loose<T>,
              at: (...path: Path) => ({ file: file.file, line: file.lineOf([key, index, ...path]) }),
            },
          ]
        : [],
    );
  });
}

function checkHead(
  files: readonly YamlFile<AccountFile>[],
  report: Report,
  missing: (message: string) => void,
): void {
  for (const key of ['account', 'defaults', 'region-lock'] as const) {
    const [first, ...others] = files.filter((file) => file.sound[key] !== undefined);
    for (const other of others)
      report({ file: other.file, line: other.lineOf([key]) }, `"${key}" was already given in ${first!.file}`);
  }
  if (!files.some((file) => file.sound.account))
    missing('"account" is missing: give the account a short name');
  if (!files.some((file) => file.sound.domains?.length))
    missing('"domains" is missing: name the SIP domain of the account');
}

function checkSites(sites: readonly Entry<SiteEntry>[], report: Report): void {
  const ids = new Holders();
  const codes = new Holders();
  for (const { entry, at } of sites) {
    const { id, code, extensions } = entry;
    if (id)
      ids.claim(id, `${id}`, at('id'), (first) =>
        report(at('id'), `site "${id}" is given twice, first at ${first.where}`),
      );
    if (code)
      codes.claim(code, `site "${id}"`, at('code'), (first) =>
        report(
          at('code'),
          `site code ${code} belongs to both ${first.name} (${first.where}) and site "${id}"`,
        ),
      );
    const range = extensions === undefined ? undefined : rangeOf(extensions);
    if (range && (range.from > range.to || range.digits === undefined))
      report(
        at('extensions'),
        `the range ${extensions} must go upwards between two numbers of the same length`,
      );
  }
}

function checkUsers(
  users: readonly Entry<UserEntry>[],
  sites: ReadonlyMap<string, Entry<SiteEntry>>,
  defaults: Loose<Defaults>,
  report: Report,
): void {
  const ids = new Holders();
  const extensions = new Holders();
  const sipUsers = new Holders();
  for (const { entry, at } of users) {
    const { id, extension, site: siteId } = entry;
    const name = `"${entry.name ?? extension ?? '?'}"`;
    const site = siteId === undefined ? undefined : sites.get(siteId);
    if (siteId !== undefined && !site) {
      const known = [...sites.keys()].filter(Boolean);
      report(
        at('site'),
        `user ${name} names site "${siteId}", which is not among the sites (${known.slice(0, 10).join(', ') || 'there is none'})`,
      );
    }
    if (id !== undefined)
      ids.claim(id, name, at('id'), (first) =>
        report(at('id'), `id "${id}" belongs to both ${first.name} (${first.where}) and ${name}`),
      );
    if (extension !== undefined) {
      extensions.claim(`${siteId} ${extension}`, name, at('extension'), (first) =>
        report(
          at('extension'),
          `extension ${extension} of site "${siteId}" is given to both ${first.name} (${first.where}) and ${name}: give one of them another`,
        ),
      );
      const range = site?.entry.extensions === undefined ? undefined : rangeOf(site.entry.extensions);
      if (
        range?.digits &&
        (extension.length !== range.digits || +extension < range.from || +extension > range.to)
      )
        report(
          at('extension'),
          `extension ${extension} of ${name} is outside the range ${site!.entry.extensions} of site "${siteId}"`,
        );
    }
    checkDevices({ entry, at }, name, site?.entry, defaults, sipUsers, report);
  }
}

function checkDevices(
  { entry, at }: Entry<UserEntry>,
  name: string,
  site: Loose<SiteEntry> | undefined,
  defaults: Loose<Defaults>,
  sipUsers: Holders,
  report: Report,
): void {
  const own = [entry.password, entry['ha1-md5'], entry['ha1-sha256'], entry['sip-user']].some(
    (value) => value !== undefined,
  );
  if (entry.devices !== undefined && own)
    report(
      at('devices'),
      `user ${name} has both devices and a credential of its own: write the credential under one of the devices`,
    );
  const names = new Set<string>();
  const devices: [Loose<DeviceEntry>, Path][] = Array.isArray(entry.devices)
    ? entry.devices.flatMap((device, index): [Loose<DeviceEntry>, Path][] =>
        typeof device === 'object' && device !== null ? [[device, ['devices', index]]] : [],
      )
    : [[entry as Loose<DeviceEntry>, []]];
  for (const [device, path] of devices) {
    if (path.length > 0 && device.name !== undefined) {
      if (names.has(device.name))
        report(at(...path, 'name'), `user ${name} has two devices named "${device.name}"`);
      names.add(device.name);
    }
    const sipUser = device['sip-user'] ?? (devices.length === 1 ? entry.extension : undefined);
    if (sipUser !== undefined) {
      const place = at(...path, device['sip-user'] === undefined ? 'extension' : 'sip-user');
      sipUsers.claim(
        sipUser,
        name,
        place,
        (first) => {
          // The same extension at the same site was already reported as such.
          if (first.detail === entry.site && device['sip-user'] === undefined) return;
          report(
            place,
            `SIP user name ${sipUser} belongs to both ${first.name} (${first.where}) and ${name}: give one of them a "sip-user" of its own`,
          );
        },
        device['sip-user'] === undefined ? entry.site : undefined,
      );
    } else if (path.length > 0) {
      report(at(...path), `user ${name} has several devices, so each needs a "sip-user" of its own`);
    }
    checkCredential(
      device,
      device.digest ?? entry.digest ?? defaults.digest ?? ['SHA-256', 'MD5'],
      name,
      at(...path),
      report,
    );
    const media = device.media ?? entry.media ?? defaults.media;
    const encrypted = site?.['require-media-encryption'] as unknown;
    if (media === 'plain' && (encrypted === true || encrypted === 'yes' || encrypted === 'true'))
      report(
        at(...path, 'media'),
        `user ${name} has media profile plain, but site "${site!.id}" requires encryption: all calls would be refused`,
      );
  }
}

function checkCredential(
  device: Loose<DeviceEntry>,
  digest: readonly (string | undefined)[],
  name: string,
  place: Place,
  report: Report,
): void {
  const hashes = { MD5: device['ha1-md5'], 'SHA-256': device['ha1-sha256'] };
  if (device.password !== undefined) {
    if (hashes.MD5 !== undefined || hashes['SHA-256'] !== undefined)
      report(place, `user ${name} has both a password and its hashes: keep one of the two`);
    return;
  }
  // A faulty password was taken out of what is checked here; its own message stands already.
  if (
    'password' in device ||
    ('ha1-md5' in device && hashes.MD5 === undefined) ||
    ('ha1-sha256' in device && hashes['SHA-256'] === undefined)
  )
    return;
  if (hashes.MD5 === undefined && hashes['SHA-256'] === undefined) {
    report(place, `user ${name} has no "password" (nor "ha1-md5", "ha1-sha256"), so no phone could register`);
    return;
  }
  for (const algorithm of ['MD5', 'SHA-256'] as const)
    if (digest.includes(algorithm) && hashes[algorithm] === undefined)
      report(
        place,
        `user ${name} is offered ${algorithm} but has no "ha1-${algorithm === 'MD5' ? 'md5' : 'sha256'}"`,
      );
}

/** Who holds a name that may be given once. */
class Holders {
  readonly #held = new Map<string, { name: string; where: string; detail: string | undefined }>();

  claim(
    key: string,
    name: string,
    place: Place,
    taken: (first: { name: string; where: string; detail: string | undefined }) => void,
    detail?: string,
  ): void {
    const first = this.#held.get(key);
    if (first) taken(first);
    else this.#held.set(key, { name, where: `${place.file}:${place.line}`, detail });
  }
}

/** `digits` undefined: the two ends differ in length. */
function rangeOf(text: string): { from: number; to: number; digits: number | undefined } {
  const [from = '', to = ''] = text.split('-');
  return { from: Number(from), to: Number(to), digits: from.length === to.length ? from.length : undefined };
}
