import { expect, test } from 'vitest';
import {
  type AccountId,
  type BundleId,
  type SwitchId,
  silentLogger,
  VirtualClock,
  type ZoneId,
} from '../base/index.ts';
import { MemoryCluster } from './memory.ts';
import { patientInAdoption } from './patient.ts';

const A = 'a' as ZoneId;
const demo = 'demo' as AccountId;
const bundle = '0123456789' as BundleId;

function away() {
  const clock = new VirtualClock();
  const memory = new MemoryCluster({ clock }).open(A, 'b' as ZoneId);
  memory.away('rejects');
  return { clock, memory, state: patientInAdoption(memory, { clock, log: silentLogger }) };
}

/** Lets promises go on as far as they can without time passing. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('an adoption that meets a state that is away goes on when it is back', async () => {
  const { clock, memory, state } = away();
  const done: string[] = [];
  const adopting = Promise.all([
    state.leases().then(() => done.push('leases')),
    state.grant(bundle, 'a1' as SwitchId, A).then(() => done.push('grant')),
    state.lease(bundle).then(() => done.push('lease')),
    state.list(demo, 'call', `${bundle}/`).then(() => done.push('list')),
  ]);
  for (let tries = 0; tries < 20; tries++) {
    await settled();
    clock.advance(250);
  }
  expect(done).toEqual([]);
  memory.back();
  await settled();
  clock.advance(250);
  await adopting;
  expect(done.sort()).toEqual(['grant', 'lease', 'leases', 'list']);
});

test('what phones wait for is refused at once, and what was refused for good stays so', async () => {
  const { memory, state } = away();
  await expect(state.list(demo, 'registration')).rejects.toMatchObject({ code: 'state_away' });
  await expect(state.commit([], { durability: 'durable' })).rejects.toMatchObject({ code: 'state_away' });
  memory.back();
  await expect(state.grant(bundle, 'b1' as SwitchId, 'b' as ZoneId)).rejects.toMatchObject({
    code: 'state_wrong_zone',
  });
});
