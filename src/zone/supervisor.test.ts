import { beforeEach, describe, expect, it } from 'vitest';
import { passTime, until } from '../../test/support/virtual-time.ts';
import { type SwitchId, seededRandom, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { type MemoryLink, memoryLink, type Peer, type ProcessRef } from '../link/index.ts';
import { MemoryCluster, type StatePort } from '../state/index.ts';
import type { ChildRole, SpawnedProcess, Spawner } from './children.ts';
import { BUNDLES_PER_SWITCH } from './grants.ts';
import { Supervisor } from './supervisor.ts';

/** Two zones whose children are pretended: they answer heartbeats and grants until they are killed or frozen. */
class Site {
  readonly clock = new VirtualClock();
  readonly cluster = new MemoryCluster({ clock: this.clock });
  readonly observer: StatePort = this.cluster.open('a' as ZoneId, 'b' as ZoneId);
  readonly processes = new Map<number, Pretended>();
  readonly a = this.#zone('a', 'b');
  readonly b = this.#zone('b', 'a');
  readonly ended: string[] = [];
  /** Supervisors that are no more. */
  readonly dead = new Set<string>();
  twins!: MemoryLink;

  start(): void {
    this.a.supervisor.start();
    this.b.supervisor.start();
    this.twins = memoryLink({
      clock: this.clock,
      left: { role: 'zone', id: 'a', pid: 1, startTime: 1 },
      right: { role: 'zone', id: 'b', pid: 2, startTime: 1 },
    });
    this.a.supervisor.acceptTwin(this.twins.left);
    this.b.supervisor.acceptTwin(this.twins.right);
  }

  running(ref: ProcessRef): boolean {
    return ref.role === 'zone' ? !this.dead.has(ref.id) : (this.processes.get(ref.pid)?.alive ?? false);
  }

  process(name: string): Pretended {
    const found = [...this.processes.values()].find((one) => one.name === name && one.alive);
    if (found === undefined) throw new Error(`no ${name} runs`);
    return found;
  }

  async owners(): Promise<Record<string, number>> {
    const owners: Record<string, number> = {};
    for (const { owner } of await this.observer.leases()) owners[owner] = (owners[owner] ?? 0) + 1;
    return owners;
  }

  #zone(zone: string, twin: string): { supervisor: Supervisor; state: StatePort } {
    const state = ofTheLiving(this.cluster.open(zone as ZoneId, twin as ZoneId), () => !this.dead.has(zone));
    const spawner: Spawner = {
      spawn: (role, id) => {
        const pretended = new Pretended(this, role, id, () => this[zone as 'a' | 'b'].supervisor);
        this.processes.set(pretended.pid, pretended);
        return pretended;
      },
    };
    const supervisor = new Supervisor({
      zone: zone as ZoneId,
      twin: twin as ZoneId,
      switches: [`${zone}1`, `${zone}2`] as SwitchId[],
      media: [zone],
      clock: this.clock,
      random: seededRandom(zone.charCodeAt(0)),
      state,
      spawner,
      ender: {
        running: (ref: ProcessRef) => this.running(ref),
        end: (ref: ProcessRef) => {
          if (!this.running({ role: 'zone', id: zone, pid: zone === 'a' ? 1 : 2, startTime: 1 }))
            return false;
          if (ref.role === 'zone') this.dead.add(ref.id);
          this.ended.push(`${ref.role} ${ref.id}`);
          return this.processes.get(ref.pid)?.kill() ?? false;
        },
        gone: () => Promise.resolve(),
      },
      log: silentLogger,
    });
    return { supervisor, state };
  }
}

/** The state as a process has it: a dead one gets no answer any more. */
function ofTheLiving(state: StatePort, isAlive: () => boolean): StatePort {
  return new Proxy(state, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) =>
        isAlive() ? Reflect.apply(member, target, args) : new Promise(() => {});
    },
  });
}

let nextPid = 100;

class Pretended implements SpawnedProcess {
  readonly pid = nextPid++;
  readonly startTime = 1;
  readonly name: string;
  readonly grants: string[] = [];
  /** What is left after a drain, and why; asked for at each. */
  drained: () => { readonly remaining: number; readonly reason?: string } = () => ({ remaining: 0 });
  drains = 0;
  alive = true;
  readonly #link: MemoryLink;
  readonly #site: Site;
  readonly #zone: string;
  readonly #exits: ((how: string) => void)[] = [];

