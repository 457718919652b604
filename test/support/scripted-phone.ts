import type { Flow } from '../../src/link/index.ts';
import {
  cseqOf,
  fromOf,
  header,
  headerValues,
  parseMessage,
  parseNameAddr,
  type SipHeader,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  serialize,
  tagOf,
  toBytes,
  toOf,
  topVia,
} from '../../src/sip/index.ts';

export interface SdpOptions {
  readonly codecs?: readonly string[];
  readonly direction?: string;
  readonly version?: number;
  readonly profile?: string;
  readonly crypto?: readonly string[];
  readonly port?: number;
  readonly extra?: readonly string[];
}

export interface SayOptions {
  readonly headers?: readonly SipHeader[];
  readonly body?: string;
  readonly contentType?: string;
}

const DEFAULT_CODECS = ['0 PCMU/8000', '8 PCMA/8000', '101 telephone-event/8000'];

/**
 * A phone that does what the test says and nothing else, but for what every phone does by itself: it absorbs what is sent again, and repeats
 * its own last word when it hears a request again.
 */
export class ScriptedPhone {
  readonly name: string;
  readonly extension: string;
  flow: Flow;
  /** Further flows of the same phone (RFC 5626), which it hears over too. */
  readonly otherFlows: Flow[] = [];
  /** Over which flow the last text came. */
  heardOver: string | undefined;
  readonly sessionUuid: string;
  /** Everything heard once, in order. */
  readonly heard: SipMessage[] = [];
  /** Texts that came again. */
  repeats = 0;
  /** Where a response went that did not go to the flow's own address. */
  lastRemote: { readonly address: string; readonly port: number } | undefined;
  callId: string;
  localTag: string;
  remoteTag: string | undefined;
  remoteTarget = 'sip:nowhere@198.51.100.1';
  cseq = 0;
  readonly #isBrowser: boolean;
  readonly #features: string;
  readonly #say: (text: string, flow: Flow) => void;
  readonly #replies = new Map<string, string>();
  readonly #texts = new Set<string>();
  readonly #taken = new Set<SipMessage>();
  readonly #acks = new Map<string, string>();
  #branches = 0;
  #lastInvite: SipRequest | undefined;

  constructor(options: {
    readonly name: string;
    readonly extension: string;
    readonly flow: Flow;
    /** It does not know its own address, and says so (RFC 7118 §5.2). */
    readonly isBrowser?: boolean;
    /** Parameters of its Contact, with the semicolon before them. */
    readonly features?: string;
    readonly say: (text: string, flow: Flow) => void;
  }) {
    this.name = options.name;
    this.extension = options.extension;
    this.flow = options.flow;
    this.callId = `${options.name}-call-1`;
    this.localTag = `${options.name}-tag`;
    this.sessionUuid = Buffer.from(options.name.padEnd(16, '.')).toString('hex').slice(0, 32);
    this.#isBrowser = options.isBrowser ?? false;
    this.#features = options.features ?? '';
    this.#say = options.say;
  }

  get address(): string {
    return this.flow.remote.address;
  }

