import {
  cancelFor,
  confirmDialog,
  createRequest,
  cseqOf,
  dialogFromResponse,
  policyAfter422,
  type ReliableReceiver,
  receiveReliable,
  type SessionTimerPolicy,
  type SipRequest,
  type SipResponse,
  sessionTimerRequestHeaders,
  tagOf,
  toOf,
} from '../../src/sip/index.ts';
import type { PhoneCall } from './phone-call.ts';
import { newTag, type PhoneCore } from './phone-core.ts';
import { acknowledge, type DialogLeg, requestIn } from './phone-dialog.ts';
import type { ClientFailure } from './phone-transactions.ts';
import type { PhoneFlow } from './phone-transport.ts';
import type { Offer, PhoneMedia } from './phone-types.ts';

/** A fork's early dialog. */
interface Fork {
  readonly leg: DialogLeg;
  receiver: ReliableReceiver;
}

/** Three challenges in a row (proxy, registrar, stale nonce) are honest; more are a loop. */
const MAX_ATTEMPTS = 4;

/** The first INVITE of an outgoing call, until it is answered, refused or cancelled. */
export class CallerInvite {
  readonly #core: PhoneCore;
  readonly #call: PhoneCall;
  readonly #media: PhoneMedia;
  readonly #offer: Offer;
  readonly #flow: PhoneFlow;
  readonly #forks = new Map<string, Fork>();
  #request: SipRequest;
  #timerPolicy: SessionTimerPolicy | undefined;
  #attempts = 0;
  #provisional = false;
  #cancelWanted = false;
  #cancelSent = false;
  #agreed = false;
  #winner: string | undefined;
  #done = false;

