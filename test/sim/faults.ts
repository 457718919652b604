import { START_MS } from './history.ts';
import type { Fault, FaultPlan } from './plan.ts';
import type { SimProcess } from './process.ts';
import { pass, type World, type ZoneName } from './world.ts';

/** So late is a slow process with everything: much, but not so much that it would be taken for dead. */
const SLOW_MS = 250;

/** So long after everything was put right the next one may come. */
const BETWEEN_HEAVY_MS = 4_000;

/** Lets the plan's faults happen, and puts right afterwards what an operator would: a zone that is down is started again. */
export class Faults {
  /** When something broke or was put right last. */
  lastMs = Number.NEGATIVE_INFINITY;
  /** How many last still. */
  #lasting = 0;
  /** Of those, and of those that are being put right, what concerns more than one switch. */
  #heavy = 0;
  #lastHeavyMs = Number.NEGATIVE_INFINITY;
  readonly told: string[] = [];
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
    const isHeavy = !('role' in plan) || plan.role !== 'switch';
    // One that was timed by a message may come late, when the next is under way: an installation with both zones hit is no promise.
    if (isHeavy && (this.#heavy > 0 || this.#world.clock.nowMs() - this.#lastHeavyMs < BETWEEN_HEAVY_MS)) {
      this.#world.history.add(`* left out: ${tellFault(plan)}`);
      return;
    }
    if (isHeavy) this.#heavy++;
    await this.#last(plan);
    if (!isHeavy) return;
    this.#heavy--;
    this.#lastHeavyMs = this.#world.clock.nowMs();
  }

  /** Begins it, waits, and ends it. */
  async #last(plan: FaultPlan): Promise<void> {
    const world = this.#world;
    this.#mark(`${tellFault(plan)}`);
    switch (plan.what) {
      case 'kill-zone':
        world.killZone(plan.zone);
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
      case 'cut-twins':
        world.cutTwins(true);
        await pass(world, plan.forMs);
        world.cutTwins(false);
        this.#mark('the zones hear each other again');
        await this.#startIfFenced('a');
        await this.#startIfFenced('b');
        return;
      case 'state-away':
        this.#lasting++;
        world.stateAway(plan.how);
        await pass(world, plan.forMs);
        world.stateBack();
        this.#lasting--;
        this.#mark('the state is back');
        return;
      case 'kill': {
        const target = world.running(plan.role, plan.id);
        if (target !== undefined) world.kill(target);
        await pass(world, plan.forMs);
        if (plan.role === 'zone') await this.#startIfFenced(plan.id as ZoneName);
        return;
      }
      case 'freeze': {
        const target = world.running(plan.role, plan.id);
        target?.freeze();
        await pass(world, plan.forMs);
        target?.thaw();
        this.#mark(`${plan.role} ${plan.id} goes on`);
        if (plan.role === 'zone') await this.#startIfFenced(plan.id as ZoneName);
        return;
      }
      case 'slow': {
        const target = world.running(plan.role, plan.id);
        if (target === undefined) return;
        this.#lasting++;
        target.lateMs = SLOW_MS;
        await pass(world, plan.forMs);
        target.lateMs = 0;
        this.#lasting--;
        this.#mark(`${plan.role} ${plan.id} keeps up again`);
        return;
      }
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
      return { ...plan, zone };
    case 'kill':
    case 'freeze':
    case 'slow':
      return { ...plan, id: plan.role === 'switch' ? by.id : zone };
    default:
      return plan;
  }
}

export function tellFault(fault: FaultPlan): string {
  const { atMs, point, ...rest } = fault;
  const when = point === undefined ? `at ${atMs} ms` : `at the ${point.count}. ${point.of} after ${atMs} ms`;
  return `${when}: ${Object.values(rest).join(' ')}`;
}
