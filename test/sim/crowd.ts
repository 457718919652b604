import { type Random, randomBelow, seededRandom } from '../../src/base/index.ts';
import { header, type SipResponse } from '../../src/sip/index.ts';
import type { Phone, PhoneCall } from '../support/phone.ts';
import { simPhone } from './phones.ts';
import type { CallPlan, Plan, Side } from './plan.ts';
import { edgeAddress, type World } from './world.ts';

const REGISTER_SEC = 60;
/** A phone that was refused tries to register again after this. */
const TRY_AGAIN_MS = 2_000;
const OFFLINE_LOOK_MS = 250;

/** One call of the plan as it went, with what each side did. */
export class Conversation {
  readonly plan: CallPlan;
  caller: PhoneCall | undefined;
  /** Every phone of the callee that was called. */
  readonly callees: PhoneCall[] = [];
  beganMs = 0;
  /** The caller heard that it rings. */
  rangMs: number | undefined;
  answeredMs: number | undefined;
  acknowledgedMs: number | undefined;
  /** When a person ended it, and who. */
  hangUp: { readonly by: Side; readonly atMs: number } | undefined;
  cancelledMs: number | undefined;
  /** Phones of the callee that began to ring, or answered, and when. */
  calleeRangMs: number | undefined;
  calleeAnsweredMs: number | undefined;
  refusedMs: number | undefined;
  /** Whose REFER is under way. */
  transferredBy: PhoneCall | undefined;
  readonly holders = new Set<Side>();
  readonly pressed = { caller: 0, callee: 0 };
  /** Requests of one phone that overtake each other are refused (RFC 3261 §12.2.2): it sends the next when the last one is answered. */
  readonly asking: Record<Side, Promise<unknown>> = { caller: Promise.resolve(), callee: Promise.resolve() };
  /** Offers under way, and when the last one ended. */
  offers = 0;
  lastOfferMs = 0;
  /** What should not have happened, as one of the phones saw it. */
  readonly surprises: string[] = [];

  constructor(plan: CallPlan) {
    this.plan = plan;
  }

  /** The phones of the callee that answered and were acknowledged. Of two that answered at once one is told that it was too late. */
  readonly connected: PhoneCall[] = [];

  /** The phone that talks; undefined while it is not yet clear which. */
  get callee(): PhoneCall | undefined {
    const left = this.connected.filter((call) => call.end === undefined);
    return left.length > 1 ? undefined : (left[0] ?? this.connected.at(-1));
  }

  acknowledged(call: PhoneCall, nowMs: number): void {
    if (!this.connected.includes(call)) this.connected.push(call);
    this.acknowledgedMs ??= nowMs;
  }

  get established(): boolean {
    return this.answeredMs !== undefined && this.acknowledgedMs !== undefined;
  }

  get over(): boolean {
    return this.caller?.end !== undefined && this.callees.every((call) => call.end !== undefined);
  }

  get name(): string {
    const { n, from, to } = this.plan;
    return `call ${n} (${from} to ${to})`;
  }
}