  constructor(
    call: PhoneCall,
    core: PhoneCore,
    init: {
      readonly uri: string;
      readonly offer: Offer;
      readonly media: PhoneMedia;
      readonly flow: PhoneFlow;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    },
  ) {
    this.#call = call;
    this.#core = core;
    this.#media = init.media;
    this.#offer = init.offer;
    this.#flow = init.flow;
    const { options } = core;
    const display = options.displayName === undefined ? '' : `"${options.displayName}" `;
    const sdp = init.offer === 'none' ? undefined : init.media.offer({ srtp: suitesOf(init.offer) });
    this.#timerPolicy = options.sessionTimer;
    this.#request = createRequest({
      method: 'INVITE',
      uri: init.uri,
      headers: [
        { name: 'Via', value: core.via(init.flow) },
        { name: 'Max-Forwards', value: '70' },
        {
          name: 'From',
          value: `${display}<sip:${options.user}@${options.domain}>;tag=${newTag(core.random)}`,
        },
        { name: 'To', value: `<${init.uri}>` },
        { name: 'Call-ID', value: call.callId },
        { name: 'CSeq', value: '1 INVITE' },
        { name: 'Contact', value: core.contact(init.flow) },
        ...core.capabilities(),
        ...(options.reliable === 'required' ? [{ name: 'Require', value: '100rel' }] : []),
        ...(this.#timerPolicy === undefined ? [] : sessionTimerRequestHeaders(this.#timerPolicy)),
        ...init.headers,
        ...(sdp === undefined ? [] : [{ name: 'Content-Type', value: 'application/sdp' }]),
      ],
      ...(sdp === undefined ? {} : { body: sdp }),
    });
  }

  /** The INVITE as it was sent last. */
  get request(): SipRequest {
    return this.#request;
  }

  send(): void {
    this.#attempts++;
    this.#provisional = false;
    const request = this.#request;
    this.#core.transactions.send(request, this.#flow, {
      // What belongs to an attempt before (a challenge that is repeated) says nothing of the present one.
      response: (response) => {
        if (request === this.#request || response.status < 300) this.#response(response);
      },
      failed: (why) => {
        if (request === this.#request) this.#failed(why);
      },
    });
  }

  /** RFC 3261 §9.1: not before a provisional response came. */
  cancel(): void {
    if (this.#done) return;
    this.#cancelWanted = true;
    if (!this.#provisional || this.#cancelSent) return;
    this.#cancelSent = true;
    this.#core.transactions.send(cancelFor(this.#request), this.#flow, { response() {}, failed() {} });
  }

  #response(response: SipResponse): void {
    if (response.status < 200) {
      this.#provisional = true;
      if (response.status > 100 && !this.#done) this.#early(response);
      if (this.#cancelWanted) this.cancel();
    } else if (response.status < 300) this.#accepted(response);
    else if (!this.#done) this.#refused(response);
  }

  #fork(response: SipResponse): Fork | undefined {
    const tag = tagOf(toOf(response)) ?? '';
    const known = this.#forks.get(tag);
    if (known !== undefined) return known;
    const dialog = dialogFromResponse(this.#request, response);
    if (!dialog.ok) return undefined;
    const fork: Fork = { leg: { dialog: dialog.value, flow: this.#flow, acks: new Map() }, receiver: {} };
    this.#forks.set(tag, fork);
    return fork;
  }

  #early(response: SipResponse): void {
    const fork = this.#fork(response);
    const reliable = receiveReliable(fork?.receiver ?? {}, response);
    if (reliable.type === 'repeated' || reliable.type === 'early') return;
    let answer: string | undefined;
    try {
      answer = this.#negotiate(response);
    } catch {
      // The 2xx brings the same SDP, and then the call ends.
    }
    if (reliable.type === 'new' && fork !== undefined) {
      fork.receiver = reliable.receiver;
      void requestIn(this.#core, fork.leg, {
        method: 'PRACK',
        headers: [{ name: 'RAck', value: reliable.rack }],
        ...(answer === undefined ? {} : { body: answer, contentType: 'application/sdp' }),
      });
    }
    // In a dialog before the answer: BYE, UPDATE and INFO of the callee come in it.
    if (fork !== undefined) this.#call.early(fork.leg);
    this.#call.happened({ type: 'provisional', status: response.status });
  }

  /**
   * Takes the SDP of a response: our answer to it if it is an offer (we sent none), undefined otherwise. An offer in an unreliable
   * provisional response is none (RFC 3262 §5), the 2xx repeats it.
   */
  #negotiate(response: SipResponse): string | undefined {
    if (response.body === '' || this.#agreed) return undefined;
    if (this.#offer !== 'none') {
      // The SDP of an early answer and of the 2xx is the same (§13.2.1): the first counts, except that forks have their own.
      this.#media.apply(response.body);
      if (response.status >= 200) this.#agreed = true;
      return undefined;
    }
    if (response.status < 200 && !response.headers.some(({ name }) => name === 'RSeq')) return undefined;
    const answer = this.#media.answer(response.body);
    this.#agreed = true;
    return answer;
  }

  #accepted(response: SipResponse): void {
    const tag = tagOf(toOf(response)) ?? '';
    const cseq = cseqOf(response)?.seq ?? cseqOf(this.#request)!.seq;
    const fork = this.#fork(response);
    if (fork === undefined) {
      this.#refused(response);
      return;
    }
    const { leg } = fork;
    const credentials = this.#request.headers.filter(({ name }) => /^(Proxy-)?Authorization$/.test(name));
    if (leg.acks.has(cseq)) {
      acknowledge(this.#core, leg, cseq, undefined);
      return;
    }
    leg.dialog = confirmDialog(leg.dialog, response);
    if (this.#winner !== undefined && this.#winner !== tag) {
      // Another fork answered before: thank it and hang up (§13.2.2.4).
      acknowledge(this.#core, leg, cseq, undefined, credentials);
      void requestIn(this.#core, leg, { method: 'BYE' });
      return;
    }
    this.#winner = tag;
    let answer: string | undefined;
    let unfit: unknown;
    try {
      answer = this.#negotiate(response);
    } catch (error) {
      unfit = error;
    }
    acknowledge(this.#core, leg, cseq, answer, credentials);
    this.#done = true;
    this.#call.confirmed(leg, response);
    // A CANCEL that the 2xx crossed came too late: hang up instead (§9.1). SDP that does not fit ends likewise.
    if (this.#cancelWanted || unfit !== undefined) void this.#call.bye();
  }

  #refused(response: SipResponse): void {
    const { status } = response;
    const nextCseq = cseqOf(this.#request)!.seq + 1;
    if (this.#attempts < MAX_ATTEMPTS && !this.#cancelWanted) {
      let again: SipRequest | undefined;
      if (status === 401 || status === 407) {
        again = this.#core.authorize(this.#request, response, this.#flow, nextCseq);
      } else if (status === 422 && this.#timerPolicy !== undefined) {
        const policy = policyAfter422(response, this.#timerPolicy);
        if (policy !== undefined) again = this.#withTimer(policy, nextCseq);
      }
      if (again !== undefined) {
        this.#request = again;
        this.send();
        return;
      }
    }
    this.#done = true;
    if (this.#cancelWanted) this.#call.finish({ by: 'us', how: 'cancel', status });
    else this.#call.finish({ by: 'peer', how: 'failed', status });
  }

  #withTimer(policy: SessionTimerPolicy, cseq: number): SipRequest {
    this.#timerPolicy = policy;
    const headers = this.#request.headers
      .filter(({ name }) => name !== 'Session-Expires' && name !== 'Min-SE')
      .map((entry) => {
        if (entry.name === 'Via') return { name: 'Via', value: this.#core.via(this.#flow) };
        return entry.name === 'CSeq' ? { name: 'CSeq', value: `${cseq} INVITE` } : entry;
      });
    return { ...this.#request, headers: [...headers, ...sessionTimerRequestHeaders(policy)] };
  }

  #failed(why: ClientFailure): void {
    if (this.#done) return;
    this.#done = true;
    this.#call.finish({ by: 'us', how: 'failed', status: why === 'timeout' ? 408 : 503 });
  }
}

export const suitesOf = (offer: Offer) => (offer === 'plain' || offer === 'none' ? [] : offer);
