import { describe, expect, test } from 'vitest';
import type { AccountId, EdgeId, UserId } from '../base/index.ts';
import { type DirectorySnapshot, indexSnapshot, type Places } from '../directory/index.ts';
import { type Trunk, waysTo } from './ways.ts';

const PLACES: Places = {
  dataCentres: [
    { id: 'fra', region: 'eu', secondary: 'ams', zones: ['fraa'] },
    { id: 'ams', region: 'eu', secondary: 'fra', zones: ['amsa'] },
    { id: 'syd', region: 'au', secondary: 'mel', zones: ['syda'] },
    { id: 'mel', region: 'au', secondary: 'syd', zones: ['mela'] },
  ],
  regions: [],
};
const user = (id: string, siteId: string) => ({
  id: id as UserId,
  siteId,
  extension: id,
  displayName: id,
  ring: { mode: 'all', maxWaitSec: 30 } as const,
});
const site = (id: string, zone: string) => ({
  ...{ id, zone, name: id, code: '8' },
  ...{ requireMediaEncryption: false, prefer256: false },
});
const index = indexSnapshot({
  v: 1,
  account: 'acme' as AccountId,
  number: 1,
  domains: ['acme.test'],
  sites: [site('frankfurt', 'fraa'), site('amsterdam', 'amsa'), site('sydney', 'syda')],
  users: [user('1001', 'frankfurt'), user('2001', 'amsterdam'), user('3001', 'sydney')],
  devices: [],
} satisfies DirectorySnapshot);

const trunkTo = (dataCentre: string): Trunk => ({
  dataCentre,
  edge: 'edge1' as EdgeId,
  local: { address: '192.0.2.1', port: 5091 },
  remote: { address: '192.0.2.2', port: 5091 },
});

function namesOf(id: string, serving: Record<string, string>, trunks = ['ams', 'syd', 'mel']): string[] {
  const ways = waysTo(
    {
      ...{ places: PLACES, dataCentre: 'fra', retryAfterSec: 1 },
      watch: { serving: (home) => serving[home], close: () => {} },
      trunks: trunks.map(trunkTo),
    },
    index,
    id as UserId,
  );
  return ways.map(({ dataCentre, region, flow }) => `${dataCentre} ${region} ${flow.id}`);
}

describe('the way to a user without a phone here', () => {
  test('leads nowhere for our own, and for one whom we serve in place of another', () => {
    expect(namesOf('1001', { fra: 'fra' })).toEqual([]);
    expect(namesOf('2001', { ams: 'fra' })).toEqual([]);
    expect(namesOf('9999', {})).toEqual([]);
  });

  test('leads to the one that serves, and never back to us', () => {
    expect(namesOf('2001', { ams: 'ams' })).toEqual(['ams eu i:ams']);
    // Our own user, while the other one serves him.
    expect(namesOf('1001', { fra: 'ams' })).toEqual(['ams eu i:ams']);
  });

  test('leads to the home and then to its secondary where we do not hear who serves', () => {
    expect(namesOf('3001', {})).toEqual(['syd au i:syd', 'mel au i:mel']);
    expect(namesOf('3001', {}, ['mel'])).toEqual(['mel au i:mel']);
    expect(namesOf('3001', {}, [])).toEqual([]);
  });
});
