import { randomText, type Timer } from '../../src/base/index.ts';
import {
  contactsOf,
  createRequest,
  cseqOf,
  header,
  keepAliveDelayMs,
  numberOf,
  PONG_WAIT_MS,
  parseFlowTimer,
  type SipRequest,
  type SipResponse,
} from '../../src/sip/index.ts';
import { newTag, type PhoneCore } from './phone-core.ts';
import type { Endpoint, PhoneFlow } from './phone-transport.ts';

/** Seconds a phone asks for by default. */
const EXPIRES_SEC = 300;

/**
 * One binding over one flow: registered, refreshed before it expires, removed; kept alive by CRLFs (RFC 5626 §4.4). A phone with outbound
 * has one for each server (`reg-id` 1, 2).
 */
export class Registration {
  readonly regId: number;
  server: Endpoint;
  flow: PhoneFlow;
  /** What the registrar granted; undefined while not registered. */
  expiresSec: number | undefined;
  /** All 2xx, for tests of what a registrar lists. */
  lastResponse: SipResponse | undefined;
  refreshes = 0;
  /** It has asked again and waits for the answer. */
  refreshing = false;
  readonly #core: PhoneCore;
  readonly #contact: (flow: PhoneFlow, regId: number) => string;
  readonly #callId: string;
  readonly #fromTag: string;
  readonly #onDead: (registration: Registration, reason: string) => void;
  #cseq = 0;
  #askSec = EXPIRES_SEC;
  #refresh: Timer | undefined;
  #keepAlive: Timer | undefined;
  #pongDue: Timer | undefined;

  constructor(
    core: PhoneCore,
    init: {
      readonly regId: number;
      readonly server: Endpoint;
      readonly flow: PhoneFlow;
      readonly contact: (flow: PhoneFlow, regId: number) => string;
      /** The registrar or the network is gone: a refresh failed or no pong came. */
      readonly onDead: (registration: Registration, reason: string) => void;
    },
  ) {
    this.#core = core;
    this.regId = init.regId;
    this.server = init.server;
    this.flow = init.flow;
    this.#contact = init.contact;
    this.#onDead = init.onDead;
    this.#callId = randomText(core.random, 20);
    this.#fromTag = newTag(core.random);
  }

  get registered(): boolean {
    return this.expiresSec !== undefined;
  }

