import type { Clock, Timer, VirtualClock } from '../../src/base/index.ts';
import type { Peer } from '../../src/link/index.ts';
import type { ProcessFacts } from '../../src/zone/index.ts';

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
  /** `frozen` by a signal; `starved`: the machine does not let it run; `spinning`: it computes and looks at nothing else. */
  standing: 'runs' | 'frozen' | 'starved' | 'spinning' = 'runs';
  /** How long everything that reaches the process waits for its turn: a machine that is overloaded. */
  lateMs = 0;
  readonly #world: VirtualClock;
  /** What came due while it was stopped, in order. */
  #held: (() => void)[] = [];
  readonly #exits: ((how: string) => void)[] = [];
  readonly #thaws: (() => void)[] = [];
  #lastTurnMs = 0;
  #standsSinceMs = 0;
  readonly #times = { ranMs: 0, waitedMs: 0 };

  /** `aheadMs`: what its machine's monotonic clock is before that of the world; `boot`: that clock's name. */
  constructor(
    world: VirtualClock,
    wallClock: Pick<Clock, 'utcMs'>,
    pid: number,
    role: string,
    id: string,
    aheadMs = 0,
    boot = '',
  ) {
    this.#world = world;
    this.pid = pid;
    this.role = role;
    this.id = id;
    this.clock = {
      nowMs: () => world.nowMs() + aheadMs,
      boot,
      utcMs: () => wallClock.utcMs(),
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

  /** Neither hears nor says anything at present. */
  get frozen(): boolean {
    return this.standing !== 'runs';
  }

  /** What the machine tells of it. */
  get facts(): ProcessFacts | undefined {
    if (!this.alive) return undefined;
    this.#keepTimes();
    const state = this.standing === 'runs' ? 'S' : this.standing === 'frozen' ? 'T' : 'R';
    return { state, ...this.#times };
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
    for (const goesOn of this.#thaws.splice(0)) goesOn();
    return true;
  }

  /** SIGSTOP: it neither hears nor says anything; its links stay open and fill. */
  freeze(): void {
    this.#stand('frozen');
  }

  /** Its loop stands still, but it is not stopped: it gets no CPU, or is at something that does not end. */
  stall(how: 'starved' | 'spinning'): void {
    this.#stand(how);
  }

  /** SIGCONT, or its turn: what waited comes at once, each with its turn of the loop. */
  thaw(): void {
    if (!this.alive || !this.frozen) return;
    this.#stand('runs');
    const held = this.#held;
    this.#held = [];
    const nowMs = this.#world.nowMs();
    this.#lastTurnMs = nowMs;
    for (const action of held) this.#world.after(0, () => this.run(action));
    for (const thawed of this.#thaws.splice(0)) thawed();
  }

  /** Called once, when it goes on or ends. */
  onGoesOn(handler: () => void): void {
    this.#thaws.push(handler);
  }

  #stand(how: SimProcess['standing']): void {
    this.#keepTimes();
    this.standing = how;
  }

  #keepTimes(): void {
    const nowMs = this.#world.nowMs();
    const stoodMs = nowMs - this.#standsSinceMs;
    this.#standsSinceMs = nowMs;
    if (this.standing === 'starved') this.#times.waitedMs += stoodMs;
    if (this.standing === 'spinning') this.#times.ranMs += stoodMs;
  }
}
