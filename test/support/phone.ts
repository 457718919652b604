import { type Clock, type Random, randomText } from '../../src/base/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import {
  createResponse,
  cseqOf,
  hasOption,
  header,
  headerValues,
  parseMessage,
  parseUri,
  RFC_TIMES,
  type SipHeader,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  tagOf,
  toOf,
} from '../../src/sip/index.ts';
import { PhoneCall } from './phone-call.ts';
import { CalleeInvite } from './phone-callee.ts';
import { CallerInvite, suitesOf } from './phone-caller.ts';
import { newTag, type PhoneCore } from './phone-core.ts';
import { authorize } from './phone-digest.ts';
import { plainMedia } from './phone-media-plain.ts';
import { Registration } from './phone-registration.ts';
import { Seen, tellMessage } from './phone-seen.ts';
import { type Incoming, PhoneTransactions } from './phone-transactions.ts';
import { type Endpoint, type PhoneFlow, type PhoneSockets, PhoneTransport } from './phone-transport.ts';
import type { AnswerMode, Offer, PhoneMedia, PhoneOptions, Received } from './phone-types.ts';

export type { PhoneCall } from './phone-call.ts';
export { NotSeen } from './phone-seen.ts';
export type * from './phone-types.ts';

const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK';
const KNOWN_OPTIONS = new Set(['100rel', 'timer', 'outbound', 'path']);

export interface CallOptions {
  readonly offer?: Offer;
  /** Further headers of the INVITE. */
  readonly headers?: readonly SipHeader[];
}

/**
 * A SIP user agent for tests and load, on real sockets and on the machines of `src/sip`. Everything it receives is kept in order;
 * everything can be awaited, and a wait that fails says what came instead. `await using phone = await Phone.open({…})`.
 */
export class Phone implements PhoneCore {
  readonly options: PhoneOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly waitMs: number;
  readonly transactions: PhoneTransactions;
  readonly transport: PhoneSockets;
  /** Every SIP message that came, repetitions too. */
  readonly received: Seen<Received>;
  /** Every incoming call. */
  readonly calls: Seen<PhoneCall>;
  /** What happened to flows: `closed: …`, `recovered`, `dead: …`. */
  readonly flowEvents: Seen<string>;
  readonly registrations: Registration[] = [];
  /** How it answers from now on. */
  answerMode: AnswerMode;
  readonly #active = new Map<string, PhoneCall>();
  readonly #host: string;
  #incomingTaken = 0;
  #closed = false;

  static async open(options: PhoneOptions): Promise<Phone> {
    const phone = new Phone(options);
    await phone.transport.open();
    return phone;
  }

  private constructor(options: PhoneOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? systemRandom;
    this.waitMs = options.waitMs ?? 5000;
    this.answerMode = options.answer ?? { mode: 'auto' };
    // Below `.invalid` it would be taken for a browser, which it is not: it knows neither ICE nor DTLS.
    this.#host = `${randomText(this.random, 12)}.phones.example`;
    this.received = new Seen<Received>(options.user, ({ message }) => tellMessage(message));
    this.calls = new Seen<PhoneCall>(options.user, (call) => `a call from ${header(call.invite, 'From')}`);
    this.flowEvents = new Seen<string>(options.user, (event) => event);
    this.transactions = new PhoneTransactions(this.clock, options.times ?? RFC_TIMES, {
      request: (incoming) => this.#request(incoming),
      unacknowledged: () => {},
      stray: () => {},
    });
    const newTransport = options.newTransport ?? ((of, handlers) => new PhoneTransport(of, handlers));
    this.transport = newTransport(
      { transport: 'udp', bind: '127.0.0.1', ...options },
      {
        message: (bytes, flow) => this.#message(bytes, flow),
        pong: (flow) => {
          for (const registration of this.registrations) if (registration.flow === flow) registration.pong();
        },
        closed: (flow, reason) => this.#flowClosed(flow, reason),
      },
    );
  }

  /** Where this phone is reached without a server: UDP, or after `listen`. */
  uri(): string {
    const place = this.transport.listening;
    if (place === undefined) throw new Error(`${this.options.user} listens nowhere: call listen() first`);
    return `sip:${this.options.user}@${hostPort(place)}${this.#transportParam()}`;
  }

  /** Accepts connections over its transport, for calls without a server. */
  listen(certificate?: { readonly key: string; readonly cert: string }): Promise<Endpoint> {
    return this.transport.listen(certificate);
  }

  // ---- registering

  /** Registers over a flow to each server. Resolves with the responses; rejects if a server refused. */
  async register(expiresSec?: number): Promise<SipResponse[]> {
    const responses = await this.tryRegister(expiresSec);
    const refused = responses.find((response) => response.status >= 300);
    if (refused !== undefined) {
      throw new Error(`${this.options.user} was not registered: ${refused.status} ${refused.reason}`);
    }
    return responses;
  }