  /** Registers or refreshes. Resolves with the final response, also with a refusal or a local 408 or 503. */
  async register(expiresSec = this.#askSec): Promise<SipResponse> {
    this.#askSec = expiresSec;
    const response = await this.#send([
      { name: 'Contact', value: this.#contact(this.flow, this.regId) },
      { name: 'Expires', value: String(expiresSec) },
    ]);
    if (response.status >= 300) {
      if (response.status === 423) {
        const minSec = numberOf(response, 'Min-Expires');
        if (minSec !== undefined && minSec > expiresSec) return this.register(minSec);
      }
      this.expiresSec = undefined;
      return response;
    }
    this.lastResponse = response;
    this.expiresSec = this.#grantedSec(response) ?? expiresSec;
    this.#armRefresh();
    this.#armKeepAlive(response);
    return response;
  }

  /** Removes this binding; with `all` every binding of the user (`Contact: *`). */
  async unregister(all = false): Promise<SipResponse> {
    this.#disarm();
    this.expiresSec = undefined;
    const contact = all ? '*' : this.#contact(this.flow, this.regId);
    return this.#send([
      { name: 'Contact', value: contact },
      { name: 'Expires', value: '0' },
    ]);
  }

  /** A REGISTER without Contact: the 200 lists the bindings. */
  fetch(): Promise<SipResponse> {
    return this.#send([]);
  }

  pong(): void {
    this.#pongDue?.cancel();
    this.#pongDue = undefined;
  }

  close(): void {
    this.#disarm();
    this.expiresSec = undefined;
  }

  #send(headers: readonly { readonly name: string; readonly value: string }[]): Promise<SipResponse> {
    const { options } = this.#core;
    const address = `<sip:${options.user}@${options.domain}>`;
    const supported = ['path', ...(options.instanceId === undefined ? [] : ['outbound'])];
    const request = createRequest({
      method: 'REGISTER',
      uri: `sip:${options.domain}`,
      headers: [
        { name: 'Via', value: this.#core.via(this.flow) },
        { name: 'Max-Forwards', value: '70' },
        { name: 'From', value: `${address};tag=${this.#fromTag}` },
        { name: 'To', value: address },
        { name: 'Call-ID', value: this.#callId },
        { name: 'CSeq', value: `${++this.#cseq} REGISTER` },
        { name: 'Supported', value: supported.join(', ') },
        ...(options.userAgent === undefined ? [] : [{ name: 'User-Agent', value: options.userAgent }]),
        ...headers,
      ],
    });
    return this.#exchange(request, 0);
  }

  #exchange(request: SipRequest, attempt: number): Promise<SipResponse> {
    return new Promise((resolve) => {
      this.#core.transactions.send(request, this.flow, {
        response: (response) => {
          if (response.status < 200) return;
          // Twice: the nonce of the first answer may be stale.
          if ((response.status === 401 || response.status === 407) && attempt < 2) {
            const again = this.#core.authorize(request, response, this.flow, this.#cseq + 1);
            if (again !== undefined) {
              this.#cseq = cseqOf(again)!.seq;
              resolve(this.#exchange(again, attempt + 1));
              return;
            }
          }
          resolve(response);
        },
        failed: (why) => {
          const status = why === 'timeout' ? 408 : 503;
          resolve({ kind: 'response', status, reason: `local ${why}`, headers: request.headers, body: '' });
        },
      });
    });
  }

  #grantedSec(response: SipResponse): number | undefined {
    const ours = this.#contact(this.flow, this.regId);
    const contacts = contactsOf(response);
    const own =
      contacts.find(({ uri }) => ours.includes(`<${uri}>`)) ??
      (contacts.length === 1 ? contacts[0] : undefined);
    const granted = own?.params['expires'];
    return typeof granted === 'string' && /^\d{1,9}$/.test(granted)
      ? Number(granted)
      : numberOf(response, 'Expires');
  }

  #armRefresh(): void {
    this.#refresh?.cancel();
    // As phones do: with a tenth in reserve, and never in the last 5 s of a long one.
    const delayMs = Math.max(500, Math.min(this.expiresSec! * 900, (this.expiresSec! - 5) * 1000));
    this.#refresh = this.#core.clock.after(delayMs, () => {
      this.refreshes++;
      this.refreshing = true;
      void this.register().then((response) => {
        this.refreshing = false;
        if (response.status >= 300)
          this.#onDead(this, `the refresh got ${response.status} ${response.reason}`);
      });
    });
  }

  #armKeepAlive(response: SipResponse): void {
    this.#keepAlive?.cancel();
    const { keepAliveMs, instanceId } = this.#core.options;
    if (keepAliveMs === 0) return;
    const flowTimerSec = parseFlowTimer(header(response, 'Flow-Timer'));
    const { clock, random } = this.#core;
    const transport = this.flow.reliable ? 'stream' : 'udp';
    const again = (): void => {
      const delayMs = keepAliveMs ?? keepAliveDelayMs(transport, flowTimerSec, random);
      this.#keepAlive = clock.after(delayMs, () => {
        this.flow.ping();
        // RFC 5626 §4.4.1: only who agreed to outbound must answer; UDP's CRLF keeps a NAT open and is not answered.
        if (this.flow.reliable && instanceId !== undefined && flowTimerSec !== undefined) {
          this.#pongDue ??= clock.after(PONG_WAIT_MS, () => this.#onDead(this, 'no answer to a keep-alive'));
        }
        again();
      });
    };
    again();
  }

  #disarm(): void {
    this.#refresh?.cancel();
    this.#keepAlive?.cancel();
    this.#pongDue?.cancel();
    this.#pongDue = undefined;
  }
}
