import { randomBelow, type Timer } from '../../src/base/index.ts';
import {
  answerSessionTimer,
  contactsOf,
  createResponse,
  dialogFromRequest,
  endReliable,
  type ReliableSender,
  receivePrack,
  reliabilityOf,
  repetitionDeadlineMs,
  type SipHeader,
  type SipRequest,
  sendReliable,
  startReliable,
  tickReliable,
} from '../../src/sip/index.ts';
import type { PhoneCall } from './phone-call.ts';
import { suitesOf } from './phone-caller.ts';
import type { PhoneCore } from './phone-core.ts';
import type { Incoming } from './phone-transactions.ts';
import type { AnswerMode, PhoneMedia } from './phone-types.ts';

/** The first INVITE of an incoming call, until it is answered, refused or cancelled. */
export class CalleeInvite {
  readonly #core: PhoneCore;
  readonly #call: PhoneCall;
  readonly #incoming: Incoming;
  readonly #localTag: string;
  readonly #media: PhoneMedia;
  #sender: ReliableSender;
  #timer: Timer | undefined;
  #later: Timer | undefined;
  /** Our SDP, once it was sent: the 2xx repeats it. */
  #sdp: string | undefined;
  #afterPrack: (() => void) | undefined;
  #done = false;

  constructor(
    call: PhoneCall,
    core: PhoneCore,
    init: { readonly incoming: Incoming; readonly localTag: string; readonly media: PhoneMedia },
  ) {
    this.#call = call;
    this.#core = core;
    this.#incoming = init.incoming;
    this.#localTag = init.localTag;
    this.#media = init.media;
    this.#sender = startReliable(init.incoming.request, 1 + randomBelow(core.random, 2 ** 20));
  }

  get request(): SipRequest {
    return this.#incoming.request;
  }

  get pending(): boolean {
    return !this.#done;
  }

  act(answer: AnswerMode): void {
    switch (answer.mode) {
      case 'auto':
        this.ring();
        this.#answerAfter(answer.afterMs ?? 0);
        break;
      case 'early-media':
        this.ring(183, true);
        if (answer.afterMs !== undefined) this.#answerAfter(answer.afterMs);
        break;
      case 'manual':
        this.ring();
        break;
      case 'busy':
        this.reject(486);
        break;
      case 'decline':
        this.reject(603);
        break;
      case 'status':
        this.reject(answer.status);
        break;
      case 'silent':
        break;
    }
  }

