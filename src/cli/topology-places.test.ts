import { afterAll, describe, expect, test } from 'vitest';
import { asLines, EditedFile } from '../../test/support/edited-file.ts';
import { readTopologies, readTopology } from './topology.ts';

const twoDc = new EditedFile('sip-zones/two-dc.yaml');
afterAll(() => twoDc.remove());

/** The problems of `sip-zones/two-dc.yaml` after the given replacements, as `line: sentence`. */
async function problemsOf(...edits: [string, string][]): Promise<string[]> {
  const read = await readTopologies(twoDc.with(...edits));
  return read.ok ? [] : asLines(read.error);
}
const lineOf = (text: string, from?: string): number => twoDc.lineOf(text, from);

async function topologies(file: string) {
  const read = await readTopologies(file);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}

describe('sip-zones/two-dc.yaml', () => {
  test('is two data centres of one region, each the other’s secondary, with a pair of zones each (PH-ZONE-09)', async () => {
    const [fra, ams] = await topologies('sip-zones/two-dc.yaml');
    expect(fra!.zones.map(({ id, twin }) => [id, twin])).toEqual([
      ['fraa', 'frab'],
      ['frab', 'fraa'],
    ]);
    expect(ams!.zones.map(({ id }) => id)).toEqual(['amsa', 'amsb']);
    expect(fra!.dataCentre).toMatchObject({ id: 'fra', region: 'eu', secondary: 'ams' });
    expect(fra!.dataCentre?.peers).toEqual([
      { id: 'ams', meet: { host: '10.80.2.1', port: 5090, sip: 5091 } },
    ]);
    expect(fra!.dataCentre?.trunks).toEqual([{ id: 'ams', places: [{ host: '10.80.2.1', port: 5091 }] }]);
    expect(ams!.dataCentre).toMatchObject({ id: 'ams', region: 'eu', secondary: 'fra' });
    expect(ams!.places).toEqual(fra!.places);
  });

  test('a phone that asks again in time and gives a dead server up after 64·T1 is back within 60 s (PH-ZONE-10)', async () => {
    const [fra] = await topologies('sip-zones/two-dc.yaml');
    expect(fra!.dataCentre!.failover.registrationSec + 32).toBeLessThanOrEqual(60);
  });

  test('which of them is meant must be said', async () => {
    const messages = async (dataCentre?: string) => {
      const read = await readTopology(
        'sip-zones/two-dc.yaml',
        dataCentre === undefined ? {} : { dataCentre },
      );
      return read.ok ? read.value.dataCentre?.id : read.error.map(({ message }) => message);
    };
    expect(await messages()).toEqual([
      'this file describes several data centres (fra, ams): say with --dc which of them this is',
    ]);
    expect(await messages('lon')).toEqual(['there is no data centre "lon" here; there is: fra, ams']);
    expect(await messages('ams')).toBe('ams');
    const local = await readTopology('sip-zones/local.yaml', { dataCentre: 'fra' });
    expect(local.ok ? [] : local.error.map(({ message }) => message)).toEqual([
      'this file describes one data centre and no "fra": leave --dc out',
    ]);
  });
});

test('sip-zones/fourteen-locations.yaml: 14 for phones, 8 of them for the contact centre (PH-ZONE-16)', async () => {
  const all = await topologies('sip-zones/fourteen-locations.yaml');
  const named = (service: 'phone' | 'contact-centre') =>
    all.filter(({ dataCentre }) => dataCentre!.services.includes(service)).map((one) => one.dataCentre!.name);
  expect(named('phone')).toHaveLength(14);
  expect(named('contact-centre')).toEqual([
    'US west (California)',
    'US east (Virginia)',
    'Amsterdam',
    'Frankfurt',
    'Sydney',
    'Melbourne',
    'Tokyo',
    'Osaka',
  ]);
  const zones = all.flatMap((one) => one.zones.map(({ id }) => id));
  expect(new Set(zones).size).toBe(28);
  const { regions, dataCentres } = all[0]!.places;
  // PH-ZONE-15: failing over never leaves a locked region.
  for (const { id } of regions.filter(({ locked }) => locked)) {
    const inside = dataCentres.filter(({ region }) => region === id);
    expect(inside.length).toBeGreaterThanOrEqual(2);
    for (const { secondary } of inside) expect(inside.map((one) => one.id)).toContain(secondary);
  }
});

describe('mistakes', () => {
  test('a zone of another data centre named again, a secondary that does not exist, an unknown region: all at once', async () => {
    expect(
      await problemsOf(
        ['{ id: amsb, twin: amsa', '{ id: fraa, twin: amsa'],
        ['secondary: ams', 'secondary: lon'],
        ['    region: eu\n    secondary: fra', '    region: us\n    secondary: fra'],
      ),
    ).toEqual([
      `${lineOf('- { id: eu')}: region "eu" is locked and has one data centre ("fra"): it needs two, so that the loss of one does not leave the region`,
      `${lineOf('secondary: ams')}: the secondary "lon" of data centre "fra" is not among the data centres (fra, ams)`,
      `${lineOf('secondary: fra') - 1}: data centre "ams" is in region "us", which is not among the regions (eu)`,
      `${lineOf('{ id: amsa')}: the twin "amsb" of zone "amsa" is not among the zones`,
      `${lineOf('{ id: amsb')}: zone "fraa" is given twice, first in line ${lineOf('- id: fraa')}`,
      expect.stringContaining('zone "fraa" names "amsa" as its twin, but that names "amsb"'),
    ]);
  });

  test('calls are taken where the data centre is met, or at ports that there are not', async () => {
    expect(await problemsOf(['sip: 5091', 'sip: 5090'])).toEqual([
      `${lineOf('meet: { host: 10.80.1.1')}: the edges of "fra" take calls at 5090, which is where it is met`,
    ]);
    expect(await problemsOf(['sip: 5091', 'sip: 65536'])).toHaveLength(1);
  });

  test('a data centre twice, its own secondary, a secondary outside a locked region, one meeting place for two', async () => {
    expect(await problemsOf(['  - id: ams', '  - id: fra'], ['secondary: ams', 'secondary: fra'])).toEqual([
      `${lineOf('secondary: ams')}: data centre "fra" is named as its own secondary`,
      `${lineOf('  - id: ams')}: data centre "fra" is given twice, first in line ${lineOf('  - id: fra')}`,
      `${lineOf('secondary: fra')}: data centre "fra" is named as its own secondary`,
    ]);
    expect(
      await problemsOf(
        ['locked: yes }', 'locked: yes }\n  - { id: us, name: America }'],
        ['    region: eu\n    secondary: fra', '    region: us\n    secondary: fra'],
        ['10.80.2.1', '10.80.1.1'],
      ),
    ).toEqual([
      expect.stringContaining('region "eu" is locked and has one data centre ("fra")'),
      expect.stringContaining(
        'the secondary "ams" of data centre "fra" is in region "us": accounts locked to "eu"',
      ),
      expect.stringContaining('10.80.1.1 port 5090 is where both "fra" and "ams" are met'),
    ]);
  });

  test('of one data centre the twin must be in the same', async () => {
    expect(await problemsOf(['{ id: frab, twin: fraa', '{ id: frab, twin: amsa'])).toEqual([
      `${lineOf('twin: frab')}: zone "fraa" names "frab" as its twin, but that names "amsa": a pair names each other`,
      `${lineOf('{ id: frab')}: the twin "amsa" of zone "frab" is not among the zones`,
    ]);
  });
});
