import { type Clock, type Logger, type Timer, untilBeat } from '../base/index.ts';
import type { Channel, ProcessRef } from '../link/index.ts';
import { PATIENCE_MS, type ProcessFacts, type ProcessWatch, standingOf } from './process-facts.ts';

const INTERVAL_MS = 500;
/** After the beat on which our children speak of their own accord. */
const PHASE_MS = 100;
/** A frozen process is found within this and one interval; the whole take-over then ends well within 3 s. */
const SILENT_AFTER_MS = PATIENCE_MS.stopped;
/** From then on the machine is asked about whoever is silent: twice before anybody is judged. */
const LOOK_AFTER_MS = 900;
/** Who said something of its own accord so lately need not be asked. */
const FRESH_MS = INTERVAL_MS - 50;
/** When our own loop stood still for longer, it is we who were silent: nobody is judged by that time. */
const OWN_JUMP_MS = 1_000;

interface Watched {
  readonly channel: Channel;
  readonly process: ProcessRef | undefined;
  heardMs: number;
  waiting: boolean;
  /** At the tick before, while it is silent. */
  facts: ProcessFacts | undefined;
  isBorne: boolean;
}

/** Tells which of our peers have stopped answering, be it that they hang or that they lost their channel and do not come back. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onSilent: (name: string) => void;
  readonly #look: ProcessWatch;
  readonly #watched = new Map<string, Watched>();
  #timer: Timer | undefined;
  #lastTickMs = 0;

  constructor(options: {
    clock: Clock;
    log: Logger;
    onSilent: (name: string) => void;
    /** Without it whoever is silent is taken for stopped. */
    look?: ProcessWatch | undefined;
  }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onSilent = options.onSilent;
    this.#look = options.look ?? (() => undefined);
  }

  start(): void {
    this.#lastTickMs = this.#clock.nowMs();
    this.#tick();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** `process`: who is to answer, if the machine can be asked about it. */
  watch(name: string, channel: Channel, process?: ProcessRef): void {
    this.#watched.set(name, {
      channel,
      process,
      heardMs: this.#clock.nowMs(),
      waiting: false,
      facts: undefined,
      isBorne: false,
    });
  }

  forget(name: string): void {
    this.#watched.delete(name);
  }

  /** It said something of its own accord: it is well, and one question can be saved. */
  heard(name: string): void {
    const watched = this.#watched.get(name);
    if (watched !== undefined) this.#isWell(watched);
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs();
    const stoodStillMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    if (stoodStillMs > OWN_JUMP_MS) {
      this.#log.warn({ stoodStillMs: Math.round(stoodStillMs) }, 'heartbeat.own_loop_stood_still');
      for (const watched of this.#watched.values()) watched.heardMs = nowMs;
    }
    for (const [name, watched] of [...this.#watched]) {
      if (this.#isSilent(name, watched, nowMs - watched.heardMs)) {
        this.#watched.delete(name);
        this.#onSilent(name);
      } else if (!watched.waiting && watched.channel.open && nowMs - watched.heardMs >= FRESH_MS) {
        this.#ask(watched);
      }
    }
    this.#timer = this.#clock.after(untilBeat(this.#clock, INTERVAL_MS, PHASE_MS), () => this.#tick());
  }

  #isWell(watched: Watched): void {
    watched.heardMs = this.#clock.nowMs();
    watched.facts = undefined;
    watched.isBorne = false;
  }

  /** Whether it has been silent for longer than what it is at excuses. */
  #isSilent(name: string, watched: Watched, silentMs: number): boolean {
    if (silentMs < LOOK_AFTER_MS || watched.process === undefined) return silentMs > SILENT_AFTER_MS;
    const before = watched.facts;
    watched.facts = this.#look(watched.process);
    if (silentMs <= SILENT_AFTER_MS) return false;
    // Without a channel it cannot answer, however much it would like to.
    const standing = watched.channel.open ? standingOf(before, watched.facts) : 'idle';
    if (silentMs > PATIENCE_MS[standing]) return true;
    if (!watched.isBorne) {
      watched.isBorne = true;
      this.#log.warn({ name, standing, silentMs: Math.round(silentMs) }, 'heartbeat.late');
    }
    return false;
  }

  #ask(watched: Watched): void {
    watched.waiting = true;
    watched.channel.request({ kind: 'ping', data: {}, lane: 'priority' }, 60_000).then(
      () => {
        this.#isWell(watched);
        watched.waiting = false;
      },
      () => {
        watched.waiting = false;
      },
    );
  }
}
