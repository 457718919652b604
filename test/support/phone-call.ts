import { randomBelow } from '../../src/base/index.ts';
import { audioOf, isHold, parseSdp } from '../../src/sdp/index.ts';
import {
  answerSessionTimer,
  confirmDialog,
  createResponse,
  cseqOf,
  dialogFromRequest,
  header,
  headerValues,
  matchDialog,
  receiveInDialog,
  type SessionTimer,
  type SipHeader,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  serialize,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
  tagOf,
  toOf,
} from '../../src/sip/index.ts';
import { AnswerRepeater, SessionRunner } from './phone-call-timers.ts';
import type { CalleeInvite } from './phone-callee.ts';
import { type CallerInvite, suitesOf } from './phone-caller.ts';
import type { PhoneCore } from './phone-core.ts';
import { acknowledge, type DialogLeg, type InDialog, requestIn } from './phone-dialog.ts';
import { Seen } from './phone-seen.ts';
import type { Incoming } from './phone-transactions.ts';
import { type CallEnd, type CallEvent, type PhoneMedia, tellEvent } from './phone-types.ts';

/** One call of a phone, seen from it. Waits reject after the phone's `waitMs`, naming what was awaited and what came instead. */
export class PhoneCall {
  readonly direction: 'out' | 'in';
  readonly callId: string;
  readonly events: Seen<CallEvent>;
  /** Keypad digits that came by INFO. */
  readonly digits: string[] = [];
  media: PhoneMedia | undefined;
  caller: CallerInvite | undefined;
  callee: CalleeInvite | undefined;
  cancelledEarly = false;
  readonly #core: PhoneCore;
  readonly #onEnd: () => void;
  #leg: DialogLeg | undefined;
  readonly #repeater: AnswerRepeater;
  readonly #session: SessionRunner;
  #peerUpdates = false;
  /** A re-INVITE or an UPDATE with an offer of ours is unanswered. */
  #offering = false;
  /** A re-INVITE of the peer's without SDP: its ACK brings the answer to our offer. */
  #offeredIn2xx: number | undefined;
  #heldByPeer = false;
  #ending = false;
  #end: CallEnd | undefined;

