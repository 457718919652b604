import { randomBelow } from '../../src/base/index.ts';
import { audioOf, isHold, parseSdp } from '../../src/sdp/index.ts';
import {
  answerSessionTimer,
  createResponse,
  cseqOf,
  headerValues,
  type SessionTimer,
  type SipHeader,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  serialize,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
} from '../../src/sip/index.ts';
import type { PhoneCall } from './phone-call.ts';
import { AnswerRepeater, SessionRunner } from './phone-call-timers.ts';
import { suitesOf } from './phone-caller.ts';
import type { PhoneCore } from './phone-core.ts';
import { acknowledge, type DialogLeg, type InDialog, requestIn } from './phone-dialog.ts';
import type { Incoming } from './phone-transactions.ts';

export interface ReinviteOptions {
  /** Without SDP: the peer offers. */
  readonly late?: boolean;
  /** Tries again after 491; the default. */
  readonly retry?: boolean;
  readonly headers?: readonly SipHeader[];
}

/** Offers and answers within a call, in both directions: re-INVITE, UPDATE, their collisions, and the session timer that they refresh. */
export class Offers {
  heldByPeer = false;
  readonly #call: PhoneCall;
  readonly #core: PhoneCore;
  readonly #repeater: AnswerRepeater;
  readonly #session: SessionRunner;
  #peerUpdates = false;
  /** A re-INVITE or an UPDATE with an offer of ours is unanswered. */
  #offering = false;
  /** The INVITE without SDP that our 2xx answered with an offer: its ACK brings the answer. */
  #offeredIn2xx: number | undefined;