  get contactUri(): string {
    if (this.#isBrowser) return `sip:${this.name}@k3jd02.invalid;transport=ws`;
    return `sip:${this.name}@${this.address}:${this.flow.remote.port}`;
  }

  sdp(options: SdpOptions = {}): string {
    const codecs = options.codecs ?? DEFAULT_CODECS;
    const lines = [
      'v=0',
      `o=- 4711 ${options.version ?? 1} IN IP4 ${this.address}`,
      's=-',
      `c=IN IP4 ${this.address}`,
      't=0 0',
      `m=audio ${options.port ?? 4000} ${options.profile ?? 'RTP/AVP'} ${codecs.map((codec) => codec.split(' ')[0]).join(' ')}`,
      ...codecs.map((codec) => `a=rtpmap:${codec}`),
      ...(options.crypto ?? []).map((line) => `a=crypto:${line}`),
      `a=${options.direction ?? 'sendrecv'}`,
      ...(options.extra ?? []),
    ];
    return `${lines.join('\r\n')}\r\n`;
  }

  /** The INVITE that begins a call. Without `body` there is no offer. */
  invite(dialled: string, options: SayOptions = {}): SipRequest {
    this.cseq++;
    const request = this.#request('INVITE', `sip:${dialled}@acme.example`, this.cseq, options);
    this.#lastInvite = request;
    this.#say(serialize(request), this.flow);
    return request;
  }

  calls(dialled: string, sdp: SdpOptions = {}, options: SayOptions = {}): SipRequest {
    return this.invite(dialled, { ...options, body: this.sdp(sdp) });
  }

  /** A request in the dialog. */
  asks(method: string, options: SayOptions = {}): SipRequest {
    this.cseq++;
    const request = this.#request(method, this.remoteTarget, this.cseq, options);
    if (method === 'INVITE') this.#lastInvite = request;
    this.#say(serialize(request), this.flow);
    return request;
  }

  cancels(invite = this.#lastInvite): void {
    if (invite === undefined) throw new Error(`${this.name} has nothing to cancel`);
    const cancel: SipRequest = {
      ...invite,
      method: 'CANCEL',
      headers: invite.headers
        .filter(({ name }) => name !== 'Content-Type' && name !== 'Contact')
        .map((entry) =>
          entry.name === 'CSeq' ? { name: 'CSeq', value: `${cseqOf(invite)?.seq} CANCEL` } : entry,
        ),
      body: '',
    };
    this.#say(serialize(cancel), this.flow);
  }

  /** ACK to the last INVITE's final response. */
  acks(response: SipResponse, options: SayOptions = {}): void {
    const cseq = cseqOf(response)?.seq ?? 0;
    this.#learn(response);
    let ack: SipRequest;
    if (response.status >= 300 && this.#lastInvite !== undefined) {
      ack = {
        ...this.#lastInvite,
        method: 'ACK',
        headers: this.#lastInvite.headers
          .filter(({ name }) => ['Via', 'Max-Forwards', 'From', 'Call-ID'].includes(name))
          .concat([
            { name: 'To', value: header(response, 'To') ?? '' },
            { name: 'CSeq', value: `${cseq} ACK` },
          ]),
        body: '',
      };
    } else ack = this.#request('ACK', this.remoteTarget, cseq, options);
    const text = serialize(ack);
    this.#acks.set(serialize(response), text);
    this.#say(text, this.flow);
  }

  answers(request: SipRequest, status: number, options: SayOptions = {}): void {
    const withContact = request.method === 'INVITE' || request.method === 'UPDATE';
    const response: SipResponse = {
      kind: 'response',
      status,
      reason: 'Said',
      headers: [
        ...request.headers.filter(({ name }) => ['Via', 'From', 'Call-ID', 'CSeq'].includes(name)),
        { name: 'To', value: this.#tagged(header(request, 'To') ?? '', status) },
        ...(withContact && status > 100
          ? [{ name: 'Contact', value: `<${this.contactUri}>${this.#features}` }]
          : []),
        ...this.#always(options.headers),
        ...(options.body === undefined ? [] : [{ name: 'Content-Type', value: 'application/sdp' }]),
      ],
      body: options.body ?? '',
    };
    if (request.method === 'INVITE') this.#join(request);
    const text = serialize(response);
    this.#replies.set(keyOf(request), text);
    this.#say(text, this.flow);
  }

  /** Takes over the dialog that a request to us began. */
  #join(request: SipRequest): void {
    this.callId = header(request, 'Call-ID') ?? '';
    this.remoteTag = tagOf(fromOf(request)) ?? '';
    const [contact] = headerValues(request, 'Contact');
    if (contact !== undefined) this.remoteTarget = parseNameAddr(contact)?.uri ?? this.remoteTarget;
  }

  #learn(response: SipResponse): void {
    this.remoteTag = tagOf(toOf(response)) ?? this.remoteTag;
    const [contact] = headerValues(response, 'Contact');
    if (contact !== undefined) this.remoteTarget = parseNameAddr(contact)?.uri ?? this.remoteTarget;
  }

