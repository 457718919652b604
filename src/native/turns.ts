/**
 * Moderation of the event loop, as network drivers moderate their interrupts: a process that is woken a thousand times a second for one
 * message each spends most of its time on waking and on filling its caches. Where sockets wake it more often than `aboveTurnsPerSec`,
 * the loop sleeps after each turn for the rest of `periodMs`, and what comes meanwhile is one batch. A loop with so much to do that a turn
 * takes longer than that never sleeps, so that nothing is lost of what the process can do.
 */
export interface Moderation {
  readonly aboveTurnsPerSec: number;
  readonly periodMs: number;
}

/** What the turns need of the machine; pretended in tests. */
export interface TurnsOptions {
  readonly nowMs: () => number;
  /** Runs after what has arrived in this turn of the loop was handled, in order. */
  readonly defer: (action: () => void) => void;
  /** Blocks the whole thread. */
  readonly sleep: (durationMs: number) => void;
}

const WINDOW_MS = 50;
/** Of the turns that are left while it sleeps: with fewer of them there is no need any more. */
const STILL_BUSY = 0.4;
/** The kernel wakes no more exactly than this. */
const SHORTEST_SLEEP_MS = 0.1;

export class Turns {
  readonly #options: TurnsOptions;
  #moderation: Moderation | undefined;
  #actions: (() => void)[] = [];
  #armed = false;
  #windowMs = Number.NEGATIVE_INFINITY;
  #count = 0;
  #busy = false;
  #sleptMs = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  moderate(moderation: Moderation): void {
    this.#moderation = moderation;
  }

  /** Something has arrived: the turn counts. */
  note(): void {
    if (this.#moderation !== undefined) this.#arm();
  }

  /** Runs `action` after everything that has arrived in this turn was handled, promises included. */
  atEnd(action: () => void): void {
    this.#actions.push(action);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    // Promises that a callback outside of Node's own scope has settled run between the two.
    this.#options.defer(nothing);
    this.#options.defer(() => this.#end());
  }

  #end(): void {
    this.#armed = false;
    const actions = this.#actions;
    this.#actions = [];
    for (const action of actions) action();
    if (this.#moderation !== undefined) this.#pace(this.#moderation);
  }

  #pace({ aboveTurnsPerSec, periodMs }: Moderation): void {
    const { nowMs, sleep } = this.#options;
    const now = nowMs();
    const passedMs = now - this.#windowMs;
    if (passedMs >= WINDOW_MS) {
      const enough = this.#busy ? (STILL_BUSY * 1000) / periodMs : aboveTurnsPerSec;
      this.#busy = (1000 * this.#count) / passedMs >= enough;
      this.#windowMs = now;
      this.#count = 0;
    }
    this.#count++;
    if (!this.#busy) return;
    const restMs = this.#sleptMs + periodMs - now;
    if (restMs >= SHORTEST_SLEEP_MS) sleep(restMs);
    this.#sleptMs = nowMs();
  }
}

const nothing = (): void => {};
const never = new Int32Array(new SharedArrayBuffer(4));

const turns = new Turns({
  nowMs: () => performance.now(),
  defer: setImmediate,
  sleep: (durationMs) => void Atomics.wait(never, 0, 0, durationMs),
});

/** From now on this process's loop is moderated. Not for one that carries voice. */
export const moderateTurns = (moderation: Moderation): void => turns.moderate(moderation);
/** A callback that the kernel's news have led to. */
export const noteTurn = (): void => turns.note();
/** What one turn sends can leave in one write. */
export const atEndOfTurn = (action: () => void): void => turns.atEnd(action);
