import type { Clock, Timer } from '../../src/base/index.ts';
import {
  type Repetition,
  RFC_TIMES,
  refreshSent,
  repetitionDeadlineMs,
  repetitionDue,
  type SessionTimer,
  sessionTimerDeadlineMs,
  sessionTimerDue,
  startRepetition,
  type TransactionTimes,
} from '../../src/sip/index.ts';

/** Repeats a 2xx to an INVITE until its ACK comes or 64 × T1 have passed (RFC 3261 §13.3.1.4). */
export class AnswerRepeater {
  readonly #clock: Clock;
  readonly #times: TransactionTimes;
  readonly #onExpired: () => void;
  #timer: Timer | undefined;
  /** The CSeq of the INVITE whose ACK is awaited. */
  cseq: number | undefined;

  constructor(clock: Clock, times: TransactionTimes | undefined, onExpired: () => void) {
    this.#clock = clock;
    this.#times = times ?? RFC_TIMES;
    this.#onExpired = onExpired;
  }

  start(text: string, cseq: number, send: (text: string) => void): void {
    this.cseq = cseq;
    this.#arm(startRepetition(text, this.#clock.nowMs(), this.#times), send);
  }

  stop(): void {
    this.#timer?.cancel();
    this.cseq = undefined;
  }

  #arm(repetition: Repetition, send: (text: string) => void): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(repetitionDeadlineMs(repetition) - this.#clock.nowMs(), () => {
      const due = repetitionDue(repetition, this.#clock.nowMs(), this.#times.t2Ms);
      if (due.type === 'expired') {
        this.cseq = undefined;
        this.#onExpired();
        return;
      }
      if (due.type === 'send') send(due.text);
      this.#arm(due.type === 'send' ? due.repetition : repetition, send);
    });
  }
}

/** Runs a session timer (RFC 4028): says when to refresh and when to give up. */
export class SessionRunner {
  readonly #clock: Clock;
  readonly #on: { refresh(): void; expired(): void };
  #timer: Timer | undefined;
  current: SessionTimer | undefined;

  constructor(clock: Clock, on: { refresh(): void; expired(): void }) {
    this.#clock = clock;
    this.#on = on;
  }

  run(session: SessionTimer | undefined): void {
    this.stop();
    this.current = session;
    if (session === undefined) return;
    this.#timer = this.#clock.after(sessionTimerDeadlineMs(session) - this.#clock.nowMs(), () => {
      const due = sessionTimerDue(session, this.#clock.nowMs());
      if (due === 'expired') {
        this.#on.expired();
        return;
      }
      this.run(due === 'refresh' ? refreshSent(session) : session);
      if (due === 'refresh') this.#on.refresh();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
