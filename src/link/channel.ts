/**
 * How two of our processes talk: an ordered, flow-controlled channel of frames. The same interface is served by a Unix
 * socket, by mutual TLS between machines, and by the simulator's network.
 */
export interface Frame {
  /** What the frame says: a member of the protocol of this pair of processes, see `protocol.ts`. */
  readonly kind: string;
  /** JSON-able. */
  readonly data: unknown;
  /** Bytes that are passed as they are, such as a SIP message. */
  readonly body?: Uint8Array;
  /** `priority` overtakes `normal`: emergency calls, BYE, adoption, heartbeats. */
  readonly lane?: 'priority' | 'normal';
  /** The receiver drops the frame unhandled after this moment (`Clock.nowMs` of the one machine; a remaining time between machines). */
  readonly deadlineMs?: number;
  /** The sender's epoch for the bundle that the frame concerns. */
  readonly epoch?: number;
  /** The call's Session-ID, for traces. */
  readonly trace?: string;
}

export interface Channel {
  /** Who is at the other end, as it said in its greeting and as the rim verified (uid or certificate). */
  readonly peer: Peer;
  readonly open: boolean;
  /** Frames sent that the peer has not yet acknowledged: what must be said again to its successor. In order. */
  unacknowledged(): readonly Frame[];
  /**
   * Queues a frame. False when the queue is full: nothing was queued, the caller answers 503 or tries later.
   * A frame is acknowledged when the peer's handler has returned (its promise resolved).
   */
  send(frame: Frame): boolean;
  /** Sends and waits for the reply. Rejects with `TwinlineError` `link_closed`, `link_full`, `link_timeout` or the peer's own code. */
  request(frame: Frame, timeoutMs: number): Promise<Frame>;
  /** At most one handler. What it returns (or resolves to) answers a `request`; a rejection is the peer's error. */
  onFrame(handler: (frame: Frame) => Frame | undefined | Promise<Frame | undefined>): void;
  /** Each handler is called once when the channel ends, with why. */
  onClose(handler: (reason: string) => void): void;
  close(reason?: string): void;
}

export interface Peer {
  /** `switch`, `edge`, `media`, `zone`, `control`, `launcher`. */
  readonly role: string;
  /** `a1`, `edge1`, `a` … */
  readonly id: string;
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names one process for ever (of this boot). 0 where unknown. */
  readonly startTime: number;
}
