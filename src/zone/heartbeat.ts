import type { Clock, Logger, Timer } from '../base/index.ts';
import type { Channel } from '../link/index.ts';

const INTERVAL_MS = 500;
/** A frozen process is found within this and one interval; the whole take-over then ends well within 3 s. */
const SILENT_AFTER_MS = 1_500;
/** When our own loop stood still for longer, it is we who were silent: nobody is judged by that time. */
const OWN_JUMP_MS = 1_000;

interface Watched {
  readonly channel: Channel;
  heardMs: number;
  waiting: boolean;
}

/** Tells which of our peers have stopped answering, be it that they hang or that they lost their channel and do not come back. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onSilent: (name: string) => void;
  readonly #watched = new Map<string, Watched>();
  #timer: Timer | undefined;
  #lastTickMs = 0;

  constructor(options: { clock: Clock; log: Logger; onSilent: (name: string) => void }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onSilent = options.onSilent;
  }

  start(): void {
    this.#lastTickMs = this.#clock.nowMs();
    this.#tick();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  watch(name: string, channel: Channel): void {
    this.#watched.set(name, { channel, heardMs: this.#clock.nowMs(), waiting: false });
  }

  forget(name: string): void {
    this.#watched.delete(name);
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
      if (nowMs - watched.heardMs > SILENT_AFTER_MS) {
        this.#watched.delete(name);
        this.#onSilent(name);
      } else if (!watched.waiting && watched.channel.open) {
        this.#ask(watched);
      }
    }
    this.#timer = this.#clock.after(INTERVAL_MS, () => this.#tick());
  }

  #ask(watched: Watched): void {
    watched.waiting = true;
    watched.channel.request({ kind: 'ping', data: {}, lane: 'priority' }, 60_000).then(
      () => {
        watched.heardMs = this.#clock.nowMs();
        watched.waiting = false;
      },
      () => {
        watched.waiting = false;
      },
    );
  }
}