/** Phones that register and call each other as the plan says. Everything they do is timed by the world's clock. */
export class Crowd {
  readonly phones: Phone[] = [];
  readonly conversations: Conversation[];
  readonly surprises: string[] = [];
  readonly #world: World;
  readonly #random: Random;

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#random = seededRandom(plan.seed + 0xc0de);
    this.conversations = plan.calls.map((call) => new Conversation(call));
  }

  async open(plan: Plan): Promise<void> {
    for (const {
      user,
      registersAtMs,
      transport = 'udp',
      edge = 'edge1',
      reliable,
      sessionSec,
      endToEnd = false,
    } of plan.phones) {
      const phone = await simPhone(
        this.#world,
        user,
        {
          answer: { mode: 'silent' },
          recoverAfterMs: TRY_AGAIN_MS,
          random: this.#random,
          transport,
          servers: [edgeAddress(edge)],
          reliable: reliable === true ? 'supported' : 'no',
          ...(sessionSec === undefined ? {} : { sessionTimer: { intervalSec: sessionSec, minSec: 90 } }),
        },
        endToEnd,
      );
      const device = this.phones.filter((other) => other.options.user === user).length;
      this.phones.push(phone);
      phone.calls.each((call) => this.#rings(call, device));
      this.#after(registersAtMs, () => void this.#register(phone));
    }
    for (const conversation of this.conversations) {
      this.#after(conversation.plan.atMs, () => void this.#call(conversation));
    }
  }

  async #register(phone: Phone): Promise<void> {
    let isRegistered = false;
    try {
      isRegistered = (await phone.tryRegister(REGISTER_SEC)).every(({ status }) => status < 300);
    } catch {
      // Nobody listens there just now.
    }
    if (!isRegistered) this.#after(TRY_AGAIN_MS, () => void this.#register(phone));
  }

  /** It has a way to its edge, and nobody would try to call, hold or hang up with one that says it has no service. */
  #isOnline(phone: Phone | undefined): boolean {
    const registration = phone?.registrations[0];
    return registration?.registered === true && !registration.flow.closed;
  }

  /** `act` as soon as that phone has service. */
  #onceOnline(call: PhoneCall, act: () => void): void {
    if (call.end !== undefined) return;
    if (this.#isOnline(this.#phoneOf(call))) act();
    else this.#after(OFFLINE_LOOK_MS, () => this.#onceOnline(call, act));
  }

  // --- the caller -----------------------------------------------------------------------------------------------------

  async #call(conversation: Conversation): Promise<void> {
    const { plan } = conversation;
    const phone = this.phones.find(({ options }) => options.user === plan.from);
    if (phone === undefined) return;
    if (!this.#isOnline(phone)) {
      this.#after(OFFLINE_LOOK_MS, () => void this.#call(conversation));
      return;
    }
    conversation.beganMs = this.#nowMs;
    const call = await phone.call(plan.to, {
      offer: plan.lateOffer ? 'none' : 'plain',
      headers: [{ name: 'Session-ID', value: `${sessionOf(plan.n)};remote=${'0'.repeat(32)}` }],
    });
    conversation.caller = call;
    call.events.each((event) => {
      switch (event.type) {
        case 'provisional':
          if (event.status >= 180) conversation.rangMs ??= this.#nowMs;
          return;
        case 'answered':
          this.#answered(conversation, call);
          return;
        case 'ended':
          this.#ended(conversation, call, 'caller');
          return;
        default:
          return;
      }
    });
    if (plan.cancelAfterMs !== undefined) {
      this.#after(plan.cancelAfterMs, () => {
        if (conversation.answeredMs !== undefined || call.end !== undefined) return;
        conversation.cancelledMs = this.#nowMs;
        call.cancel();
      });
    }
  }

  #answered(conversation: Conversation, call: PhoneCall): void {
    conversation.answeredMs = this.#nowMs;
    const { talkMs, hangsUp, holds, digits = [], transfer } = conversation.plan;
    if (transfer !== undefined)
      this.#after(transfer.afterMs, () => void this.#transfer(conversation, transfer.to));
    for (const digit of digits) {
      if (digit.afterMs < talkMs) this.#after(digit.afterMs, () => this.#press(conversation, digit.by));
    }
    for (const hold of holds) {
      if (hold.afterMs + hold.forMs < talkMs)
        this.#after(hold.afterMs, () => void this.#hold(conversation, hold));
    }
    if (conversation.cancelledMs !== undefined) {
      // The answer crossed the CANCEL: the phone itself says BYE.
      conversation.hangUp = { by: 'caller', atMs: this.#nowMs };
      return;
    }
    this.#after(talkMs, () => {
      if (hangsUp !== 'callee') this.#onceOnline(call, () => void this.#hangUp(conversation, call, 'caller'));
      if (hangsUp !== 'caller') this.#calleeHangsUp(conversation);
    });
  }

  // --- the callee -----------------------------------------------------------------------------------------------------

  #rings(call: PhoneCall, device: number): void {
    const session = header(call.invite, 'Session-ID')?.split(';')[0] ?? '';
    const conversation = this.conversations.find(({ plan }) => sessionOf(plan.n) === session);
    if (conversation === undefined) {
      this.surprises.push(`a phone was called by nobody: ${header(call.invite, 'From')}`);
      return;
    }
    conversation.callees.push(call);
    call.events.each((event) => {
      if (event.type === 'acknowledged') this.#acknowledged(conversation, call);
      if (event.type === 'ended') this.#ended(conversation, call, 'callee');
    });
    const { callee, ringMs, earlyMedia } = conversation.plan;
    // Two phones of a person do nearly the same at nearly the same time.
    const actMs = ringMs + device * randomBelow(this.#random, 60);
    switch (callee) {
      case 'is-busy':
        conversation.refusedMs = this.#nowMs;
        call.busy();
        return;
      case 'does-not-answer':
        this.#ring(conversation, call, false);
        return;
      case 'declines':
        this.#ring(conversation, call, false);
        this.#after(actMs, () => {
          if (call.end !== undefined) return;
          conversation.refusedMs = this.#nowMs;
          call.decline();
        });
        return;
      case 'answers':
        this.#ring(conversation, call, earlyMedia);
        this.#after(actMs, () => {
          if (call.end !== undefined) return;
          conversation.calleeAnsweredMs ??= this.#nowMs;
          call.answer();
        });
        return;
    }
  }

  #acknowledged(conversation: Conversation, call: PhoneCall): void {
    const { transferredBy } = conversation;
    conversation.acknowledged(call, this.#nowMs);
    if (transferredBy === undefined || transferredBy === call) return;
    // Whoever held the caller is out, and nobody does any more.
    conversation.transferredBy = undefined;
    conversation.holders.delete('callee');
    conversation.offers--;
    conversation.lastOfferMs = this.#nowMs;
  }

  #ring(conversation: Conversation, call: PhoneCall, earlyMedia: boolean): void {
    conversation.calleeRangMs ??= this.#nowMs;
    if (earlyMedia) call.progress();
    else call.ring();
  }

  /** RFC 3261 §15: not before the ACK. */
  #calleeHangsUp(conversation: Conversation): void {
    const { callee } = conversation;
    if (callee !== undefined)
      this.#onceOnline(callee, () => void this.#hangUp(conversation, callee, 'callee'));
    else if (!conversation.over) this.#after(100, () => this.#calleeHangsUp(conversation));
  }

  // --- both -----------------------------------------------------------------------------------------------------------

  async #hangUp(conversation: Conversation, call: PhoneCall, by: Side): Promise<void> {
    if (call.end !== undefined) return;
    conversation.hangUp ??= { by, atMs: this.#nowMs };
    const response = await call.bye();
    // A BYE that crosses the other side's, or comes again because its 200 was lost with a zone, finds no call any more (RFC 3261 §15.1.1
    // takes it for an answer as good). It must have been heard, though.
    const other = by === 'caller' ? conversation.connected.at(-1) : conversation.caller;
    const isOver = conversation.plan.hangsUp === 'both' || other?.end?.how === 'bye';
    const crossed =
      response !== undefined && isOver && (response.status === 481 || isOfBrokenStream(response));
    if (response !== undefined && response.status >= 300 && !crossed) {
      conversation.surprises.push(`the ${by}'s BYE got ${tell(response)}`);
    }
  }

  async #hold(conversation: Conversation, { by, forMs }: CallPlan['holds'][number]): Promise<void> {
    const call = by === 'caller' ? conversation.caller : conversation.callee;
    // Whoever holds already, or has not been acknowledged, does not press the key.
    if (call === undefined || !conversation.established || conversation.holders.has(by)) return;
    if (!this.#isOnline(this.#phoneOf(call))) return;
    if (!(await this.#offer(conversation, by, call, 'hold', () => call.hold()))) return;
    this.#after(forMs, () =>
      this.#onceOnline(call, () => void this.#offer(conversation, by, call, 'resume', () => call.resume())),
    );
  }

  /** Until the other one has answered nobody need hear anybody. */
  async #transfer(conversation: Conversation, to: string): Promise<void> {
    const { callee } = conversation;
    if (callee === undefined || !conversation.established || conversation.hangUp !== undefined) return;
    if (!this.#isOnline(this.#phoneOf(callee))) return;
    conversation.transferredBy = callee;
    conversation.offers++;
    const response = await callee.refer(`sip:${to}@demo.twinline.test`);
    if (response.status < 300) return;
    conversation.transferredBy = undefined;
    conversation.offers--;
    if (!isOfBrokenStream(response) && conversation.hangUp === undefined)
      conversation.surprises.push(`the callee's REFER got ${tell(response)}`);
  }

  /** A digit goes to the other phone, once. */
  #press(conversation: Conversation, by: Side): void {
    const call = by === 'caller' ? conversation.caller : conversation.callee;
    if (call === undefined || !conversation.established || conversation.hangUp !== undefined) return;
    if (!this.#isOnline(this.#phoneOf(call))) return;
    conversation.pressed[by]++;
    const asked = conversation.asking[by].then(async () => {
      // What is sent after the BYE can overtake it, and the BYE would be refused for its lower CSeq.
      if (call.end !== undefined || conversation.hangUp !== undefined) return;
      const response = await call.info('5');
      if (response.status >= 300 && !isOfBrokenStream(response) && conversation.hangUp === undefined)
        conversation.surprises.push(`the ${by}'s digit got ${tell(response)}`);
    });
    conversation.asking[by] = asked;
  }

  #phoneOf(call: PhoneCall): Phone | undefined {
    return this.phones.find(
      ({ calls, activeCalls }) => activeCalls.includes(call) || calls.items.includes(call),
    );
  }

  async #offer(
    conversation: Conversation,
    by: Side,
    call: PhoneCall,
    what: 'hold' | 'resume',
    offer: () => Promise<SipResponse>,
  ): Promise<boolean> {
    if (conversation.hangUp !== undefined) return false;
    if (what === 'hold') conversation.holders.add(by);
    conversation.offers++;
    // Others may have queued meanwhile.
    for (let before: unknown; before !== conversation.asking[by]; ) {
      before = conversation.asking[by];
      await before;
    }
    if (call.end !== undefined || conversation.hangUp !== undefined) {
      conversation.offers--;
      return false;
    }
    const first = offer();
    conversation.asking[by] = first;
    let response = await first;
    while (isOfBrokenStream(response) && call.end === undefined) {
      // The stream ended under it: whoever pressed the key presses it again when there is service.
      await new Promise<void>((resolve) => this.#onceOnline(call, resolve));
      response = await offer();
    }
    conversation.offers--;
    conversation.lastOfferMs = this.#nowMs;
    if (what === 'resume' || response.status >= 300) conversation.holders.delete(by);
    if (response.status >= 300 && conversation.hangUp === undefined) {
      conversation.surprises.push(`the ${by}'s ${what} got ${tell(response)}`);
    }
    return response.status < 300;
  }

  #ended(conversation: Conversation, call: PhoneCall, side: Side): void {
    const end = call.end;
    this.#world.history.add(
      `${conversation.name}: the ${side}'s end: ${end?.by} ${end?.how} ${end?.status ?? ''}`,
    );
    if (side === 'callee' && this.#wasTooLate(conversation, call)) return;
    if (!conversation.established || conversation.hangUp !== undefined) return;
    conversation.surprises.push(
      `nobody hung up, and yet the ${side}'s call ended: by ${end?.by === 'us' ? 'itself' : 'its peer'}, ${end?.how} ${end?.status ?? ''}`,
    );
  }

  /** Another phone of the callee was quicker; the caller talks to that one. */
  #wasTooLate(conversation: Conversation, call: PhoneCall): boolean {
    return (
      !conversation.connected.includes(call) ||
      conversation.callees.some((other) => other !== call && isUp(other))
    );
  }

  #after(delayMs: number, action: () => void): void {
    this.#world.clock.after(delayMs, action);
  }

  get #nowMs(): number {
    return this.#world.clock.nowMs();
  }
}

export const sessionOf = (n: number): string => n.toString(16).padStart(32, 'c');

/** It has answered and not ended. */
const isUp = (call: PhoneCall): boolean => call.end === undefined && call.leg?.dialog.state === 'confirmed';

/** RFC 3261 §8.1.3.1: the phone's own word that it could not send. */
const isOfBrokenStream = ({ status, reason }: SipResponse): boolean =>
  status === 503 && reason.startsWith('local transport-error');

const tell = ({ status, reason }: SipResponse): string => `${status} ${reason}`;
