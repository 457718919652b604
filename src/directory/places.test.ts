import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger, type UserId, VirtualClock, type ZoneId } from '../base/index.ts';
import { MemoryCluster } from '../state/index.ts';
import {
  homeOfUser,
  indexSnapshot,
  newerTerm,
  type Places,
  putTerm,
  readAccountConfig,
  servingRefusal,
  type Term,
  watchServing,
} from './index.ts';

const PLACES: Places = {
  dataCentres: [
    { id: 'fra', region: 'eu', secondary: 'ams', zones: ['fraa', 'frab'] },
    { id: 'ams', region: 'eu', secondary: 'fra', zones: ['amsa', 'amsb'] },
    { id: 'syd', region: 'au', secondary: 'fra', zones: ['syda', 'sydb'] },
  ],
  regions: [
    { id: 'eu', locked: true },
    { id: 'au', locked: false },
  ],
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-locks-'));
});
afterAll(() => rm(dir, { recursive: true }));

const read = async (head: string, ...sites: string[]) => {
  const file = join(dir, 'account.yaml');
  const rows = sites.map(
    (more, at) => `  - { id: s${at}, name: S, code: ${81 + at}, extensions: 1000-1999${more} }\n`,
  );
  const users = sites.map(
    (_, at) => `  - { extension: 100${at}, name: U, site: s${at}, password: secret-${at} }\n`,
  );
  await writeFile(
    file,
    `account: acme\n${head}domains: [acme.test]\nsites:\n${rows.join('')}users:\n${users.join('')}`,
  );
  return readAccountConfig(file, PLACES);
};
const mistakes = async (...args: Parameters<typeof read>) => {
  const config = await read(...args);
  return config.ok ? [] : config.error.map(({ line, message }) => `${line}: ${message}`);
};

test('an unknown zone is refused with its line (PH-ZONE-13)', async () => {
  expect(await mistakes('', ', zone: amsa', ', zone: lona')).toEqual([
    '5: site "s1" names zone "lona", which is not in the topology (fraa, frab, amsa, amsb, syda, sydb)',
  ]);
});

test('a lock to a region that does not exist or has no two data centres is refused', async () => {
  expect(await mistakes('region-lock: mars\n', '')).toEqual([
    '2: the account is locked to region "mars", which is not in the topology (eu, au)',
  ]);
  expect(await mistakes('region-lock: au\n', ', zone: syda')).toEqual([
    '2: the account is locked to region "au", to which the topology does not let accounts be locked: it needs "locked: yes" there, and two data centres',
  ]);
});

test('sites of a locked account are in its region', async () => {
  expect(await mistakes('region-lock: eu\n', '', ', zone: syda')).toEqual([
    '6: site "s1" names zone "syda" of region "au", but the account is locked to region "eu"',
  ]);
});

const acme = async (head = '') => {
  const config = await read(head, '', ', zone: amsb');
  if (!config.ok) throw new Error(JSON.stringify(config.error));
  return indexSnapshot({ ...config.value, number: 1 });
};
const user = (index: Awaited<ReturnType<typeof acme>>, id: string) => index.userById(id as UserId)!;

test('a user belongs to the data centre of the site’s zone, without one to the first', async () => {
  const index = await acme();
  expect(homeOfUser(PLACES, index, user(index, '1000'))).toBe('fra');
  expect(homeOfUser(PLACES, index, user(index, '1001'))).toBe('ams');
});

const at = (dataCentre: string) => ({ places: PLACES, dataCentre, retryAfterSec: 20 });

test('a user is served at home alone, until another data centre serves there', async () => {
  const index = await acme();
  const one = user(index, '1000');
  const nothing = () => undefined;
  expect(servingRefusal(at('fra'), index, one, nothing)).toBeUndefined();
  expect(servingRefusal(at('ams'), index, one, nothing)).toEqual({
    status: 503,
    reason: 'Data centre fra serves this user',
    retryAfterSec: 20,
  });
  const lost = (home: string) => (home === 'fra' ? 'ams' : undefined);
  expect(servingRefusal(at('ams'), index, one, lost)).toBeUndefined();
  expect(servingRefusal(at('fra'), index, one, lost)).toMatchObject({ status: 503 });
  // Nobody asked for the others.
  expect(servingRefusal(at('ams'), index, user(index, '1001'), lost)).toBeUndefined();
});

test('a locked account gets 403 with the region’s name in every other region, whoever serves (PH-ZONE-14)', async () => {
  const index = await acme('region-lock: eu\n');
  const one = user(index, '1000');
  const everywhere = () => 'syd';
  expect(servingRefusal(at('syd'), index, one, everywhere)).toEqual({
    status: 403,
    reason: 'The account is locked to region eu',
  });
  expect(servingRefusal(at('fra'), index, one, () => undefined)).toBeUndefined();
  expect(servingRefusal(at('ams'), index, one, () => 'ams')).toBeUndefined();
});

const term = (number: number, serving: string, why: Term['why'] = 'lost'): Term => ({
  v: 1,
  home: 'fra',
  serving,
  number,
  sinceUtcMs: 0,
  why,
});

test('of two terms the higher number counts, at the same number the home', () => {
  expect(newerTerm(term(2, 'ams'), term(1, 'fra')).serving).toBe('ams');
  expect(newerTerm(term(2, 'ams'), term(3, 'fra')).serving).toBe('fra');
  expect(newerTerm(term(2, 'ams'), term(2, 'fra')).serving).toBe('fra');
  expect(newerTerm(term(2, 'fra'), term(2, 'ams')).serving).toBe('fra');
});

test('the watch follows the state and keeps what it read last', async () => {
  const clock = new VirtualClock();
  const cluster = new MemoryCluster({ clock });
  const control = cluster.open('a' as ZoneId, 'b' as ZoneId);
  const watch = await watchServing(cluster.open('b' as ZoneId, 'a' as ZoneId), { clock, log: silentLogger });
  expect(watch.serving('fra')).toBeUndefined();
  await putTerm(control, term(2, 'ams'));
  clock.advance(1000);
  await expect.poll(() => watch.serving('fra')).toBe('ams');
  watch.close();
});