  #tagged(to: string, status: number): string {
    return status === 100 || to.includes(';tag=') ? to : `${to};tag=${this.localTag}`;
  }

  #always(headers: readonly SipHeader[] = []): SipHeader[] {
    return [
      ...(headers.some(({ name }) => name === 'Allow')
        ? []
        : [{ name: 'Allow', value: 'INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, PRACK' }]),
      { name: 'Session-ID', value: `${this.sessionUuid};remote=${'0'.repeat(32)}` },
      ...headers,
    ];
  }

  #request(method: string, uri: string, cseq: number, options: SayOptions): SipRequest {
    const to = this.remoteTag === undefined ? '' : `;tag=${this.remoteTag}`;
    const { address, port } = this.flow.remote;
    const branch = `z9hG4bK-${this.name}-${++this.#branches}`;
    return {
      kind: 'request',
      method,
      uri,
      headers: [
        {
          name: 'Via',
          value: `SIP/2.0/${this.flow.transport.toUpperCase()} ${address}:${port};branch=${branch};rport`,
        },
        { name: 'Max-Forwards', value: '70' },
        { name: 'From', value: `<sip:${this.extension}@acme.example>;tag=${this.localTag}` },
        { name: 'To', value: `<sip:callee@acme.example>${to}` },
        { name: 'Call-ID', value: this.callId },
        { name: 'CSeq', value: `${cseq} ${method}` },
        { name: 'Contact', value: `<${this.contactUri}>${this.#features}` },
        ...this.#always(options.headers).filter(({ name }) => !(name === 'Max-Forwards')),
        ...(options.body === undefined
          ? []
          : [{ name: 'Content-Type', value: options.contentType ?? 'application/sdp' }]),
      ]
        .filter(
          // A test's own Max-Forwards stands for the usual one.
          ({ name, value }) =>
            name !== 'Max-Forwards' ||
            !options.headers?.some((own) => own.name === 'Max-Forwards') ||
            value !== '70',
        )
        .concat(options.headers?.filter(({ name }) => name === 'Max-Forwards') ?? []),
      body: options.body ?? '',
    };
  }

  /** Says a text again, as a retransmission or by another way. */
  saysAgain(request: SipRequest): void {
    this.#say(serialize(request), this.flow);
  }

  hear(text: string, remote?: { readonly address: string; readonly port: number }): void {
    this.lastRemote = remote;
    const parsed = parseMessage(toBytes(text));
    if (!parsed.ok) throw new Error(`${this.name} heard nonsense: ${parsed.reason}`);
    const { message } = parsed;
    const isNew = !this.#texts.has(text);
    this.#texts.add(text);
    if (isNew) {
      this.heard.push(message);
      if (message.kind === 'response' && message.status > 100 && cseqOf(message)?.method === 'INVITE') {
        this.#learn(message);
      }
      return;
    }
    this.repeats++;
    const again =
      message.kind === 'request' ? this.#replies.get(keyOf(message)) : this.#acks.get(serialize(message));
    if (again !== undefined) this.#say(again, this.flow);
  }

  /** The next request of that method that the test has not looked at yet. */
  request(method: string): SipRequest {
    const found = this.heard.find(
      (message): message is SipRequest =>
        message.kind === 'request' && message.method === method && !this.#taken.has(message),
    );
    if (found === undefined) throw new Error(`${this.name} heard no ${method}, but ${this.story()}`);
    this.#taken.add(found);
    return found;
  }

  /** The next response with that status that the test has not looked at yet. */
  response(status: number, method?: string): SipResponse {
    const found = this.heard.find(
      (message): message is SipResponse =>
        message.kind === 'response' &&
        message.status === status &&
        !this.#taken.has(message) &&
        (method === undefined || cseqOf(message)?.method === method),
    );
    if (found === undefined) throw new Error(`${this.name} heard no ${status}, but ${this.story()}`);
    this.#taken.add(found);
    return found;
  }

  hasHeard(what: string | number): boolean {
    return this.heard.some((message) =>
      message.kind === 'request' ? message.method === what : message.status === what,
    );
  }

  story(): string {
    return this.heard
      .map((message) =>
        message.kind === 'request' ? message.method : `${message.status} (${cseqOf(message)?.method})`,
      )
      .join(', ');
  }
}

const keyOf = (request: SipRequest): string =>
  `${String(topVia(request)?.params['branch'])} ${request.method}`;
