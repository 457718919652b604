import {
  confirmDialog,
  createResponse,
  dialogFromRequest,
  matchDialog,
  receiveInDialog,
  type SessionTimer,
  type SipHeader,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  tagOf,
  toOf,
} from '../../src/sip/index.ts';
import type { CalleeInvite } from './phone-callee.ts';
import type { CallerInvite } from './phone-caller.ts';
import type { PhoneCore } from './phone-core.ts';
import { type DialogLeg, type InDialog, requestIn } from './phone-dialog.ts';
import { Offers, type ReinviteOptions } from './phone-offers.ts';
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
  readonly #offers: Offers;
  #ending = false;
  #end: CallEnd | undefined;

  constructor(core: PhoneCore, direction: 'out' | 'in', callId: string, onEnd: () => void) {
    this.#core = core;
    this.direction = direction;
    this.callId = callId;
    this.#onEnd = onEnd;
    this.events = new Seen(`${core.options.user}'s call`, tellEvent);
    this.#offers = new Offers(this, core);
  }

  get leg(): DialogLeg | undefined {
    return this.#leg;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** It has said BYE: what it said after that could overtake it, and the BYE would be refused for its lower CSeq. */
  get ending(): boolean {
    return this.#ending;
  }

  get heldByPeer(): boolean {
    return this.#offers.heldByPeer;
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

  /** Asks for a transfer (RFC 3515). Resolves with the answer to the REFER. */
  refer(uri: string): Promise<SipResponse> {
    return this.request({ method: 'REFER', headers: [{ name: 'Refer-To', value: `<${uri}>` }] });
  }

  hold(): Promise<SipResponse> {
    return this.#hold(true);
  }

  resume(): Promise<SipResponse> {
    return this.#hold(false);
  }

  /** See `Offers.reinvite`. */
  reinvite(options: ReinviteOptions = {}): Promise<SipResponse> {
    return this.#offers.reinvite(options);
  }

  /** An UPDATE (RFC 3311), with an offer or without SDP. */
  update(options: { readonly offer?: boolean } = {}): Promise<SipResponse> {
    return this.#offers.update(options);
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
    this.#offers.confirmed(response);
    this.happened({ type: 'answered' });
  }

  /** The callee's side: answers the INVITE with a 2xx, repeated until its ACK. */
  answerWith(incoming: Incoming, response: SipResponse, session: SessionTimer | undefined): void {
    if (this.#leg === undefined) {
      const dialog = dialogFromRequest(incoming.request, tagOf(toOf(response)) ?? '', 'confirmed');
      if (!dialog.ok) return;
      this.#leg = { dialog: dialog.value, flow: incoming.flow, acks: new Map() };
    } else this.#leg.dialog = confirmDialog(this.#leg.dialog);
    this.#offers.learnPeer(incoming.request);
    this.#offers.answer(incoming, response, session);
    this.happened({ type: 'answered' });
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
      if (outcome.type === 'accepted') this.#offers.acknowledgedBy(request);
      return;
    }
    if (outcome.type === 'out-of-order') {
      respond(500);
      return;
    }
    if (outcome.type === 'no-dialog') {
      respond(request.method === 'BYE' && this.#ending ? 200 : 481);
      // A 481 to a request of ours has ended the dialog (§12.2.1.2), and what the peer says of it now is no news.
      if (request.method === 'BYE' && leg.dialog.state === 'terminated' && !this.#ending)
        this.finish({ by: 'peer', how: 'bye' });
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
        this.#offers.offered(incoming, respond);
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
      case 'NOTIFY':
        // Of a transfer that we asked for, or nobody asked: a phone takes either.
        respond(200);
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
    this.#offers.close();
    this.media?.close();
  }

  async #hold(on: boolean): Promise<SipResponse> {
    this.media?.hold(on);
    const response = await this.reinvite();
    if (response.status >= 300) this.media?.hold(!on);
    return response;
  }
}
