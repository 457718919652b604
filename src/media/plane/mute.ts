import type { Pcm } from '../../audio/index.ts';

/** About -60 dBov at its peak: what a dead microphone or a muted one sends, and no room where somebody is. */
const LOUDEST = 32;
const AFTER_MS = 20_000;
const AGAIN_SHARE = 1 / 4;

/** Whether all that one peer says is silence, though its packets come. */
export class Mute {
  #sinceMs = -1;
  #nextMs = -1;

  /** The frame of a tick, when one was heard. For how long there has been nothing in them; undefined: there is nothing (new) to tell. */
  listen(frame: Pcm, dueMs: number): number | undefined {
    if (!isSilent(frame)) {
      this.#sinceMs = -1;
      return undefined;
    }
    if (this.#sinceMs < 0) {
      this.#sinceMs = dueMs;
      this.#nextMs = dueMs + AFTER_MS;
    }
    if (dueMs < this.#nextMs) return undefined;
    const forMs = dueMs - this.#sinceMs;
    this.#nextMs = dueMs + Math.max(AFTER_MS, forMs * AGAIN_SHARE);
    return Math.round(forMs);
  }

  /** Nothing comes: that is no silence. */
  rest(): void {
    this.#sinceMs = -1;
  }
}

/** Ends with the first sample that is heard, so that speech costs nothing. */
function isSilent(frame: Pcm): boolean {
  for (let i = 0; i < frame.length; i++) if (frame[i]! > LOUDEST || frame[i]! < -LOUDEST) return false;
  return true;
}
