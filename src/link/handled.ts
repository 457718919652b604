import { Lane } from './frame.ts';
import type { Window } from './sent.ts';

type UserLane = typeof Lane.normal | typeof Lane.priority;

/**
 * The peer's frames that we have handled and not yet acknowledged. An acknowledgement in a write of its own wakes the peer for
 * nothing else, which costs both processes more than the frame did, so it waits for the next bytes that leave anyway.
 */
export class HandledFrames {
  readonly #lanes = [new HandledLane(), new HandledLane()] as const;
  /** How much may wait before the peer would feel that its credit is held back: a quarter of it. */
  #mostFrames = 1;
  readonly #mostBytes = [0, 0];

  constructor(window: Window, priority: Window) {
    this.limit(window, priority);
  }

  /** What the peer allows itself to have unacknowledged. */
  limit(window: Window, priority: Window): void {
    this.#mostFrames = Math.max(1, window.frames / 4);
    this.#mostBytes[Lane.normal] = window.bytes / 4;
    this.#mostBytes[Lane.priority] = priority.bytes / 4;
  }

  get wait(): boolean {
    return this.#lanes[Lane.normal].sequences.length + this.#lanes[Lane.priority].sequences.length > 0;
  }

  /** True when the acknowledgement should leave now, with or without company. */
  add(lane: UserLane, sequence: number, bytes: number): boolean {
    const handled = this.#lanes[lane];
    handled.sequences.push(sequence);
    handled.bytes += bytes;
    return handled.sequences.length >= this.#mostFrames || handled.bytes >= this.#mostBytes[lane]!;
  }

  /** The body of an acknowledgement: the sequence numbers handled since the last one; undefined when there are none. */
  take(lane: UserLane): Uint8Array | undefined {
    const handled = this.#lanes[lane];
    const { sequences } = handled;
    if (sequences.length === 0) return undefined;
    const body = Buffer.allocUnsafe(4 * sequences.length);
    for (let i = 0; i < sequences.length; i++) body.writeUInt32BE(sequences[i]!, 4 * i);
    sequences.length = 0;
    handled.bytes = 0;
    return body;
  }
}

class HandledLane {
  readonly sequences: number[] = [];
  bytes = 0;
}
