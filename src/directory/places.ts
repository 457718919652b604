import type { DirectoryIndex } from './lookup.ts';
import type { Problem } from './problem.ts';
import type { AccountFile } from './schema.ts';
import type { User } from './types.ts';
import type { YamlFile } from './yaml.ts';

/** The data centres with their zones and regions, as the topology has them: what accounts and sites may name. */
export interface Places {
  readonly dataCentres: readonly {
    readonly id: string;
    readonly region?: string;
    readonly secondary?: string;
    readonly zones: readonly string[];
  }[];
  /** `locked`: accounts may be locked to it, since it owns two data centres that fail over to each other (PH-ZONE-15). */
  readonly regions: readonly { readonly id: string; readonly locked: boolean }[];
}

/** The data centre of a zone; of a site without zone, or with one that is no more, the first. */
export function homeOf(places: Places, zone: string | undefined): string {
  const found = zone === undefined ? undefined : places.dataCentres.find(({ zones }) => zones.includes(zone));
  return (found ?? places.dataCentres[0])?.id ?? '';
}

/** The data centre that serves a user while all is well (PH-ZONE-13). */
export const homeOfUser = (places: Places, index: DirectoryIndex, user: User): string =>
  homeOf(places, index.siteById(user.siteId)?.zone);

export const regionOf = (places: Places, dataCentre: string): string | undefined =>
  places.dataCentres.find(({ id }) => id === dataCentre)?.region;

/** Zones and regions that there are not, and sites outside the region that their account is locked to (PH-ZONE-13 to 15). */
export function checkPlaces(files: readonly YamlFile<AccountFile>[], places: Places | undefined): Problem[] {
  if (places === undefined) return [];
  const problems: Problem[] = [];
  const lock = files.find(({ sound }) => typeof sound['region-lock'] === 'string')?.sound['region-lock'];
  for (const { file, sound, lineOf } of files) {
    const report = (path: readonly (string | number)[], message: string): void => {
      problems.push({ file, line: lineOf(path), message });
    };
    if (sound['region-lock'] !== undefined) {
      const wrong = wrongLock(sound['region-lock'], places);
      if (wrong !== undefined) report(['region-lock'], wrong);
    }
    const sites = Array.isArray(sound.sites) ? sound.sites : [];
    sites.forEach((site, at) => {
      const zone = site?.zone;
      const known = places.dataCentres.flatMap(({ zones }) => zones);
      if (zone !== undefined && !known.includes(zone)) {
        report(
          ['sites', at, 'zone'],
          `site "${site?.id}" names zone "${zone}", which is not in the topology (${known.slice(0, 30).join(', ')})`,
        );
        return;
      }
      const region = regionOf(places, homeOf(places, zone));
      if (lock === undefined || wrongLock(lock, places) !== undefined || region === lock) return;
      const whose =
        zone === undefined
          ? `has no zone and so belongs to data centre "${homeOf(places, zone)}" of region "${region}"`
          : `names zone "${zone}" of region "${region}"`;
      report(
        ['sites', at, ...(zone === undefined ? [] : ['zone'])],
        `site "${site?.id}" ${whose}, but the account is locked to region "${lock}"`,
      );
    });
  }
  return problems;
}

function wrongLock(lock: string, { regions }: Places): string | undefined {
  const region = regions.find(({ id }) => id === lock);
  if (region === undefined)
    return `the account is locked to region "${lock}", which is not in the topology (${regions.map(({ id }) => id).join(', ') || 'it has no regions'})`;
  return region.locked
    ? undefined
    : `the account is locked to region "${lock}", to which the topology does not let accounts be locked: it needs "locked: yes" there, and two data centres`;
}
