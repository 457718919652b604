import { beforeAll, describe, expect, it } from 'vitest';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import type { PhoneCall } from '../support/phone.ts';
import { hears } from './checks.ts';
import { demoDirectory, simPhone } from './phones.ts';
import { pass, play, World } from './world.ts';

let directory: DirectorySnapshot;
beforeAll(async () => {
  directory = await demoDirectory();
});

/** Ada calls Charles; both are registered and talk. */
async function talk(world: World) {
  const ada = await simPhone(world, '1001');
  const charles = await simPhone(world, '1002');
  await ada.register();
  await charles.register();
  const adas = await ada.call('1002');
  const charless = await charles.incoming();
  await adas.answered();
  await charless.acknowledged();
  await pass(world, 100);
  expectTalk(world, adas, charless);
  return { ada, charles, adas, charless };
}

function expectTalk(world: World, a: PhoneCall, b: PhoneCall): void {
  expect({ aHearsB: hears(world, a, b), bHearsA: hears(world, b, a) }).toEqual({
    aHearsB: true,
    bHearsA: true,
  });
}

const ownerOf = (world: World): 'a' | 'b' | undefined =>
  [...world.switches.values()].find(({ process, callSwitch }) => process.alive && callSwitch.callCount > 0)
    ?.process.id[0] as 'a' | 'b' | undefined;

describe('ada calls charles', () => {
  it('they hear each other, hold, resume and hang up', async () => {
    const world = new World({ seed: 1, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { adas, charless } = await talk(world);
      await adas.hold();
      expect(hears(world, adas, charless)).toBe(false);
      await adas.resume();
      expectTalk(world, adas, charless);
      await charless.bye();
      await adas.ended();
      await pass(world, 40_000);
      expect([...world.media.values()].map(({ streams }) => streams.size)).toEqual([0, 0]);
      expect(ownerOf(world)).toBeUndefined();
    });
  });

  it('the zone of their call dies; they still hear each other, and the twin answers the next hold and BYE', async () => {
    const world = new World({ seed: 2, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { ada, charles, adas, charless } = await talk(world);
      const seen = [ada.received.next, charles.received.next];
      const zone = ownerOf(world)!;
      world.killZone(zone);
      await pass(world, 50);
      expectTalk(world, adas, charless);
      expect(ownerOf(world)).toBe(zone === 'a' ? 'b' : 'a');
      // Nobody was told: no re-INVITE, no BYE.
      expect([ada.received.next, charles.received.next]).toEqual(seen);
      await adas.hold();
      expect(hears(world, adas, charless)).toBe(false);
      await adas.resume();
      expectTalk(world, adas, charless);
      await adas.bye();
      expect((await charless.ended()).how).toBe('bye');
    });
  });

  it('the zone is frozen; within three seconds they hear each other again', async () => {
    const world = new World({ seed: 3, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { adas, charless } = await talk(world);
      const zone = ownerOf(world)!;
      world.freezeZone(zone);
      await pass(world, 3_000);
      expectTalk(world, adas, charless);
      world.thawZone(zone);
      await pass(world, 1_000);
      expectTalk(world, adas, charless);
      await charless.bye();
      await adas.ended();
    });
  });

  it('the switch of their call dies; the sibling goes on', async () => {
    const world = new World({ seed: 4, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { adas, charless } = await talk(world);
      const owner = [...world.switches.values()].find(({ callSwitch }) => callSwitch.callCount > 0)!;
      owner.process.kill();
      await pass(world, 20);
      expectTalk(world, adas, charless);
      expect(ownerOf(world)).toBe(owner.process.id[0]);
      await charless.bye();
      await adas.ended();
    });
  });

  it.each([
    [false, 'nobody is told anything'],
    [true, 'each phone is told another port'],
  ])('both media processes die, their ports taken: %s; %s, and they hear each other', async (portsTaken) => {
    const world = new World({ seed: 6, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { ada, charles, adas, charless } = await talk(world);
      const seen = [ada.received.next, charles.received.next];
      if (portsTaken) world.takeMediaPorts();
      for (const zone of ['a', 'b'] as const) world.kill(world.process('media', zone));
      await pass(world, 3_000);
      expectTalk(world, adas, charless);
      const told = [ada, charles].map((phone, at) => phone.received.next !== seen[at]);
      expect(told).toEqual([portsTaken, portsTaken]);
      await adas.hold();
      await adas.resume();
      expectTalk(world, adas, charless);
      await charless.bye();
      await adas.ended();
      await pass(world, 40_000);
      expect([...world.media.values()].map(({ streams }) => streams.size)).toEqual([0, 0]);
    });
  });

  it('the media process of their call dies; its twin goes on at the same address', async () => {
    const world = new World({ seed: 5, directory });
    await play(world, async () => {
      await pass(world, 100);
      const { adas, charless } = await talk(world);
      world.process('media', ownerOf(world)!).kill();
      await pass(world, 20);
      expectTalk(world, adas, charless);
      await adas.hold();
      await adas.resume();
      expectTalk(world, adas, charless);
      await charless.bye();
      await adas.ended();
    });
  });
});