  constructor(call: PhoneCall, core: PhoneCore) {
    this.#call = call;
    this.#core = core;
    this.#repeater = new AnswerRepeater(core.clock, core.options.times, () => {
      // §13.3.1.4: confirmed, but nobody acknowledges: say BYE.
      if (call.leg !== undefined) void requestIn(core, call.leg, { method: 'BYE' });
      call.finish({ by: 'us', how: 'no-ack' });
    });
    this.#session = new SessionRunner(core.clock, {
      refresh: () => void this.#refresh(),
      expired: () => {
        void call.bye([{ name: 'Reason', value: 'SIP;cause=408;text="session expired"' }]);
        call.finish({ by: 'us', how: 'session-expired' });
      },
    });
  }

  close(): void {
    this.#repeater.stop();
    this.#session.stop();
  }

  /** A 2xx to our first INVITE came. */
  confirmed(response: SipResponse): void {
    this.learnPeer(response);
    const policy = this.#core.options.sessionTimer;
    if (policy !== undefined) {
      this.#session.run(sessionTimerFromAnswer(response, this.#core.clock.nowMs(), policy));
    }
  }

  /** Sends a 2xx to an INVITE and repeats it until its ACK (§13.3.1.4). */
  answer(incoming: Incoming, response: SipResponse, session: SessionTimer | undefined): void {
    const cseq = cseqOf(incoming.request)!.seq;
    this.#offeredIn2xx = incoming.request.body === '' ? cseq : undefined;
    const text = serialize(response);
    incoming.respondText(text, response.status);
    this.#repeater.start(text, cseq, (again) => incoming.respondText(again, response.status));
    if (session !== undefined) this.#session.run(session);
  }

  /**
   * A re-INVITE with our present SDP, or with none (`late`: the peer offers). 491 is tried again after RFC 3261 §14.1's pause, 500
   * after its Retry-After, unless `retry` is false.
   */
  async reinvite(options: ReinviteOptions): Promise<SipResponse> {
    const leg = this.#call.leg;
    const media = this.#call.media;
    if (leg === undefined || media === undefined) throw new Error('a re-INVITE needs an answered call');
    const body = options.late === true ? undefined : media.offer({ srtp: this.#suites() });
    this.#offering = true;
    const response = await requestIn(
      this.#core,
      leg,
      this.#offerRequest('INVITE', leg, body, options.headers ?? []),
      (success, cseq) => {
        let answer: string | undefined;
        let fits = true;
        if (!leg.acks.has(cseq)) {
          try {
            if (options.late === true) answer = media.answer(success.body);
            else media.apply(success.body);
          } catch {
            fits = false;
          }
        }
        acknowledge(this.#core, leg, cseq, answer);
        if (!fits) void this.#call.bye();
      },
    );
    this.#offering = false;
    const pauseMs = options.retry === false ? undefined : this.#pauseMs(response);
    if (pauseMs === undefined) {
      this.#afterOffer(response);
      return response;
    }
    await new Promise<void>((resolve) => this.#core.clock.after(pauseMs, resolve));
    return this.#call.end === undefined && !this.#call.ending ? this.reinvite(options) : response;
  }

  /** After which pause the same may be asked again; undefined: not at all. */
  #pauseMs(response: SipResponse): number | undefined {
    // §14.2: our re-INVITE before this one is still open there. Its connection ended before the answer came.
    const [retryAfter] = headerValues(response, 'Retry-After');
    if (response.status === 500 && retryAfter !== undefined) return 1000 * Number.parseInt(retryAfter, 10);
    if (response.status !== 491) return undefined;
    // §14.1: who owns the Call-ID waits 2.1 to 4 s, the other up to 2 s, in steps of 10 ms.
    return this.#call.direction === 'out'
      ? 2100 + 10 * randomBelow(this.#core.random, 191)
      : 10 * randomBelow(this.#core.random, 201);
  }

  /** An UPDATE (RFC 3311), with an offer or without SDP. */
  async update(options: { readonly offer?: boolean }): Promise<SipResponse> {
    const leg = this.#call.leg;
    if (leg === undefined) throw new Error('an UPDATE needs a dialog');
    const body = options.offer === true ? this.#call.media?.offer({ srtp: this.#suites() }) : undefined;
    this.#offering ||= body !== undefined;
    const response = await requestIn(this.#core, leg, this.#offerRequest('UPDATE', leg, body, []));
    if (body !== undefined) this.#offering = false;
    if (response.status < 300 && body !== undefined) this.#apply(response.body);
    this.#afterOffer(response);
    return response;
  }

  #suites() {
    return suitesOf(this.#core.options.offer ?? 'plain');
  }

  #offerRequest(
    method: string,
    leg: DialogLeg,
    body: string | undefined,
    headers: readonly SipHeader[],
  ): InDialog {
    const policy = this.#core.options.sessionTimer;
    return {
      method,
      contact: this.#core.contact(leg.flow),
      headers: [
        ...this.#core.capabilities(),
        ...(policy === undefined ? [] : sessionTimerRequestHeaders(policy, this.#session.current)),
        ...headers,
      ],
      ...(body === undefined ? {} : { body, contentType: 'application/sdp' }),
    };
  }

  #afterOffer(response: SipResponse): void {
    if (response.status >= 300) {
      // §12.2.1.2: the dialog is gone for the peer.
      if (response.status === 481 || response.status === 408) void this.#call.bye();
      return;
    }
    if (this.#core.options.sessionTimer === undefined) return;
    const timer = sessionTimerFromAnswer(response, this.#core.clock.nowMs(), this.#core.options.sessionTimer);
    this.#session.run(timer);
  }

  /** The peer's re-INVITE or UPDATE. */
  offered(
    incoming: Incoming,
    respond: (status: number, headers?: readonly SipHeader[], body?: string) => void,
  ): void {
    const { request } = incoming;
    const isInvite = request.method === 'INVITE';
    const hasOffer = request.body !== '';
    if (isInvite && this.#call.callee?.pending === true) {
      // §14.2: one INVITE at a time.
      respond(500, [{ name: 'Retry-After', value: '1' }]);
      return;
    }
    if (isInvite && this.#repeater.cseq !== undefined) {
      // A new INVITE says that our 2xx came; only its ACK was lost. But without the answer that it brought there is nothing to build on.
      if (this.#offeredIn2xx !== undefined) {
        respond(500, [{ name: 'Retry-After', value: '1' }]);
        return;
      }
      this.#repeater.stop();
      this.#call.happened({ type: 'acknowledged' });
    }
    if (this.#offering && (isInvite || hasOffer)) {
      respond(491);
      return;
    }
    const headers: SipHeader[] = [
      { name: 'Contact', value: this.#core.contact(incoming.flow) },
      ...this.#core.capabilities(),
    ];
    const policy = this.#core.options.sessionTimer;
    const timer = policy && answerSessionTimer(request, policy, this.#core.clock.nowMs());
    if (timer?.type === 'too-small') {
      respond(422, [{ name: 'Min-SE', value: String(timer.minSec) }]);
      return;
    }
    if (timer?.type === 'accept') headers.push(...timer.headers);
    const session = timer?.type === 'accept' ? timer.timer : undefined;
    let body: string | undefined;
    try {
      if (hasOffer) body = this.#call.media?.answer(request.body);
      else if (isInvite) body = this.#call.media?.offer({ srtp: this.#suites() });
    } catch {
      respond(488);
      return;
    }
    if (body !== undefined) headers.push({ name: 'Content-Type', value: 'application/sdp' });
    if (isInvite) {
      const response = createResponse(request, 200, { headers, ...(body === undefined ? {} : { body }) });
      this.answer(incoming, response, session);
    } else {
      respond(200, headers, body);
      if (session !== undefined) this.#session.run(session);
    }
    this.#call.happened({ type: 'updated' });
    if (hasOffer) this.#noticeHold(request.body);
  }

  #noticeHold(sdp: string): void {
    const parsed = parseSdp(sdp);
    const audio = parsed.ok ? audioOf(parsed.value) : undefined;
    const held = audio !== undefined && isHold(audio.direction);
    if (held === this.heldByPeer) return;
    this.heldByPeer = held;
    this.#call.happened({ type: held ? 'held-by-peer' : 'resumed-by-peer' });
  }

  acknowledgedBy(ack: SipRequest): void {
    const cseq = cseqOf(ack)?.seq;
    if (cseq === undefined || cseq !== this.#repeater.cseq) return;
    this.#repeater.stop();
    if (this.#offeredIn2xx === cseq) {
      this.#offeredIn2xx = undefined;
      this.#apply(ack.body);
    }
    this.#call.happened({ type: 'acknowledged' });
  }

  /** What the peer's first message of the call says of it. */
  learnPeer(message: SipMessage): void {
    this.#peerUpdates = headerValues(message, 'Allow').some((method) => method.toUpperCase() === 'UPDATE');
    if (message.body !== '' && message.kind === 'request') this.#noticeHold(message.body);
  }

  #apply(answerSdp: string): void {
    try {
      this.#call.media?.apply(answerSdp);
    } catch {
      void this.#call.bye();
    }
  }

  async #refresh(): Promise<void> {
    const response = this.#peerUpdates ? await this.update({}) : await this.reinvite({});
    if (response.status < 300) this.#call.happened({ type: 'refreshed' });
  }
}
