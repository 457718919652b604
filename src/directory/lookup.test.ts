import { describe, expect, test } from 'vitest';
import type { AccountId, UserId } from '../base/index.ts';
import {
  type DirectorySnapshot,
  indexDirectories,
  indexSnapshot,
  resolveDialled,
  type Site,
  type User,
} from './index.ts';

const site = (id: string, code: string): Site => ({
  id,
  name: id,
  code,
  requireMediaEncryption: false,
  prefer256: false,
});
const user = (id: string, siteId: string, extension: string): User => ({
  id: id as UserId,
  siteId,
  extension,
  displayName: id,
  ring: { mode: 'all', maxWaitSec: 30 },
});
const snapshot = (account: string, sites: Site[], users: User[]): DirectorySnapshot => ({
  v: 1,
  account: account as AccountId,
  number: 1,
  domains: [`${account}.test`],
  sites,
  users,
  devices: users.map((one) => ({
    id: one.id as string as DirectorySnapshot['devices'][number]['id'],
    userId: one.id,
    sipUser: one.id,
    domain: `${account}.test`,
    ha1: {},
    digestAlgorithms: ['MD5'],
    mediaProfile: 'desk-128',
    maxBindings: 10,
  })),
});

describe('a dialled string (PH-NUM-08, PH-NUM-09)', () => {
  const ada = user('ada', 'north', '100');
  const bob = user('bob', 'north', '81100');
  const cyd = user('cyd', 'south', '100');
  const dan = user('dan', 'east', '1100');
  const index = indexSnapshot(
    snapshot('acme', [site('north', '80'), site('south', '81'), site('east', '8')], [ada, bob, cyd, dan]),
  );
  const dials = (caller: User, dialled: string): string => {
    const result = resolveDialled(index, caller, dialled);
    return result.kind === 'user' ? result.user.id : result.kind;
  };

  test('inside a site the short extension suffices', () => {
    expect(dials(ada, '100')).toBe('ada');
    expect(dials(cyd, '100')).toBe('cyd');
  });

  test('from another site the code and the extension', () => {
    expect(dials(cyd, '80100')).toBe('ada');
    expect(dials(ada, '80100')).toBe('ada');
  });

  test('an extension of the own site goes before a full one', () => {
    expect(dials(ada, '81100')).toBe('bob');
    expect(dials(cyd, '8081100')).toBe('bob');
  });

  test('of two site codes the longer wins', () => {
    expect(dials(dan, '81100')).toBe('cyd');
    expect(dials(cyd, '81100')).toBe('cyd');
  });

  test('nothing matches by its beginning alone, nor an extension of another site without its code', () => {
    expect(dials(ada, '10')).toBe('unknown');
    expect(dials(ada, '1001')).toBe('unknown');
    expect(dials(ada, '1100')).toBe('unknown');
    expect(dials(ada, '')).toBe('unknown');
  });
});

describe('a SIP user name', () => {
  const acme = snapshot('acme', [site('m', '1')], [user('ada', 'm', '100')]);
  const other = snapshot('other', [site('m', '1')], [user('ada', 'm', '200')]);

  test('any host part is the domain of the only account', () => {
    const directories = indexDirectories([acme]);
    expect(directories.deviceBySipUser('ada', '192.0.2.1')?.user.extension).toBe('100');
    expect(directories.deviceBySipUser('bob', 'acme.test')).toBeUndefined();
  });

  test('with two accounts the domain decides, whatever its case', () => {
    const directories = indexDirectories([acme, other]);
    expect(directories.deviceBySipUser('ada', 'Other.TEST')?.user.extension).toBe('200');
    expect(directories.deviceBySipUser('ada', '192.0.2.1')).toBeUndefined();
  });
});
