import type { Clock, Timer, VirtualClock } from '../../src/base/index.ts';
import { type Channel, type MemoryLink, memoryLink, type Peer } from '../../src/link/index.ts';

let nextPid = 1_000;

/**
 * A pretended process: its timers run only while it lives, wait while it is frozen, and its links end when it is killed. What it
 * computes is the real code; only the machine around it is pretended.
 */
export class SimProcess {
  readonly pid = nextPid++;
  readonly startTime = 1;
  readonly role: string;
  readonly id: string;
  readonly clock: Clock;
  alive = true;
  frozen = false;
  readonly #links = new Set<{ link: MemoryLink; side: 'left' | 'right' }>();
  readonly #held: (() => void)[] = [];
  readonly #exits: ((how: string) => void)[] = [];

  constructor(world: VirtualClock, role: string, id: string) {
    this.role = role;
    this.id = id;
    this.clock = {
      nowMs: () => world.nowMs(),
      utcMs: () => world.utcMs(),
      after: (delayMs, action): Timer =>
        world.after(delayMs, () => {
          if (!this.alive) return;
          if (this.frozen) this.#held.push(action);
          else action();
        }),
    };
  }

  get name(): string {
    return `${this.role} ${this.id}`;
  }

  get peer(): Peer {
    return { role: this.role, id: this.id, pid: this.pid, startTime: this.startTime };
  }

  onExit(handler: (how: string) => void): void {
    if (this.alive) this.#exits.push(handler);
    else handler('SIGKILL');
  }

  attach(link: MemoryLink, side: 'left' | 'right'): void {
    const entry = { link, side };
    this.#links.add(entry);
    link[side].onClose(() => this.#links.delete(entry));
    if (this.frozen) link.cut();
  }

  kill(how = 'SIGKILL'): boolean {
    if (!this.alive) return false;
    this.alive = false;
    for (const { link, side } of [...this.#links]) {
      link.heal();
      link.crash(side);
    }
    this.#links.clear();
    for (const exit of this.#exits.splice(0)) exit(how);
    return true;
  }

  /** SIGSTOP: it neither hears nor says anything, and its links stay open. */
  freeze(): void {
    this.frozen = true;
    for (const { link } of this.#links) link.cut();
  }

  /** SIGCONT. */
  thaw(): void {
    if (!this.alive || !this.frozen) return;
    this.frozen = false;
    for (const { link } of this.#links) link.heal();
    for (const action of this.#held.splice(0)) action();
  }
}

/** `from` keeps a link to whoever serves `name`, as `connectLink` does: when it ends, the next one is made shortly. */
export class SimLinks {
  readonly #world: VirtualClock;
  readonly #delayMs: () => number;
  readonly #servers = new Map<string, { process: SimProcess; accept: (channel: Channel) => void }>();

  constructor(world: VirtualClock, delayMs: () => number) {
    this.#world = world;
    this.#delayMs = delayMs;
  }

  serve(name: string, process: SimProcess, accept: (channel: Channel) => void): void {
    this.#servers.set(name, { process, accept });
  }

  connect(from: SimProcess, name: string, onChannel: (channel: Channel) => void): void {
    const server = this.#servers.get(name);
    if (!from.alive) return;
    if (server === undefined || !server.process.alive || from.frozen) {
      this.#world.after(RECONNECT_MS, () => this.connect(from, name, onChannel));
      return;
    }
    const link = memoryLink({
      clock: this.#world,
      left: from.peer,
      right: server.process.peer,
      delayMs: this.#delayMs(),
    });
    from.attach(link, 'left');
    server.process.attach(link, 'right');
    server.accept(link.right);
    onChannel(link.left);
    link.left.onClose(() => this.#world.after(RECONNECT_MS, () => this.connect(from, name, onChannel)));
  }
}

const RECONNECT_MS = 5;