  /** The same, with refusals as values. */
  async tryRegister(expiresSec?: number): Promise<SipResponse[]> {
    const servers = this.options.servers ?? [];
    if (servers.length === 0) throw new Error(`${this.options.user} has no server to register at`);
    const wanted = this.options.instanceId === undefined ? servers.slice(0, 1) : servers;
    for (const [at, server] of wanted.entries()) {
      if (this.registrations[at] !== undefined) continue;
      const flow = await this.transport.flowTo(server);
      this.registrations[at] = new Registration(this, {
        regId: at + 1,
        server,
        flow,
        contact: (over, regId) => this.#registeredContact(over, regId),
        onDead: (registration, reason) => this.#dead(registration, reason),
      });
    }
    return Promise.all(this.registrations.map((registration) => registration.register(expiresSec)));
  }

  /**
   * Stays registered at the first of its servers that takes it, in their order (RFC 3263 §4.3): whenever a refresh fails it goes on with
   * the next, after the last with the first. Resolves when it is registered for the first time; `flowEvents` tells each further `registered at …`.
   */
  async registerWhereServed(expiresSec?: number, first = 0): Promise<SipResponse> {
    const servers = this.options.servers ?? [];
    for (let round = 0; ; round++) {
      for (const [at, server] of servers.entries()) {
        if (round === 0 && at < first) continue;
        if (this.#closed) throw new Error(`${this.options.user} was closed`);
        const flow = await this.transport.flowTo(server).catch(() => undefined);
        if (flow === undefined) continue;
        const registration = new Registration(this, {
          regId: 1,
          server,
          flow,
          contact: (over, regId) => this.#registeredContact(over, regId),
          onDead: (_, reason) => {
            this.flowEvents.add(`dead: ${reason}`);
            registration.close();
            void this.registerWhereServed(expiresSec, (at + 1) % servers.length).catch(() => {});
          },
        });
        const response = await registration.register(expiresSec);
        if (response.status < 300) {
          this.registrations[0]?.close();
          this.registrations[0] = registration;
          this.flowEvents.add(`registered at ${server.address}`);
          return response;
        }
        this.flowEvents.add(`not at ${server.address}: ${response.status} ${response.reason}`);
        if (at === servers.length - 1)
          await new Promise<void>((resolve) => this.clock.after(1000, () => resolve()));
      }
    }
  }

  /** The server that it is registered at. */
  get registeredAt(): Endpoint | undefined {
    return this.registrations.find(({ registered }) => registered)?.server;
  }

  async unregister(options: { readonly all?: boolean } = {}): Promise<SipResponse[]> {
    return Promise.all(this.registrations.map((registration) => registration.unregister(options.all)));
  }

  // ---- calling

  /** Calls a user of the domain (`1002`) or a URI (`sip:…`). Resolves when the INVITE has left. */
  async call(target: string, options: CallOptions = {}): Promise<PhoneCall> {
    const uri = /^sips?:/i.test(target) ? target : `sip:${target}@${this.options.domain}`;
    const flow = await this.flowFor(uri);
    const offer = options.offer ?? this.options.offer ?? 'plain';
    const call = new PhoneCall(this, 'out', randomText(this.random, 24), () =>
      this.#active.delete(call.callId),
    );
    call.media = await this.newMedia(offer);
    this.#active.set(call.callId, call);
    call.caller = new CallerInvite(call, this, {
      uri,
      offer,
      media: call.media,
      flow,
      headers: options.headers ?? [],
    });
    call.caller.send();
    return call;
  }

  /** The next incoming call: each is given out once, in order. */
  async incoming(waitMs = this.waitMs): Promise<PhoneCall> {
    const from = this.#incomingTaken;
    this.#incomingTaken++;
    try {
      return await this.calls.first('an incoming call', () => true, {
        waitMs,
        from,
        alsoTell: () => this.received.items.slice(-25).map(({ message }) => tellMessage(message)),
      });
    } catch (error) {
      this.#incomingTaken--;
      throw error;
    }
  }

  /** The first message that came (also before now, unless `from: phone.received.next`) and matches. */
  async message<M extends SipMessage = SipMessage>(
    matches: (message: SipMessage) => boolean,
    options: { readonly what?: string; readonly waitMs?: number; readonly from?: number } = {},
  ): Promise<M> {
    const what = options.what ?? `a message where ${matches.toString()}`;
    const found = await this.received.first(what, ({ message }) => matches(message), {
      waitMs: options.waitMs ?? this.waitMs,
      ...(options.from === undefined ? {} : { from: options.from }),
    });
    return found.message as M;
  }

  /** How many messages came that match. */
  count(matches: (message: SipMessage) => boolean): number {
    return this.received.items.filter(({ message }) => matches(message)).length;
  }

  get activeCalls(): readonly PhoneCall[] {
    return [...this.#active.values()];
  }

  /** Sends a request out of any dialog as it stands (Via and CSeq included) and resolves with the final response. */
  async send(request: SipRequest, over?: PhoneFlow): Promise<SipResponse> {
    const flow = over ?? (await this.flowFor(request.uri));
    return new Promise((resolve, reject) => {
      this.transactions.send(request, flow, {
        response: (response) => response.status >= 200 && resolve(response),
        failed: (why) => reject(new Error(`${request.method} of ${this.options.user}: ${why}`)),
      });
    });
  }

  /** Ends everything at once, without a word to the peers. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const registration of this.registrations) registration.close();
    for (const call of this.#active.values()) call.close();
    this.transactions.close();
    await this.transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---- what calls and registrations ask

  told(callId: string): readonly string[] {
    return this.received.items
      .filter(({ message }) => header(message, 'Call-ID') === callId)
      .slice(-25)
      .map(({ message }) => tellMessage(message));
  }

  via(flow: PhoneFlow): string {
    const sentBy = isWebSocket(flow) ? this.#host : hostPort(flow.local);
    return `SIP/2.0/${flow.transport.toUpperCase()} ${sentBy};branch=z9hG4bK${randomText(this.random, 20)};rport`;
  }

  contact(flow: PhoneFlow): string {
    const outbound = this.options.instanceId === undefined ? '' : ';ob';
    const features = (this.options.features ?? []).map((feature) => `;${feature}`).join('');
    return `<${this.#contactUri(flow)}${outbound}>${features}`;
  }

  async flowFor(uri: string): Promise<PhoneFlow> {
    const registered = this.registrations.find(({ flow, registered }) => registered && !flow.closed);
    if (registered !== undefined) return registered.flow;
    const [server] = this.options.servers ?? [];
    if (server !== undefined) return this.transport.flowTo(server);
    const parsed = parseUri(uri);
    if (parsed === undefined || parsed.scheme === 'tel') throw new Error(`no way to ${uri}`);
    const address = parsed.host.replace(/^\[|\]$/g, '');
    return this.transport.flowTo({ address, port: parsed.port ?? 5060 });
  }

  capabilities(): readonly SipHeader[] {
    const { reliable = 'no', sessionTimer, instanceId, userAgent } = this.options;
    const supported = [
      ...(reliable === 'no' ? [] : ['100rel']),
      ...(sessionTimer === undefined ? [] : ['timer']),
      ...(instanceId === undefined ? [] : ['outbound']),
    ];
    return [
      { name: 'Allow', value: ALLOW },
      ...(supported.length === 0 ? [] : [{ name: 'Supported', value: supported.join(', ') }]),
      ...(userAgent === undefined ? [] : [{ name: 'User-Agent', value: userAgent }]),
    ];
  }

  newMedia(offer: Offer = this.options.offer ?? 'plain'): Promise<PhoneMedia> {
    const make = this.options.media ?? plainMedia;
    return make({ address: this.options.bind ?? '127.0.0.1', srtp: suitesOf(offer) });
  }

  authorize(
    request: SipRequest,
    challenge: SipResponse,
    flow: PhoneFlow,
    cseq: number,
  ): SipRequest | undefined {
    return authorize(request, challenge, this.options, {
      cseq,
      via: this.via(flow),
      cnonce: randomText(this.random, 16),
    });
  }

  // ---- inside

  #message(bytes: Uint8Array, flow: PhoneFlow): void {
    if (this.#closed) return;
    const parsed = parseMessage(bytes);
    if (!parsed.ok) {
      this.flowEvents.add(`unreadable message: ${parsed.reason}`);
      return;
    }
    const { message } = parsed;
    const { transport, remote } = flow;
    this.received.add({ message, transport, from: remote, atMs: this.clock.nowMs() });
    if (message.kind === 'response') this.transactions.receiveResponse(message, flow);
    else this.transactions.receiveRequest(message, flow);
  }

  #request(incoming: Incoming): void {
    const { request } = incoming;
    const callId = header(request, 'Call-ID') ?? '';
    const call = this.#active.get(callId);
    const respond = (status: number, headers: readonly SipHeader[] = []): void => {
      if (request.method !== 'ACK') {
        incoming.respond(createResponse(request, status, { toTag: newTag(this.random), headers }));
      }
    };
    if (cseqOf(request) === undefined) {
      respond(400);
      return;
    }
    if (request.method === 'CANCEL') {
      const cancelled = this.transactions.cancelled(request);
      respond(cancelled === undefined ? 481 : 200);
      if (cancelled !== undefined && cancelled.status === undefined) call?.cancelledByPeer();
      return;
    }
    const unknown = headerValues(request, 'Require').filter((tag) => !KNOWN_OPTIONS.has(tag.toLowerCase()));
    if (unknown.length > 0) {
      respond(420, [{ name: 'Unsupported', value: unknown.join(', ') }]);
      return;
    }
    if (tagOf(toOf(request)) !== undefined) {
      if (call === undefined) {
        respond(481);
        return;
      }
      call.receive(incoming);
      return;
    }
    switch (request.method) {
      case 'INVITE':
        // §8.2.2.2: the same request by another way, merged at us.
        if (call !== undefined) {
          respond(482);
          return;
        }
        void this.#invited(incoming, callId);
        break;
      case 'OPTIONS':
        respond(200, this.capabilities());
        break;
      case 'NOTIFY':
      case 'MESSAGE':
        respond(200);
        break;
      default:
        respond(request.method === 'ACK' ? 200 : 481);
    }
  }

  async #invited(incoming: Incoming, callId: string): Promise<void> {
    incoming.respond(createResponse(incoming.request, 100));
    const localTag = newTag(this.random);
    const requires = hasOption(incoming.request, 'Require', '100rel');
    if (requires && (this.options.reliable ?? 'no') === 'no') {
      const headers = [{ name: 'Unsupported', value: '100rel' }];
      incoming.respond(createResponse(incoming.request, 420, { toTag: localTag, headers }));
      return;
    }
    const call = new PhoneCall(this, 'in', callId, () => this.#active.delete(callId));
    this.#active.set(callId, call);
    let media: PhoneMedia;
    try {
      media = await this.newMedia();
    } catch (error) {
      this.flowEvents.add(`no media: ${String(error)}`);
      incoming.respond(createResponse(incoming.request, 500, { toTag: localTag }));
      this.#active.delete(callId);
      return;
    }
    if (this.#closed) return media.close();
    call.media = media;
    call.callee = new CalleeInvite(call, this, { incoming, localTag, media });
    this.calls.add(call);
    if (call.cancelledEarly) call.callee.cancelled('cancel');
    else call.callee.act(this.answerMode);
  }

  #contactUri(flow: PhoneFlow): string {
    const { user } = this.options;
    const place = isWebSocket(flow) ? this.#host : hostPort(this.transport.listening ?? flow.local);
    return `sip:${user}@${place}${this.#transportParam()}`;
  }

  #registeredContact(flow: PhoneFlow, regId: number): string {
    const { instanceId } = this.options;
    if (instanceId === undefined) return this.contact(flow);
    return `${this.contact(flow)};reg-id=${regId};+sip.instance="<${instanceId}>"`;
  }

  #transportParam(): string {
    const { transport = 'udp' } = this.options;
    // RFC 7118 §5.2: `ws` also over TLS. TLS is asked for as `tls`, which phones and servers still do.
    return transport === 'udp' ? '' : `;transport=${transport === 'wss' ? 'ws' : transport}`;
  }

  #flowClosed(flow: PhoneFlow, reason: string): void {
    if (this.#closed) return;
    const other = this.registrations.find(
      (one) => one.flow !== flow && !one.flow.closed && one.registered,
    )?.flow;
    if (other !== undefined) flow.instead = other;
    this.transactions.flowClosed(flow);
    this.flowEvents.add(`closed: ${reason}`);
    for (const registration of this.registrations) {
      if (registration.flow === flow && registration.registered) this.#recover(registration);
    }
  }

  #dead(registration: Registration, reason: string): void {
    this.flowEvents.add(`dead: ${reason}`);
    // The end of its flow is what a registered one recovers by; one that was refused is not registered any more.
    const { flow, registered } = registration;
    const isOpen = !flow.closed && flow.reliable;
    if (isOpen) flow.destroy();
    if (!isOpen || !registered) this.#recover(registration);
  }

  /** A phone without outbound goes through its list (RFC 3263 §4.3); with it each server has its own flow. */
  #nextServer(server: Endpoint): Endpoint {
    const { servers = [], instanceId } = this.options;
    if (instanceId !== undefined) return server;
    return servers[(servers.indexOf(server) + 1) % servers.length] ?? server;
  }

  #recover(registration: Registration): void {
    registration.close();
    const { recoverAfterMs } = this.options;
    if (recoverAfterMs === undefined || this.#closed) return;
    this.clock.after(recoverAfterMs, () => {
      if (this.#closed) return;
      void (async () => {
        try {
          registration.server = this.#nextServer(registration.server);
          registration.flow = await this.transport.flowTo(registration.server, { fresh: true });
          const { status } = await registration.register();
          if (status < 300) this.flowEvents.add('recovered');
          else this.#recover(registration);
        } catch {
          this.#recover(registration);
        }
      })();
    });
  }
}

const isWebSocket = (flow: PhoneFlow): boolean => flow.transport === 'ws' || flow.transport === 'wss';

const hostPort = ({ address, port }: Endpoint): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;
