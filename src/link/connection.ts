import { type Clock, type Logger, type Timer, TwinlineError } from '../base/index.ts';
import type { Channel, Frame, Peer } from './channel.ts';
import { type Envelope, FrameReader, FrameType, FrameWriter, Lane, type WireFrame } from './frame.ts';
import { type Greeting, greetingOf, readGreeting } from './greeting.ts';
import { HandledFrames } from './handled.ts';
import { SentFrames, type WaitingRequest, type Window } from './sent.ts';
import type { Wire } from './wire.ts';

export const DEFAULT_WINDOW: Window = { frames: 1024, bytes: 4 << 20 };
/** A peer that connected and does not say who it is is let go. */
const GREETING_MS = 5000;
const ACKNOWLEDGE_MS = 5000;
/** Our frames are bounded by the window; answers, which are not, by this. */
const MAX_UNREAD_BYTES = 16 << 20;

export interface ConnectionOptions {
  readonly self: Peer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly window?: Window | undefined;
  readonly ping?: { readonly everyMs: number; readonly timeoutMs: number } | undefined;
  /** See `LinkOptions`. */
  readonly acknowledgeMs?: number | undefined;
  /** Between machines: deadlines travel as remaining times, because the clocks differ. */
  readonly remainingDeadlines?: boolean;
  /** Refuses the greeted peer with a sentence. */
  readonly refuse?: ((peer: Peer) => string | undefined) | undefined;
  /** In memory there is nobody to greet: the peer is known. */
  readonly peer?: Peer;
  readonly onGreeted?: (channel: Channel) => void;
  /** The end, greeted or not. */
  readonly onEnd?: (reason: string) => void;
}

type UserLane = typeof Lane.normal | typeof Lane.priority;
type Handler = (frame: Frame) => Frame | undefined | Promise<Frame | undefined>;

