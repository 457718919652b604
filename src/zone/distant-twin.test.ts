import { beforeEach, describe, expect, it } from 'vitest';
import { settle } from '../../test/support/virtual-time.ts';
import { seededRandom, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { type Channel, type Frame, memoryLink, type Peer, type ZoneToMedia } from '../link/index.ts';
import { MemoryZones } from '../state/index.ts';
import { DistantTwin } from './distant-twin.ts';

const ADDRESS = { a: '10.0.9.1', b: '10.0.9.2' };
type Side = 'a' | 'b';
const otherOf = (side: Side): Side => (side === 'a' ? 'b' : 'a');

/** Two machines: what lies on their interfaces, and what their media processes are told. */
class Site {
  readonly clock = new VirtualClock();
  readonly zones = new MemoryZones();
  readonly interfaces: Record<Side, Set<string>> = { a: new Set(), b: new Set() };
  readonly told: Record<Side, Frame[]> = { a: [], b: [] };
  readonly events: string[] = [];
  readonly twins: Record<Side, DistantTwin> = { a: this.#twin('a'), b: this.#twin('b') };
  #link: { left: Channel; right: Channel } | undefined;

  #twin(side: Side): DistantTwin {
    const other = otherOf(side);
    const here = this.interfaces[side];
    return new DistantTwin({
      zone: side as ZoneId,
      leases: this.zones.open(side as ZoneId, other as ZoneId),
      addresses: {
        own: new Map([[side, ADDRESS[side]]]),
        twins: new Map([[other, ADDRESS[other]]]),
        moving: {
          take: async (address) => {
            here.add(address);
            this.events.push(`${side} takes ${address}`);
          },
          keep: async () => {},
          leave: async (address) => {
            here.delete(address);
            this.events.push(`${side} leaves ${address}`);
          },
        },
      },
      clock: this.clock,
      random: seededRandom(side.charCodeAt(0)),
      log: silentLogger,
      tellChildren: () => {},
      tellMedia: (frame) => {
        this.told[side].push(frame);
        if (frame.kind === 'take-over')
          this.events.push(`${side} takes over media ${(frame.data as ZoneToMedia['take-over']).media}`);
      },
      adopt: async () => this.events.push(`${side} adopts`),
      end: () => this.events.push(`${side} ends`),
    });
  }

  async begin(): Promise<void> {
    await Promise.all([this.twins.a.begin(), this.twins.b.begin()]);
    this.join();
    await this.run(3_000);
    this.events.length = 0;
  }

  join(): void {
    const peer = (id: Side): Peer => ({ role: 'zone', id, pid: 1, startTime: 1 });
    const { left, right } = memoryLink({ clock: this.clock, left: peer('a'), right: peer('b') });
    this.#link = { left, right };
    for (const [side, channel] of [
      ['a', left],
      ['b', right],
    ] as const) {
      channel.onFrame((frame) => this.twins[side].onFrame(frame));
      channel.onClose(() => this.twins[side].disconnected(channel));
      this.twins[side].connected(channel);
    }
  }

  /** It reaches neither its twin nor the store. */
  cutOff(side: Side): void {
    this.#link?.left.close('cut');
    this.zones.away.add(side as ZoneId);
  }

  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(10);
      await settle();
    }
  }

  addressTold(side: Side): unknown {
    return this.told[side].findLast(({ kind }) => kind === 'address')?.data;
  }
}

let site: Site;
beforeEach(async () => {
  site = new Site();
  await site.begin();
});

describe('addresses of media', () => {
  it('are each on its own machine while both live', () => {
    expect([...site.interfaces.a]).toEqual([ADDRESS.a]);
    expect([...site.interfaces.b]).toEqual([ADDRESS.b]);
    expect(site.addressTold('a')).toEqual({ media: 'a', here: true });
  });

  it('come over before media goes on, when the other machine is silent', async () => {
    site.cutOff('a');
    await site.run(3_000);
    expect(site.events.filter((event) => event !== 'b adopts')).toEqual([
      `b takes ${ADDRESS.a}`,
      'b takes over media a',
    ]);
    expect(site.events).toContain('b adopts');
  });

  it('leave the machine of a media process that died before the other takes them, and come home after the last stream', async () => {
    void site.twins.a.mediaDied('a');
    await site.run(100);
    expect(site.events).toEqual([`a leaves ${ADDRESS.a}`, `b takes ${ADDRESS.a}`, 'b takes over media a']);
    site.twins.b.mediaUses('b', [ADDRESS.a, ADDRESS.b]);
    await site.run(20_000);
    expect(site.interfaces.a.size).toBe(0);
    site.twins.b.mediaUses('b', [ADDRESS.b]);
    await site.run(1_000);
    expect(site.events.slice(3)).toEqual([`b leaves ${ADDRESS.a}`, `a takes ${ADDRESS.a}`]);
    expect(site.addressTold('a')).toEqual({ media: 'a', here: true });
  });

  it('of both come over when the media process that has both dies', async () => {
    void site.twins.a.mediaDied('a');
    await site.run(100);
    site.twins.b.mediaUses('b', [ADDRESS.a, ADDRESS.b]);
    void site.twins.b.mediaDied('b');
    await site.run(100);
    expect(site.interfaces.b.size).toBe(0);
    expect([...site.interfaces.a].sort()).toEqual([ADDRESS.a, ADDRESS.b]);
    expect(site.events.at(-1)).toBe('a takes over media b');
  });

  it('stay for the next life of a media process that nobody stands by for', async () => {
    site.cutOff('b');
    await site.run(3_000);
    site.events.length = 0;
    await site.twins.a.mediaDied('a');
    expect(site.events).toEqual([]);
    expect(site.interfaces.a.has(ADDRESS.a)).toBe(true);
  });
});

it('a zone that ends in order is adopted at once, its addresses free', async () => {
  await site.twins.a.leave();
  await site.run(100);
  expect(site.events[0]).toBe(`a leaves ${ADDRESS.a}`);
  expect(site.events).toContain('b adopts');
  expect(site.events).toContain('b takes over media a');
});

it('a zone that was taken ends when it hears of it', async () => {
  site.cutOff('a');
  await site.run(3_000);
  site.zones.away.clear();
  await site.run(1_000);
  expect(site.events.at(-1)).toBe('a ends');
});