  /** A provisional response, with SDP if asked for; reliable where both sides can. */
  ring(status = 180, withSdp = false): void {
    if (this.#done) return;
    const body = withSdp ? this.#describe() : undefined;
    if (withSdp && body === undefined) return;
    const dialog = dialogFromRequest(this.request, this.#localTag, 'early');
    if (dialog.ok) this.#call.early({ dialog: dialog.value, flow: this.#incoming.flow, acks: new Map() });
    const response = createResponse(this.request, status, {
      toTag: this.#localTag,
      headers: this.#headers(body !== undefined),
      ...(body === undefined ? {} : { body }),
    });
    const can = reliabilityOf(this.request);
    if (can === 'required' || (can === 'supported' && (this.#core.options.reliable ?? 'no') !== 'no')) {
      const step = sendReliable(this.#sender, response, this.#core.clock.nowMs(), this.#core.options.times);
      this.#reliable(step.sender, step.texts);
    } else this.#incoming.respond(response);
  }

  answer(): void {
    if (this.#done) return;
    // RFC 3262 §3: no 2xx while a reliable response with SDP waits for its PRACK.
    if (this.#sender.outstanding !== undefined) {
      this.#afterPrack = () => this.answer();
      return;
    }
    // §8.1.1.8: without a Contact there is nowhere to send our requests to.
    if (contactsOf(this.request).length === 0) {
      this.reject(400);
      return;
    }
    const timers: SipHeader[] = [];
    const policy = this.#core.options.sessionTimer;
    const timer = policy && answerSessionTimer(this.request, policy, this.#core.clock.nowMs());
    if (timer?.type === 'too-small') {
      this.reject(422, [{ name: 'Min-SE', value: String(timer.minSec) }]);
      return;
    }
    if (timer?.type === 'accept') timers.push(...timer.headers);
    const body = this.#describe();
    if (body === undefined) return;
    this.#end();
    const response = createResponse(this.request, 200, {
      toTag: this.#localTag,
      headers: [...this.#headers(true), ...timers],
      body,
    });
    this.#call.answerWith(this.#incoming, response, timer?.type === 'accept' ? timer.timer : undefined);
  }

  reject(status: number, headers: readonly SipHeader[] = []): void {
    if (this.#done) return;
    this.#end();
    this.#incoming.respond(createResponse(this.request, status, { toTag: this.#localTag, headers }));
    this.#call.finish({ by: 'us', how: 'failed', status });
  }

  /** The caller's CANCEL, or its BYE before the answer. */
  cancelled(how: 'cancel' | 'bye'): void {
    if (this.#done) return;
    this.#end();
    this.#incoming.respond(createResponse(this.request, 487, { toTag: this.#localTag }));
    this.#call.finish({ by: 'peer', how, status: 487 });
  }

  prack(incoming: Incoming): void {
    const { clock, options } = this.#core;
    const step = receivePrack(this.#sender, incoming.request, clock.nowMs(), options.times);
    if (!step.matched) {
      incoming.respond(createResponse(incoming.request, 481));
      return;
    }
    // The caller's answer to an offer in our reliable response.
    try {
      if (incoming.request.body !== '' && this.request.body === '') this.#media.apply(incoming.request.body);
    } catch {
      incoming.respond(createResponse(incoming.request, 488));
      this.reject(488);
      return;
    }
    incoming.respond(createResponse(incoming.request, 200));
    this.#reliable(step.sender, step.texts);
    if (step.sender.outstanding === undefined) {
      const next = this.#afterPrack;
      this.#afterPrack = undefined;
      next?.();
    }
  }

  close(): void {
    this.#end();
  }

  #answerAfter(delayMs: number): void {
    if (delayMs === 0) this.answer();
    else this.#later = this.#core.clock.after(delayMs, () => this.answer());
  }

  /** Our SDP: the answer to the INVITE's offer, or an offer to an INVITE without one. Undefined: it was refused with 488. */
  #describe(): string | undefined {
    if (this.#sdp !== undefined) return this.#sdp;
    try {
      this.#sdp =
        this.request.body === ''
          ? this.#media.offer({ srtp: suitesOf(this.#core.options.offer ?? 'plain') })
          : this.#media.answer(this.request.body);
    } catch {
      this.reject(488);
    }
    return this.#sdp;
  }

  #headers(withSdp: boolean): SipHeader[] {
    return [
      { name: 'Contact', value: this.#core.contact(this.#incoming.flow) },
      ...this.#core.capabilities(),
      ...(withSdp ? [{ name: 'Content-Type', value: 'application/sdp' }] : []),
    ];
  }

  #reliable(sender: ReliableSender, texts: readonly string[]): void {
    this.#sender = sender;
    for (const text of texts) this.#incoming.respondText(text, 180);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (sender.outstanding === undefined || this.#done) return;
    const { clock } = this.#core;
    this.#timer = clock.after(repetitionDeadlineMs(sender.outstanding) - clock.nowMs(), () => {
      const step = tickReliable(this.#sender, clock.nowMs());
      if (!step.expired) return this.#reliable(step.sender, step.texts);
      this.#sender = step.sender;
      this.#end();
      this.#incoming.respond(createResponse(this.request, 504, { toTag: this.#localTag }));
      this.#call.finish({ by: 'us', how: 'no-prack', status: 504 });
    });
  }

  #end(): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#later?.cancel();
    this.#sender = endReliable(this.#sender);
  }
}
