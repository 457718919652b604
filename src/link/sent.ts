import type { Timer } from '../base/index.ts';
import type { Frame } from './channel.ts';

export interface Window {
  readonly frames: number;
  readonly bytes: number;
}

export interface SentFrame {
  readonly frame: Frame;
  readonly bytes: number;
  /** Over both lanes, so that `unacknowledged` can be in order. */
  readonly order: number;
  /** Set for requests. */
  readonly waiting?: WaitingRequest;
}

export interface WaitingRequest {
  readonly resolve: (reply: Frame) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
}

/** What one lane has sent and the peer not yet answered: the peer's credit is what the window has left. */
export class SentFrames {
  readonly #frames = new Map<number, SentFrame>();
  #bytes = 0;
  #window: Window;

  constructor(window: Window) {
    this.#window = window;
  }

  /** The peer may have room for less than we allow ourselves. */
  limit(window: Window): void {
    this.#window = {
      frames: Math.min(this.#window.frames, window.frames),
      bytes: Math.min(this.#window.bytes, window.bytes),
    };
  }

  /** Whether a frame whose size is not yet known may be encoded: a lane may overshoot by the last frame only. */
  get hasRoom(): boolean {
    return this.#frames.size < this.#window.frames && this.#bytes < this.#window.bytes;
  }

  add(sequence: number, sent: SentFrame): void {
    this.#frames.set(sequence, sent);
    this.#bytes += sent.bytes;
  }

  take(sequence: number): SentFrame | undefined {
    const sent = this.#frames.get(sequence);
    if (sent === undefined) return undefined;
    this.#frames.delete(sequence);
    this.#bytes -= sent.bytes;
    return sent;
  }

  values(): Iterable<SentFrame> {
    return this.#frames.values();
  }
}
