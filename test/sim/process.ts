import type { Clock, Timer, VirtualClock } from '../../src/base/index.ts';
import type { Peer } from '../../src/link/index.ts';

/**
 * A pretended process: its timers run only while it lives, wait while it is stopped, and its links end when it is killed. What it
 * computes is the real code; only the machine around it is pretended.
 */
export class SimProcess {
  readonly pid: number;
  readonly startTime = 1;
  readonly role: string;
  readonly id: string;
  readonly clock: Clock;
  alive = true;
  frozen = false;
  /** How long everything that reaches the process waits for its turn: a machine that is overloaded. */
  lateMs = 0;
  readonly #world: VirtualClock;
  /** What came due while it was stopped, in order. */
  #held: (() => void)[] = [];
  readonly #exits: ((how: string) => void)[] = [];
  #lastTurnMs = 0;

  constructor(world: VirtualClock, pid: number, role: string, id: string) {
    this.#world = world;
    this.pid = pid;
    this.role = role;
    this.id = id;
    this.clock = {
      nowMs: () => world.nowMs(),
      utcMs: () => world.utcMs(),
      after: (delayMs, action): Timer => {
        let cancelled = false;
        const timer = world.after(delayMs, () =>
          this.run(() => {
            // A timer that came due while the process stood still can still be cancelled by what runs before it.
            if (!cancelled) action();
          }),
        );
        return {
          cancel: () => {
            cancelled = true;
            timer.cancel();
          },
        };
      },
    };
  }

  get name(): string {
    return `${this.role} ${this.id}`;
  }

  get peer(): Peer {
    return { role: this.role, id: this.id, pid: this.pid, startTime: this.startTime };
  }

  /** Something reaches the process: it acts now, or when it gets its turn, or never again. */
  run(action: () => void): void {
    if (!this.alive) return;
    if (this.frozen) {
      this.#held.push(action);
      return;
    }
    const nowMs = this.#world.nowMs();
    // Late things keep their order, also when the lateness ends.
    const turnMs = Math.max(nowMs + this.lateMs, this.#lastTurnMs);
    if (turnMs <= nowMs) action();
    else {
      this.#lastTurnMs = turnMs;
      this.#world.after(turnMs - nowMs, () => {
        if (!this.alive) return;
        if (this.frozen) this.#held.push(action);
        else action();
      });
    }
  }

  onExit(handler: (how: string) => void): void {
    if (this.alive) this.#exits.push(handler);
    else handler('SIGKILL');
  }

  kill(how = 'SIGKILL'): boolean {
    if (!this.alive) return false;
    this.alive = false;
    this.#held = [];
    for (const exit of this.#exits.splice(0)) exit(how);
    return true;
  }

  /** SIGSTOP: it neither hears nor says anything; its links stay open and fill. */
  freeze(): void {
    this.frozen = true;
  }

  /** SIGCONT: what waited comes at once, each with its turn of the loop. */
  thaw(): void {
    if (!this.alive || !this.frozen) return;
    this.frozen = false;
    const held = this.#held;
    this.#held = [];
    const nowMs = this.#world.nowMs();
    this.#lastTurnMs = nowMs;
    for (const action of held) this.#world.after(0, () => this.run(action));
  }
}