  constructor(site: Site, role: ChildRole, id: string, supervisor: () => Supervisor) {
    this.name = `${role} ${id}`;
    this.#site = site;
    this.#zone = id.slice(0, 1);
    const self: Peer = { role, id, pid: this.pid, startTime: 1 };
    this.#link = memoryLink({
      clock: site.clock,
      left: self,
      right: { role: 'zone', id: id.slice(0, 1), pid: 1, startTime: 1 },
    });
    this.#link.left.onFrame((frame) => {
      if (frame.kind === 'grant')
        this.grants.push(
          ...(frame.data as { bundles: { bundle: string }[] }).bundles.map((one) => one.bundle),
        );
      if (frame.kind === 'drain') {
        this.drains++;
        return { kind: 'drain', data: this.drained() };
      }
      return { kind: frame.kind, data: frame.kind === 'grant' ? { calls: 0 } : {} };
    });
    site.clock.after(1, () => supervisor().accept(this.#link.right));
  }

  freeze(): void {
    this.#link.cut();
  }

  kill(): boolean {
    if (!this.alive) return false;
    this.alive = false;
    this.#link.crash('left');
    // A dead supervisor learns nothing any more.
    if (!this.#site.dead.has(this.#zone)) for (const exit of this.#exits) exit('SIGKILL');
    return true;
  }

  onExit(handler: (how: string) => void): void {
    this.#exits.push(handler);
  }

  stop(): Promise<void> {
    this.kill();
    return Promise.resolve();
  }
}

describe('a zone supervisor', () => {
  let site: Site;
  beforeEach(async () => {
    site = new Site();
    site.start();
    await passTime(site.clock, 100);
  });

  it('gives every fresh switch its bundles', async () => {
    expect(await site.owners()).toEqual({ a1: 16, a2: 16, b1: 16, b2: 16 });
    expect(site.a.supervisor.status()).toMatchObject({ state: 'up', twinUp: true });
  });

  it('shares a killed switch out to its sibling and starts it anew with new bundles', async () => {
    const before = (await site.observer.leases()).filter((lease) => lease.owner === 'a1');
    site.process('switch a1').kill();
    await passTime(site.clock, 200);
    const leases = await site.observer.leases();
    for (const { bundle, epoch } of before) {
      const now = leases.find((lease) => lease.bundle === bundle);
      expect(now?.owner).toBe('a2');
      expect(now?.epoch).toBeGreaterThan(epoch);
    }
    expect(await site.owners()).toEqual({ a1: 16, a2: 32, b1: 16, b2: 16 });
  });

  it('ends a frozen switch before it grants its bundles', async () => {
    const frozen = site.process('switch b1');
    frozen.freeze();
    await until(site.clock, 'b1 is ended', () => !frozen.alive, 2_000);
    expect(site.ended).toEqual(['switch b1']);
    await passTime(site.clock, 100);
    expect((await site.owners()).b2).toBe(32);
  });

  it('gives the bundles to the twin when no sibling is left', async () => {
    const [a1, a2] = [site.process('switch a1'), site.process('switch a2')];
    a1.kill();
    a2.kill();
    await passTime(site.clock, 1);
    const owners = await site.owners();
    expect((owners.b1 ?? 0) + (owners.b2 ?? 0)).toBe(64);
  });

  it('ends every process of a dead twin, then adopts its bundles evenly', async () => {
    site.dead.add('a');
    site.twins.crash('left');
    await passTime(site.clock, 50);
    expect(site.ended).toEqual(['zone a', 'switch a1', 'switch a2', 'media a']);
    expect(site.b.supervisor.twinUp).toBe(false);
    const leases = await site.observer.leases();
    expect(leases.every((lease) => lease.zone === 'b')).toBe(true);
    expect(await site.owners()).toEqual({ b1: 32, b2: 32 });
    expect(site.process('switch b1').grants).toHaveLength(2 * BUNDLES_PER_SWITCH);
  });

  it('is not ended by a twin that it ends: of two that lose sight of each other one stays', async () => {
    site.twins.cut();
    await passTime(site.clock, 5_000);
    expect(site.ended).toEqual(['zone b', 'switch b1', 'switch b2', 'media b']);
    expect(await site.owners()).toEqual({ a1: 32, a2: 32 });
  });

  it('finds a silent twin within two seconds', async () => {
    const startMs = site.clock.nowMs();
    site.twins.cut();
    await until(
      site.clock,
      'a is fenced',
      () => site.ended.includes('zone a') || site.ended.includes('zone b'),
      5_000,
    );
    expect(site.clock.nowMs() - startMs).toBeLessThanOrEqual(2_000);
  });

  describe('is to empty a media process', () => {
    /** Asks as control does; what it was told so far. */
    function drainMedia(): () => string | undefined {
      const link = memoryLink({
        clock: site.clock,
        left: { role: 'control', id: 'control', pid: 3, startTime: 1 },
        right: { role: 'zone', id: 'a', pid: 1, startTime: 1 },
      });
      site.a.supervisor.accept(link.right);
      let told: string | undefined;
      const drain = { kind: 'drain', data: { target: 'media a', on: true } };
      link.left.request(drain, 60_000).then(
        () => {
          told = 'done';
        },
        (error: unknown) => {
          told = String(error);
        },
      );
      return () => told;
    }
    const twinAway = { remaining: 2, reason: 'twin_away' };

    it('whose twin was just started: it waits until that stands by', async () => {
      const media = site.process('media a');
      media.drained = () => twinAway;
      const told = drainMedia();
      await passTime(site.clock, 3_000);
      expect(told()).toBeUndefined();
      expect(media.drains).toBeGreaterThan(10);
      media.drained = () => ({ remaining: 0 });
      await passTime(site.clock, 200);
      expect(told()).toBe('done');
    });

    it('whose twin does not come to stand by: after ten seconds it says so', async () => {
      const media = site.process('media a');
      media.drained = () => twinAway;
      const told = drainMedia();
      await passTime(site.clock, 9_500);
      expect(told()).toBeUndefined();
      await passTime(site.clock, 1_000);
      expect(told()).toContain('2 stay with it: twin_away');
      const asked = media.drains;
      await passTime(site.clock, 2_000);
      expect(media.drains).toBe(asked);
    });

    it('and the twin’s zone is gone: it does not wait for it', async () => {
      site.dead.add('b');
      site.twins.crash('right');
      await passTime(site.clock, 50);
      const media = site.process('media a');
      media.drained = () => twinAway;
      const told = drainMedia();
      await passTime(site.clock, 100);
      expect(told()).toContain('twin_away');
      expect(media.drains).toBe(1);
    });

    it('which cannot hand over for another reason: it says so at once', async () => {
      const media = site.process('media a');
      media.drained = () => ({ remaining: 1, reason: 'no_adopt_in_place' });
      const told = drainMedia();
      await passTime(site.clock, 100);
      expect(told()).toContain('1 stay with it: no_adopt_in_place');
      expect(media.drains).toBe(1);
    });
  });
});
