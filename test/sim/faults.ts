import { type Domain, domainOf, type Fault, type FaultPlan, tellFault } from './fault-plan.ts';
import { START_MS } from './history.ts';
import { cutPower, isAdoptedWhile, sever, tidyUp } from './machine-faults.ts';
import type { SimProcess } from './process.ts';
import { type EdgeName, pass, type Role, type World, type ZoneName } from './world.ts';

/** A re-INVITE that is lost three times is heard by then. */
const RENEWED_MS = 8_000;
/** So late is a slow process with everything: much, but not so much that it would be taken for dead. */
const SLOW_MS = 250;
/** So long after everything was put right the next one of its kind may come. */
const BETWEEN_MS = 4_000;

/** Lets the plan's faults happen, and puts right afterwards what an operator would: a zone that is down is started again. */
export class Faults {
  /** When something broke or was put right last. */
  lastMs = Number.NEGATIVE_INFINITY;
  /** When each edge was down, whose connections ended then. */
  readonly edgeDeathsMs: { readonly edge: EdgeName; readonly atMs: number }[] = [];
  /** When the wall clock went forward, and who was registered until then is not any more. */
  readonly jumpedForwardMs: number[] = [];
  readonly told: string[] = [];
  /** How many last still. */
  #lasting = 0;
  readonly #domains: Record<Domain, { going: number; lastMs: number }> = {
    installation: { going: 0, lastMs: Number.NEGATIVE_INFINITY },
    edge: { going: 0, lastMs: Number.NEGATIVE_INFINITY },
    switch: { going: 0, lastMs: Number.NEGATIVE_INFINITY },
  };
  readonly #world: World;

  constructor(world: World, plans: readonly FaultPlan[]) {
    this.#world = world;
    for (const plan of plans) {
      world.clock.after(plan.atMs, () => {
        const begin = (by?: SimProcess) => void this.#happen(aimedAt(plan, by));
        if (plan.point === undefined) begin();
        else world.history.after(plan.point.of, plan.point.count, begin);
      });
    }
  }

  /** Everything works, and has for so long. */
  quietFor(ms: number): boolean {
    return this.#lasting === 0 && this.#world.clock.nowMs() - this.lastMs >= ms;
  }

  /** Lets something break now. */
  happen(fault: Fault): void {
    void this.#happen({ atMs: this.#world.clock.nowMs() - START_MS, ...fault });
  }

  async #happen(plan: FaultPlan): Promise<void> {
    const name = domainOf(plan);
    const domain = this.#domains[name];
    // One that was timed by a message may come late, when the next is under way.
    if (name !== 'switch' && (domain.going > 0 || this.#world.clock.nowMs() - domain.lastMs < BETWEEN_MS)) {
      this.#world.history.add(`* left out: ${tellFault(plan)}`);
      return;
    }
    domain.going++;
    await this.#last(plan);
    domain.going--;
    domain.lastMs = this.#world.clock.nowMs();
  }

  /** Begins it, waits, and ends it. */
  async #last(plan: FaultPlan): Promise<void> {
    const world = this.#world;
    this.#mark(tellFault(plan));
    switch (plan.what) {
      case 'kill-machine': {
        const joinAgain = cutPower(world, plan.zone);
        await pass(world, plan.forMs);
        joinAgain();
        this.#startAgain(plan.zone);
        return;
      }
      case 'sever': {
        if (isAdoptedWhile(plan)) {
          const join = sever(world, plan);
          await pass(world, plan.forMs);
          join();
          this.#mark('all are joined again');
        } else await this.#lasts(plan.forMs, () => sever(world, plan));
        await this.#startIfFenced('a');
        await this.#startIfFenced('b');
        return;
      }
      case 'kill-zone':
        world.killZone(plan.zone);
        tidyUp(world, plan.zone);
        await pass(world, plan.forMs);
        this.#startAgain(plan.zone);
        return;
      case 'freeze-zone':
        world.freezeZone(plan.zone);
        await pass(world, plan.forMs);
        world.thawZone(plan.zone);
        this.#mark(`zone ${plan.zone} goes on`);
        await this.#startIfFenced(plan.zone);
        return;
      case 'starve-zone':
        await this.#lasts(plan.forMs, () => {
          const stood = world.processesOf(plan.zone);
          for (const process of stood) process.stall('starved');
          return () => {
            for (const process of stood) process.thaw();
          };
        });
        await this.#startIfFenced(plan.zone);
        return;
      case 'kill-media':
        if (plan.portsTaken) world.takeMediaPorts();
        for (const zone of ['a', 'b']) {
          const media = world.running('media', zone);
          if (media !== undefined) world.kill(media);
        }
        // A phone that is told another port answers as slowly as its network lets it.
        await this.#lasts(plan.portsTaken ? RENEWED_MS : plan.forMs, () => () => {});
        return;
      case 'cut-twins':
        world.cutTwins(true);
        await pass(world, plan.forMs);
        world.cutTwins(false);
        this.#mark('the zones hear each other again');
        await this.#startIfFenced('a');
        await this.#startIfFenced('b');
        return;
      case 'cut-edge':
        await this.#cut(
          [1, 2].map((n) => [`switch ${plan.zone}${n}`, `edge ${plan.edge}`]),
          plan.forMs,
        );
        return;
      case 'cut-media':
        await this.#cut([[`switch ${plan.id}`, `media ${plan.media}`]], plan.forMs);
        return;
      case 'state-away':
        await this.#lasts(plan.forMs, () => {
          if (plan.only === undefined) world.stateAway(plan.how);
          else {
            const only = world.running('switch', plan.only);
            if (only !== undefined) world.stateAway(plan.how, only);
          }
          return () => world.stateBack();
        });
        return;
      case 'state-slow':
        await this.#lasts(plan.forMs, () => {
          world.stateFaults.slow = true;
          return () => {
            world.stateFaults.slow = false;
          };
        });
        return;
      case 'state-full':
        await this.#lasts(plan.forMs, () => {
          world.stateFaults.full = true;
          return () => {
            world.stateFaults.full = false;
          };
        });
        return;
      case 'state-forgets': {
        await this.#lasts(plan.forMs, () => {
          const forget = world.cluster.remember();
          return () => {
            forget();
            world.machines?.forget();
          };
        });
        return;
      }
      case 'state-locked': {
        const holder = world.running('switch', plan.id);
        if (holder === undefined) return;
        await this.#lasts(plan.forMs, () => {
          holder.freeze();
          world.stateFaults.lock(plan.id[0]!, holder);
          return () => holder.thaw();
        });
        return;
      }
      case 'clock-jumps':
        world.wallClock.jumpedMs += plan.byMs;
        if (plan.byMs > 0) this.jumpedForwardMs.push(world.clock.nowMs());
        return;
      case 'kill': {
        const target = world.running(plan.role, plan.id);
        if (plan.role === 'edge')
          this.edgeDeathsMs.push({ edge: plan.id as EdgeName, atMs: world.clock.nowMs() });
        if (target !== undefined) world.kill(target);
        if (plan.role === 'zone') tidyUp(world, plan.id as ZoneName);
        await pass(world, plan.forMs);
        await this.#afterwards(plan.role, plan.id);
        return;
      }
      case 'freeze': {
        const target = world.running(plan.role, plan.id);
        target?.freeze();
        await pass(world, plan.forMs);
        target?.thaw();
        this.#mark(`${plan.role} ${plan.id} goes on`);
        await this.#afterwards(plan.role, plan.id);
        return;
      }
      case 'starve':
      case 'spin': {
        const target = world.running(plan.role, plan.id);
        await this.#lasts(plan.forMs, () => {
          target?.stall(plan.what === 'spin' ? 'spinning' : 'starved');
          return () => target?.thaw();
        });
        await this.#afterwards(plan.role, plan.id);
        return;
      }
      case 'slow': {
        const target = world.running(plan.role, plan.id);
        if (target === undefined) return;
        await this.#lasts(plan.forMs, () => {
          target.lateMs = SLOW_MS;
          return () => {
            target.lateMs = 0;
          };
        });
        return;
      }
    }
  }

  /** As long as it lasts nobody is asked whether all is well. */
  async #lasts(forMs: number, begin: () => () => void): Promise<void> {
    this.#lasting++;
    const end = begin();
    await pass(this.#world, forMs);
    end();
    this.#lasting--;
    this.#mark('that is over');
  }

  #cut(roads: readonly (readonly string[])[], forMs: number): Promise<void> {
    return this.#lasts(forMs, () => {
      for (const [from, to] of roads) this.#world.cut(from!, to!, true);
      return () => {
        for (const [from, to] of roads) this.#world.cut(from!, to!, false);
      };
    });
  }

  async #afterwards(role: Role, id: string): Promise<void> {
    if (role === 'zone') await this.#startIfFenced(id as ZoneName);
    if (role === 'edge' && this.#world.running('edge', id) === undefined) {
      this.#world.startEdge(id as EdgeName);
      this.#mark(`${id} is started`);
    }
  }

  /** What the twin ended stays down until somebody starts it. */
  async #startIfFenced(zone: ZoneName): Promise<void> {
    await pass(this.#world, 2_500);
    if (this.#world.running('zone', zone) === undefined) this.#startAgain(zone);
  }

  #startAgain(zone: ZoneName): void {
    this.#world.killZone(zone);
    this.#world.startZone(zone);
    this.#mark(`zone ${zone} is started`);
  }

  #mark(what: string): void {
    this.lastMs = this.#world.clock.nowMs();
    this.told.push(what);
    this.#world.history.add(`* ${what}`);
  }
}

/** What is timed by a commit meets the one who made it: between the commit and what was to follow. */
function aimedAt(plan: FaultPlan, by: SimProcess | undefined): FaultPlan {
  if (by?.role !== 'switch') return plan;
  const zone = by.id[0] as ZoneName;
  switch (plan.what) {
    case 'kill-zone':
    case 'freeze-zone':
    case 'starve-zone':
      return { ...plan, zone };
    case 'state-locked':
      return { ...plan, id: by.id };
    case 'kill':
    case 'freeze':
    case 'slow':
    case 'starve':
    case 'spin':
      return plan.role === 'edge' ? plan : { ...plan, id: plan.role === 'switch' ? by.id : zone };
    default:
      return plan;
  }
}