/** One end of a link over any carrier of bytes: the semantics that `Channel` promises live here. */
export class Connection implements Channel {
  readonly #wire: Wire;
  readonly #options: ConnectionOptions;
  readonly #clock: Clock;
  readonly #reader = new FrameReader();
  /** By lane. */
  readonly #writers = [new FrameWriter(), new FrameWriter(), new FrameWriter()] as const;
  readonly #sent: readonly [SentFrames, SentFrames];
  readonly #nextOut = [0, 0, 0];
  readonly #nextIn = [0, 0, 0];
  /** What the peer's frames that are being handled come to, by lane. */
  readonly #handling = [
    { frames: 0, bytes: 0 },
    { frames: 0, bytes: 0 },
  ];
  readonly #handled: HandledFrames;
  /** Runs while acknowledgements may be waiting: one timer for all of them, and not moved by each. */
  #acknowledging: Timer | undefined;
  /** Some left since that timer was set, so that what waits now came later. */
  #acknowledged = false;
  readonly #window: Window;
  #order = 0;
  #state: 'greeting' | 'open' | 'closed' = 'greeting';
  #peer: Peer | undefined;
  #onFrame: Handler | undefined;
  #early: WireFrame[] = [];
  readonly #onClose: ((reason: string) => void)[] = [];
  #closeReason = '';
  #flushing = false;
  #congested = false;
  #heardMs: number;
  #timer: Timer | undefined;

  constructor(wire: Wire, options: ConnectionOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#clock = options.clock;
    this.#heardMs = options.clock.nowMs();
    const window = options.window ?? DEFAULT_WINDOW;
    this.#window = window;
    this.#sent = [new SentFrames(window), new SentFrames(priorityWindow(window))];
    this.#handled = new HandledFrames(window, priorityWindow(window));
    wire.onBytes = (bytes) => this.#receive(bytes);
    wire.onDrain = () => {
      this.#congested = false;
      this.#flush();
    };
    wire.onEnd = (reason) => this.#end(reason);
    if (options.peer !== undefined) {
      this.#peer = options.peer;
      this.#open();
    } else {
      this.#control(FrameType.hello, 'hello', greetingOf(options.self, window));
      this.#timer = this.#clock.after(GREETING_MS, () => this.close(`no greeting within ${GREETING_MS} ms`));
    }
  }

  get peer(): Peer {
    return this.#peer ?? { role: '', id: '', pid: 0, startTime: 0 };
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  unacknowledged(): readonly Frame[] {
    return this.#sent
      .flatMap((lane) => [...lane.values()])
      .filter((sent) => sent.waiting === undefined)
      .sort((one, other) => one.order - other.order)
      .map((sent) => sent.frame);
  }

  send(frame: Frame): boolean {
    if (this.#state !== 'open') return false;
    const lane = laneOf(frame);
    if (!this.#sent[lane].hasRoom) return false;
    this.#put(FrameType.data, lane, frame, undefined);
    return true;
  }

  request(frame: Frame, timeoutMs: number): Promise<Frame> {
    if (this.#state !== 'open') return Promise.reject(this.#closedError(frame));
    const lane = laneOf(frame);
    if (!this.#sent[lane].hasRoom) {
      return Promise.reject(
        new TwinlineError('link_full', `the queue to ${this.#name()} is full: "${frame.kind}" was not sent`),
      );
    }
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        reject(
          new TwinlineError(
            'link_timeout',
            `${this.#name()} did not answer "${frame.kind}" within ${timeoutMs} ms`,
          ),
        );
      });
      const deadlineMs = frame.deadlineMs ?? this.#clock.nowMs() + timeoutMs;
      try {
        this.#put(FrameType.request, lane, { ...frame, deadlineMs }, { resolve, reject, timer });
      } catch (error) {
        timer.cancel();
        reject(error);
      }
    });
  }

  onFrame(handler: Handler): void {
    this.#onFrame = handler;
    const early = this.#early;
    this.#early = [];
    for (const frame of early) this.#handle(frame);
  }

  onClose(handler: (reason: string) => void): void {
    if (this.#state === 'closed') queueMicrotask(() => handler(this.#closeReason));
    else this.#onClose.push(handler);
  }

  close(reason = 'closed'): void {
    if (this.#state === 'closed') return;
    // What was sent before is still said; the last words go last.
    this.#flush(true);
    this.#control(FrameType.error, 'link_closed', { message: reason });
    this.#flush(true);
    this.#end(reason);
  }

  #put(type: FrameType, lane: UserLane, frame: Frame, waiting: WaitingRequest | undefined): void {
    const sequence = this.#nextOut[lane]!;
    const bytes = this.#encode({ type, lane, sequence, answers: 0 }, frame);
    this.#sent[lane].add(sequence, {
      frame,
      bytes,
      order: this.#order++,
      ...(waiting === undefined ? undefined : { waiting }),
    });
  }

  #control(type: FrameType, kind: string, data?: unknown, answers = 0, body?: Uint8Array): void {
    const frame: Frame = body === undefined ? { kind, data } : { kind, data, body };
    this.#encode({ type, lane: Lane.link, sequence: this.#nextOut[Lane.link]!, answers }, frame);
  }

  #encode(envelope: Envelope, frame: Frame): number {
    const { deadlineMs } = frame;
    const remainingMs =
      deadlineMs !== undefined && this.#options.remainingDeadlines
        ? deadlineMs - this.#clock.nowMs()
        : undefined;
    const bytes = this.#writers[envelope.lane].write(envelope, frame, remainingMs);
    this.#nextOut[envelope.lane] = (envelope.sequence + 1) >>> 0;
    this.#flushSoon();
    return bytes;
  }

  #flushSoon(): void {
    if (this.#flushing || this.#congested || this.#state === 'closed') return;
    this.#flushing = true;
    this.#wire.soon(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(evenIfCongested = false): void {
    if (this.#state === 'closed') return;
    this.#acknowledge(Lane.normal);
    this.#acknowledge(Lane.priority);
    for (const lane of [Lane.link, Lane.priority, Lane.normal]) {
      const writer = this.#writers[lane];
      while (!this.#congested || evenIfCongested) {
        const chunk = writer.next();
        if (chunk === undefined) break;
        this.#congested = !this.#wire.send(chunk);
      }
    }
    this.#wire.flush();
  }

  #acknowledge(lane: UserLane): void {
    const body = this.#handled.take(lane);
    if (body === undefined) return;
    this.#acknowledged = true;
    // Within a flush: encoding directly, so that no further flush is asked for.
    const sequence = this.#nextOut[Lane.link]!;
    this.#writers[Lane.link].write(
      { type: FrameType.ack, lane: Lane.link, sequence, answers: lane },
      { kind: '', data: undefined, body },
    );
    this.#nextOut[Lane.link] = (sequence + 1) >>> 0;
  }

  #acknowledgeSoon(lane: UserLane, { sequence, bytes }: WireFrame): void {
    if (this.#handled.add(lane, sequence, bytes)) this.#flushSoon();
    else if (this.#acknowledging === undefined) this.#acknowledgeLater();
  }

  #acknowledgeLater(): void {
    this.#acknowledged = false;
    this.#acknowledging = this.#clock.after(this.#options.acknowledgeMs ?? ACKNOWLEDGE_MS, () => {
      this.#acknowledging = undefined;
      if (!this.#handled.wait) return;
      if (this.#acknowledged) this.#acknowledgeLater();
      else this.#flushSoon();
    });
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#heardMs = this.#clock.nowMs();
    const frames = this.#reader.push(bytes);
    if (!frames.ok) {
      this.#broken(frames.error);
      return;
    }
    for (const frame of frames.value) {
      const expected = this.#nextIn[frame.lane]!;
      if (frame.sequence !== expected) {
        this.#broken(`frame ${frame.sequence} where ${expected} was due: something was lost`);
        return;
      }
      this.#nextIn[frame.lane] = (expected + 1) >>> 0;
    }
    // Of what arrived together the urgent goes first, and the peer's last words are the last.
    for (const frame of frames.value) if (frame.lane === Lane.link) this.#controlled(frame);
    for (const frame of frames.value) if (frame.lane === Lane.priority) this.#arrived(frame, Lane.priority);
    for (const frame of frames.value) if (frame.lane === Lane.normal) this.#arrived(frame, Lane.normal);
    const last = frames.value.at(-1);
    if (last?.lane === Lane.link && last.type === FrameType.error) this.#end(lastWords(last.frame));
  }

  #controlled({ type, frame, answers }: WireFrame): void {
    if (this.#state === 'closed') return;
    if (type === FrameType.ack && (answers === Lane.normal || answers === Lane.priority)) {
      const body = Buffer.from(frame.body ?? []);
      for (let at = 0; at + 4 <= body.length; at += 4) this.#sent[answers].take(body.readUInt32BE(at));
    } else if (type === FrameType.hello && this.#peer === undefined) {
      this.#greeted(frame.data);
    } else if (type === FrameType.ping) {
      if (answers === 0) this.#control(FrameType.ping, 'pong', undefined, 1);
    } else if (type !== FrameType.error) {
      this.#broken(`a frame of type ${type} out of place`);
    }
  }

  #greeted(data: unknown): void {
    const greeting = readGreeting(data);
    if (!greeting.ok) {
      this.close(`refused: ${greeting.error}`);
      return;
    }
    const refusal = this.#options.refuse?.(greeting.value);
    if (refusal !== undefined) {
      this.close(`refused: ${refusal}`);
      return;
    }
    const { role, id, pid, startTime, window }: Greeting = greeting.value;
    this.#peer = { role, id, pid, startTime };
    this.#sent[Lane.normal].limit(window);
    this.#sent[Lane.priority].limit(priorityWindow(window));
    const peers = smaller(this.#window, window);
    this.#handled.limit(peers, priorityWindow(peers));
    this.#open();
  }

  #open(): void {
    this.#timer?.cancel();
    this.#state = 'open';
    if (this.#options.ping !== undefined) this.#watch(this.#options.ping);
    this.#options.onGreeted?.(this);
  }

  #watch(ping: { readonly everyMs: number; readonly timeoutMs: number }): void {
    const dueMs = this.#clock.nowMs() + ping.everyMs;
    this.#timer = this.#clock.after(ping.everyMs, () => {
      const nowMs = this.#clock.nowMs();
      // When it was we who stood still, what the peer said meanwhile waits to be read.
      const stoodStill = nowMs - dueMs > ping.everyMs;
      if (!stoodStill && nowMs - this.#heardMs > ping.timeoutMs) {
        this.#broken(`nothing heard for ${ping.timeoutMs} ms`);
        return;
      }
      this.#control(FrameType.ping, 'ping');
      this.#watch(ping);
    });
  }

  #arrived(received: WireFrame, lane: UserLane): void {
    if (this.#state !== 'open') {
      if (this.#state === 'greeting') this.#broken('a frame before the greeting');
      return;
    }
    const { type, answers, frame } = received;
    if (type === FrameType.reply || type === FrameType.error) {
      const waiting = this.#sent[lane].take(answers)?.waiting;
      waiting?.timer.cancel();
      if (type === FrameType.reply) waiting?.resolve(frame);
      else waiting?.reject(peersError(frame));
    } else if (type === FrameType.data || type === FrameType.request) {
      const handling = this.#handling[lane]!;
      if (handling.frames >= this.#window.frames || handling.bytes >= this.#window.bytes) {
        this.#broken('more frames than the window allows');
        return;
      }
      handling.frames++;
      handling.bytes += received.bytes;
      const due = received.remaining ? { ...received, frame: onOurClock(frame, this.#heardMs) } : received;
      if (this.#onFrame === undefined) this.#early.push(due);
      else this.#handle(due);
    } else {
      this.#broken(`a frame of type ${type} out of place`);
    }
  }

  #handle(received: WireFrame): void {
    if (this.#state === 'closed') return;
    const { frame } = received;
    if (frame.deadlineMs !== undefined && frame.deadlineMs < this.#clock.nowMs()) {
      this.#failed(received, new TwinlineError('link_timeout', `"${frame.kind}" came after its deadline`));
      return;
    }
    let outcome: Frame | undefined | Promise<Frame | undefined>;
    try {
      outcome = this.#onFrame!(frame);
    } catch (error) {
      this.#failed(received, error);
      return;
    }
    if (outcome instanceof Promise) {
      outcome.then(
        (reply) => this.#finished(received, reply),
        (error) => this.#failed(received, error),
      );
    } else {
      this.#finished(received, outcome);
    }
  }

  #finished(received: WireFrame, reply: Frame | undefined): void {
    const lane = received.lane as UserLane;
    this.#leave(received, lane);
    if (this.#state === 'closed') return;
    if (received.type === FrameType.data) {
      this.#acknowledgeSoon(lane, received);
      return;
    }
    try {
      this.#answer(FrameType.reply, received, reply ?? { kind: '', data: undefined });
    } catch (error) {
      this.#answer(FrameType.error, received, errorFrame(error));
    }
  }

  #failed(received: WireFrame, error: unknown): void {
    const lane = received.lane as UserLane;
    this.#leave(received, lane);
    if (this.#state === 'closed') return;
    if (received.type === FrameType.request) {
      this.#answer(FrameType.error, received, errorFrame(error));
      return;
    }
    // Acknowledged all the same: a frame that its handler cannot digest must not block the lane for good.
    const { kind, trace } = received.frame;
    this.#options.log.warn({ kind, trace, peer: this.#name(), error }, 'link.frame_failed');
    this.#acknowledgeSoon(lane, received);
  }

  #leave({ bytes }: WireFrame, lane: UserLane): void {
    this.#handling[lane]!.frames--;
    this.#handling[lane]!.bytes -= bytes;
  }

  #answer(type: FrameType, received: WireFrame, frame: Frame): void {
    const { lane, sequence } = received;
    this.#encode({ type, lane, sequence: this.#nextOut[lane]!, answers: sequence }, frame);
    if (this.#writers[lane].pendingBytes > MAX_UNREAD_BYTES) this.#broken('the peer asks and does not read');
  }

  #broken(reason: string): void {
    this.#options.log.warn({ peer: this.#name(), reason }, 'link.broken');
    this.close(`broken: ${reason}`);
  }

  #end(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closeReason = reason;
    this.#timer?.cancel();
    this.#acknowledging?.cancel();
    this.#early = [];
    this.#wire.end();
    for (const lane of this.#sent) {
      for (const { waiting, frame } of lane.values()) {
        waiting?.timer.cancel();
        waiting?.reject(this.#closedError(frame));
      }
    }
    for (const handler of this.#onClose) handler(reason);
    this.#options.onEnd?.(reason);
  }

  #closedError(frame: Frame): TwinlineError {
    const why = this.#closeReason || 'not open';
    return new TwinlineError('link_closed', `no link to ${this.#name()} for "${frame.kind}": ${why}`);
  }

  #name(): string {
    return this.#peer === undefined ? 'a peer' : `${this.#peer.role} ${this.#peer.id}`;
  }
}

const laneOf = (frame: Frame): UserLane => (frame.lane === 'priority' ? Lane.priority : Lane.normal);

/** The reserve of what must pass when everything else is full: a quarter of the bytes. */
const priorityWindow = ({ frames, bytes }: Window): Window => ({ frames, bytes: bytes / 4 });

const smaller = (one: Window, other: Window): Window => ({
  frames: Math.min(one.frames, other.frames),
  bytes: Math.min(one.bytes, other.bytes),
});

const onOurClock = (frame: Frame, heardMs: number): Frame => ({
  ...frame,
  deadlineMs: heardMs + (frame.deadlineMs ?? 0),
});

function errorFrame(error: unknown): Frame {
  const code = error instanceof TwinlineError ? error.code : 'link_peer_failed';
  const message = error instanceof Error ? error.message : String(error);
  return { kind: code, data: { message: message.slice(0, 1000) } };
}

function peersError({ kind, data }: Frame): TwinlineError {
  return new TwinlineError(kind || 'link_peer_failed', messageIn(data) ?? 'the peer could not do it');
}

const lastWords = ({ data }: Frame): string => messageIn(data) ?? 'the peer closed the link';

function messageIn(data: unknown): string | undefined {
  const message = (data as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : undefined;
}