  constructor(core: PhoneCore, direction: 'out' | 'in', callId: string, onEnd: () => void) {
    this.#core = core;
    this.direction = direction;
    this.callId = callId;
    this.#onEnd = onEnd;
    this.events = new Seen(`${core.options.user}'s call`, tellEvent);
    this.#repeater = new AnswerRepeater(core.clock, core.options.times, () => {
      // §13.3.1.4: confirmed, but nobody acknowledges: say BYE.
      if (this.#leg !== undefined) void requestIn(core, this.#leg, { method: 'BYE' });
      this.finish({ by: 'us', how: 'no-ack' });
    });
    this.#session = new SessionRunner(core.clock, {
      refresh: () => void this.#refresh(),
      expired: () => {
        void this.bye([{ name: 'Reason', value: 'SIP;cause=408;text="session expired"' }]);
        this.finish({ by: 'us', how: 'session-expired' });
      },
    });
  }

  get leg(): DialogLeg | undefined {
    return this.#leg;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  get heldByPeer(): boolean {
    return this.#heldByPeer;
  }

  /** The INVITE that began the call, as it was sent last or came. */
  get invite(): SipRequest {
    return (this.caller ?? this.callee)!.request;
  }

  // ---- what a test waits for

  /** The first provisional response of that status (default: any from 180 on). */
  async ringing(status?: number): Promise<void> {
    const what = status === undefined ? '180 or 183' : String(status);
    await this.event(what, (event) => {
      return (
        event.type === 'provisional' && (status === undefined ? event.status >= 180 : event.status === status)
      );
    });
  }

  async answered(waitMs?: number): Promise<this> {
    await this.event('an answer', (event) => event.type === 'answered', waitMs);
    return this;
  }

  async acknowledged(): Promise<void> {
    await this.event('the ACK', (event) => event.type === 'acknowledged');
  }

  async ended(waitMs?: number): Promise<CallEnd> {
    const event = await this.event('the end of the call', ({ type }) => type === 'ended', waitMs);
    return event as CallEvent & { type: 'ended' };
  }

  event(
    what: string,
    matches: (event: CallEvent) => boolean,
    waitMs = this.#core.waitMs,
  ): Promise<CallEvent> {
    return this.events.first(what, matches, {
      waitMs,
      alsoTell: () => [
        ...this.events.items.map((event) => `* ${tellEvent(event)}`),
        ...this.#core.told(this.callId),
      ],
    });
  }

  // ---- what a test does

  ring(): void {
    this.callee?.ring();
  }

  /** 183 with SDP. */
  progress(): void {
    this.callee?.ring(183, true);
  }

  answer(): void {
    this.callee?.answer();
  }

  reject(status: number): void {
    this.callee?.reject(status);
  }

  busy(): void {
    this.reject(486);
  }

  decline(): void {
    this.reject(603);
  }

  cancel(): void {
    this.caller?.cancel();
  }

  /** Ends the call, whatever its state: BYE, CANCEL, or 603. Resolves when the peer has answered. */
  async hangUp(): Promise<void> {
    if (this.#end !== undefined) return;
    if (this.callee?.pending === true) return this.decline();
    if (this.#leg?.dialog.state === 'confirmed') {
      await this.bye();
      return;
    }
    this.cancel();
    await this.ended();
  }

  async bye(headers: readonly SipHeader[] = []): Promise<SipResponse | undefined> {
    const leg = this.#leg;
    if (leg === undefined || this.#ending || this.#end !== undefined) return undefined;
    this.#ending = true;
    const response = await requestIn(this.#core, leg, { method: 'BYE', headers });
    this.finish({ by: 'us', how: 'bye', status: response.status });
    return response;
  }

  /** A request in the dialog with nothing of ours added: for INFO, OPTIONS and what should be refused. */
  async request(init: InDialog): Promise<SipResponse> {
    if (this.#leg === undefined)
      throw new Error(`${this.#core.options.user}'s call has no dialog to send ${init.method} in`);
    return requestIn(this.#core, this.#leg, init);
  }

  /** A keypad digit by INFO (`application/dtmf-relay`). */
  info(digit: string, durationMs = 160): Promise<SipResponse> {
    const body = `Signal=${digit}\r\nDuration=${durationMs}\r\n`;
    return this.request({ method: 'INFO', body, contentType: 'application/dtmf-relay' });
  }

  hold(): Promise<SipResponse> {
    this.media?.hold(true);
    return this.reinvite();
  }

  resume(): Promise<SipResponse> {
    this.media?.hold(false);
    return this.reinvite();
  }

  /**
   * A re-INVITE with our present SDP, or with none (`late`: the peer offers). 491 is tried again after RFC 3261 §14.1's pause unless
   * `retry` is false.
   */
  async reinvite(
    options: {
      readonly late?: boolean;
      readonly retry?: boolean;
      readonly headers?: readonly SipHeader[];
    } = {},
  ): Promise<SipResponse> {
    const leg = this.#leg;
    const media = this.media;
    if (leg === undefined || media === undefined) throw new Error('a re-INVITE needs an answered call');
    const body = options.late === true ? undefined : media.offer({ srtp: this.#suites() });
    this.#offering = true;
    const response = await requestIn(
      this.#core,
      leg,
      this.#offerRequest('INVITE', leg, body, options.headers ?? []),
      (success, cseq) => {
        let answer: string | undefined;
        if (!leg.acks.has(cseq)) {
          if (options.late === true) answer = media.answer(success.body);
          else media.apply(success.body);
        }
        acknowledge(this.#core, leg, cseq, answer);
      },
    );
    this.#offering = false;
    if (response.status !== 491 || options.retry === false) {
      this.#afterOffer(response);
      return response;
    }
    // §14.1: who owns the Call-ID waits 2.1 to 4 s, the other up to 2 s, in steps of 10 ms.
    const pauseMs =
      this.direction === 'out'
        ? 2100 + 10 * randomBelow(this.#core.random, 191)
        : 10 * randomBelow(this.#core.random, 201);
    await new Promise<void>((resolve) => this.#core.clock.after(pauseMs, resolve));
    return this.#end === undefined ? this.reinvite(options) : response;
  }

  /** An UPDATE (RFC 3311), with an offer or without SDP. */
  async update(options: { readonly offer?: boolean } = {}): Promise<SipResponse> {
    const leg = this.#leg;
    if (leg === undefined) throw new Error('an UPDATE needs a dialog');
    const body = options.offer === true ? this.media?.offer({ srtp: this.#suites() }) : undefined;
    this.#offering ||= body !== undefined;
    const response = await requestIn(this.#core, leg, this.#offerRequest('UPDATE', leg, body, []));
    if (body !== undefined) this.#offering = false;
    if (response.status < 300 && body !== undefined) this.media?.apply(response.body);
    this.#afterOffer(response);
    return response;
  }

  // ---- what the phone and the two sides of the INVITE tell

  happened(event: CallEvent): void {
    this.events.add(event);
  }

  early(leg: DialogLeg): void {
    this.#leg ??= leg;
  }

  /** The caller's side: a 2xx came and was acknowledged. */
  confirmed(leg: DialogLeg, response: SipResponse): void {
    this.#leg = leg;
    this.#learnPeer(response);
    const policy = this.#core.options.sessionTimer;
    if (policy !== undefined)
      this.#session.run(sessionTimerFromAnswer(response, this.#core.clock.nowMs(), policy));
    this.happened({ type: 'answered' });
  }

  /** Sends a 2xx to an INVITE and repeats it until its ACK (§13.3.1.4). */
  answerWith(incoming: Incoming, response: SipResponse, session: SessionTimer | undefined): void {
    const cseq = cseqOf(incoming.request)!.seq;
    if (this.#leg === undefined) {
      const dialog = dialogFromRequest(incoming.request, tagOf(toOf(response)) ?? '', 'confirmed');
      if (!dialog.ok) return;
      this.#leg = { dialog: dialog.value, flow: incoming.flow, acks: new Map() };
    } else if (this.#leg.dialog.state === 'early') this.#leg.dialog = confirmDialog(this.#leg.dialog);
    this.#learnPeer(incoming.request);
    if (incoming.request.body === '') this.#offeredIn2xx = cseq;
    const text = serialize(response);
    incoming.respondText(text, response.status);
    this.#repeater.start(text, cseq, (again) => incoming.respondText(again, response.status));
    if (session !== undefined) this.#session.run(session);
  }

  /** The caller's CANCEL, which may come before our media is there. */
  cancelledByPeer(): void {
    if (this.callee === undefined) this.cancelledEarly = true;
    else this.callee.cancelled('cancel');
  }

  matches(message: SipMessage): boolean {
    return this.#leg !== undefined && matchDialog(this.#leg.dialog, message);
  }

  /** A request inside the call. */
  receive(incoming: Incoming): void {
    const { request } = incoming;
    const leg = this.#leg;
    const respond = (status: number, headers: readonly SipHeader[] = [], body?: string): void => {
      incoming.respond(createResponse(request, status, { headers, ...(body === undefined ? {} : { body }) }));
    };
    if (leg === undefined) {
      if (request.method !== 'ACK') respond(481);
      return;
    }
    const outcome = receiveInDialog(leg.dialog, request);
    if (request.method === 'ACK') {
      if (outcome.type === 'accepted') this.#acknowledgedBy(request);
      return;
    }
    if (outcome.type === 'out-of-order') {
      respond(500);
      return;
    }
    if (outcome.type === 'no-dialog') {
      respond(request.method === 'BYE' && this.#ending ? 200 : 481);
      return;
    }
    leg.dialog = outcome.dialog;
    leg.flow = incoming.flow;
    switch (request.method) {
      case 'BYE':
        respond(200);
        if (this.callee?.pending === true) this.callee.cancelled('bye');
        else if (!this.#ending) this.finish({ by: 'peer', how: 'bye' });
        break;
      case 'INVITE':
      case 'UPDATE':
        this.#offered(incoming, respond);
        break;
      case 'INFO': {
        const digit =
          /^\s*Signal\s*=\s*([0-9A-D*#])/im.exec(request.body)?.[1] ?? /^[0-9A-D*#]$/.exec(request.body)?.[0];
        respond(200);
        if (digit !== undefined) {
          this.digits.push(digit);
          this.happened({ type: 'dtmf', digit });
        }
        break;
      }
      case 'PRACK':
        if (this.callee === undefined) respond(481);
        else this.callee.prack(incoming);
        break;
      case 'OPTIONS':
        respond(200, this.#core.capabilities());
        break;
      default:
        respond(501);
    }
  }

  finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.close();
    this.happened({ type: 'ended', ...end });
    this.#onEnd();
  }

  close(): void {
    this.callee?.close();
    this.#repeater.stop();
    this.#session.stop();
    this.media?.close();
  }

  // ---- inside

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
      if (response.status === 481 || response.status === 408) void this.bye();
      return;
    }
    if (this.#core.options.sessionTimer === undefined) return;
    const timer = sessionTimerFromAnswer(response, this.#core.clock.nowMs(), this.#core.options.sessionTimer);
    this.#session.run(timer);
  }

  /** The peer's re-INVITE or UPDATE. */
  #offered(
    incoming: Incoming,
    respond: (status: number, headers?: readonly SipHeader[], body?: string) => void,
  ): void {
    const { request } = incoming;
    const isInvite = request.method === 'INVITE';
    const hasOffer = request.body !== '';
    if (isInvite && this.callee?.pending === true) {
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
      this.happened({ type: 'acknowledged' });
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
      if (hasOffer) body = this.media?.answer(request.body);
      else if (isInvite) body = this.media?.offer({ srtp: this.#suites() });
    } catch {
      respond(488);
      return;
    }
    if (body !== undefined) headers.push({ name: 'Content-Type', value: 'application/sdp' });
    if (isInvite) {
      const response = createResponse(request, 200, { headers, ...(body === undefined ? {} : { body }) });
      this.answerWith(incoming, response, session);
    } else {
      respond(200, headers, body);
      if (session !== undefined) this.#session.run(session);
    }
    this.happened({ type: 'updated' });
    if (hasOffer) this.#noticeHold(request.body);
  }

  #noticeHold(sdp: string): void {
    const parsed = parseSdp(sdp);
    const audio = parsed.ok ? audioOf(parsed.value) : undefined;
    const held = audio !== undefined && isHold(audio.direction);
    if (held === this.#heldByPeer) return;
    this.#heldByPeer = held;
    this.happened({ type: held ? 'held-by-peer' : 'resumed-by-peer' });
  }

  #acknowledgedBy(ack: SipRequest): void {
    const cseq = cseqOf(ack)?.seq;
    if (cseq === undefined || cseq !== this.#repeater.cseq) return;
    this.#repeater.stop();
    if (this.#offeredIn2xx === cseq) {
      this.#offeredIn2xx = undefined;
      try {
        this.media?.apply(ack.body);
      } catch {
        void this.bye();
      }
    }
    this.happened({ type: 'acknowledged' });
  }

  #learnPeer(message: SipMessage): void {
    this.#peerUpdates = headerValues(message, 'Allow').some((method) => method.toUpperCase() === 'UPDATE');
    if (header(message, 'Content-Type') !== undefined && message.body !== '' && message.kind === 'request') {
      this.#noticeHold(message.body);
    }
  }

  async #refresh(): Promise<void> {
    const response = this.#peerUpdates ? await this.update() : await this.reinvite();
    if (response.status < 300) this.happened({ type: 'refreshed' });
  }
}
