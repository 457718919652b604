import { createSocket, type Socket } from 'node:dgram';
import { authorize } from './digest.ts';

/**
 * A phone's signalling made of string templates: cheap enough to drive hundreds of calls from one process, and written apart from the
 * server's own SIP code. UDP only; it knows just what the benches need.
 */
export interface LineOptions {
  readonly user: string;
  readonly password: string;
  readonly domain: string;
  readonly server: { readonly address: string; readonly port: number };
  /** 0 or absent: the kernel picks. */
  readonly localPort?: number;
  /** Gives the answer to a call's offer; absent: 486. */
  readonly answer?: (offer: string) => string;
}

interface Message {
  readonly first: string;
  /** 0 for a request. */
  readonly status: number;
  readonly method: string;
  readonly head: string;
  readonly body: string;
}

interface Waiting {
  readonly text: string;
  readonly onResponse: (response: Message) => void;
  timer: NodeJS.Timeout;
}

const T1_MS = 500;
const T2_MS = 4_000;
const TRANSACTION_MS = 32_000;

const patterns = new Map<string, RegExp>();
export function header(head: string, name: string): string {
  let pattern = patterns.get(name);
  if (!pattern) {
    pattern = new RegExp(`^${name}[ \\t]*:[ \\t]*(.*)$`, 'im');
    patterns.set(name, pattern);
  }
  return pattern.exec(head)?.[1] ?? '';
}
const allOf = (head: string, name: string): string[] =>
  [...head.matchAll(new RegExp(`^${name}[ \\t]*:[ \\t]*(.*)$`, 'gim'))].map((match) => match[1]!);
const uriOf = (nameAddr: string): string => /<([^>]*)>/.exec(nameAddr)?.[1] ?? nameAddr.split(';')[0]!;

let counter = 0;
const unique = (): string => `${process.pid.toString(36)}x${(counter++).toString(36)}`;

export class Line {
  readonly options: LineOptions;
  readonly port: number;
  /** Requests of the server that began nothing and were no answer: what a phone would notice of a fail-over. */
  requestsSeen = 0;
  readonly incoming: LineCall[] = [];
  readonly #socket: Socket;
  /** By branch. */
  readonly #waiting = new Map<string, Waiting>();
  /** By Call-ID. */
  readonly #calls = new Map<string, LineCall>();
  readonly #serial: string;
  #cseq = 1;

  private constructor(options: LineOptions, socket: Socket) {
    this.options = options;
    this.#socket = socket;
    this.port = socket.address().port;
    this.#serial = unique();
    socket.on('message', (bytes) => this.#receive(bytes.toString('latin1')));
    socket.on('error', () => {});
  }

  static open(options: LineOptions): Promise<Line> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
      socket.once('error', reject);
      socket.bind(options.localPort ?? 0, '127.0.0.1', () => {
        socket.off('error', reject);
        resolve(new Line(options, socket));
      });
    });
  }

  get contact(): string {
    return `<sip:${this.options.user}@127.0.0.1:${this.port}>`;
  }

  /** REGISTER, answered with credentials; gives the last status. */
  async register(expiresSec = 3600): Promise<number> {
    const { user, domain } = this.options;
    const uri = `sip:${domain}`;
    const callId = `r${unique()}`;
    const request = (credentials: string[]) =>
      this.exchange('REGISTER', uri, [
        `From: <sip:${user}@${domain}>;tag=${this.#serial}`,
        `To: <sip:${user}@${domain}>`,
        `Call-ID: ${callId}`,
        `CSeq: ${this.#cseq++} REGISTER`,
        `Contact: ${this.contact}`,
        `Expires: ${expiresSec}`,
        ...credentials,
      ]);
    const first = await request([]);
    if (first.status !== 401 && first.status !== 407) return first.status;
    return (await request([authorize(first, this.options, 'REGISTER', uri)])).status;
  }

  /** Resolves when it is answered and acknowledged; rejects with the status that refused it. */
  async call(dialled: string, offer: string): Promise<LineCall> {
    const { user, domain } = this.options;
    const uri = `sip:${dialled}@${domain}`;
    const call = new LineCall(
      this,
      `c${unique()}`,
      `<sip:${user}@${domain}>;tag=${unique()}`,
      `<${uri}>`,
      uri,
    );
    this.#calls.set(call.id, call);
    let response = await call.request('INVITE', offer);
    if (response.status === 401 || response.status === 407)
      response = await call.request('INVITE', offer, [authorize(response, this.options, 'INVITE', uri)]);
    if (response.status !== 200) {
      this.forget(call);
      throw new Error(`calling ${dialled}: ${response.first}`);
    }
    return call;
  }

  /** Sends a request until its final response; 408 stands for none. The ACK to a failed INVITE is sent here. */
  exchange(method: string, uri: string, lines: readonly string[], body = ''): Promise<Message> {
    const branch = `z9hG4bK${unique()}`;
    const text = this.#write(`${method} ${uri} SIP/2.0`, branch, lines, body);
    return new Promise((resolve) => {
      let waitedMs = 0;
      let intervalMs = T1_MS;
      const again = (): void => {
        waitedMs += intervalMs;
        if (waitedMs >= TRANSACTION_MS) {
          this.#waiting.delete(branch);
          resolve({ first: 'SIP/2.0 408 no answer', status: 408, method, head: '', body: '' });
          return;
        }
        this.send(text);
        intervalMs = Math.min(2 * intervalMs, method === 'INVITE' ? TRANSACTION_MS : T2_MS);
        waiting.timer = setTimeout(again, intervalMs);
      };
      const waiting: Waiting = {
        text,
        timer: setTimeout(again, intervalMs),
        onResponse: (response) => {
          if (response.status < 200) {
            // A provisional answer ends an INVITE's retransmissions (RFC 3261 §17.1.1.2).
            if (method !== 'INVITE') return;
            clearTimeout(waiting.timer);
            intervalMs = TRANSACTION_MS;
            waiting.timer = setTimeout(again, intervalMs);
            return;
          }
          clearTimeout(waiting.timer);
          this.#waiting.delete(branch);
          if (method === 'INVITE' && response.status >= 300) {
            const ack = lines.filter((line) => /^(From|Call-ID|Route):/.test(line));
            ack.push(
              `To: ${header(response.head, 'To')}`,
              `CSeq: ${parseInt(header(response.head, 'CSeq'), 10)} ACK`,
            );
            this.send(this.#write(`ACK ${uri} SIP/2.0`, branch, ack, ''));
          }
          resolve(response);
        },
      };
      this.#waiting.set(branch, waiting);
      this.send(text);
    });
  }

  /** An ACK to a 200, which begins a transaction of its own. */
  acknowledge(uri: string, lines: readonly string[]): void {
    this.send(this.#write(`ACK ${uri} SIP/2.0`, `z9hG4bK${unique()}`, lines, ''));
  }

  send(text: string): void {
    this.#socket.send(text, this.options.server.port, this.options.server.address);
  }

  forget(call: LineCall): void {
    this.#calls.delete(call.id);
  }

  close(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    for (const call of this.#calls.values()) call.stop();
    this.#socket.close();
  }

  #write(first: string, branch: string, lines: readonly string[], body: string): string {
    return `${first}\r\nVia: SIP/2.0/UDP 127.0.0.1:${this.port};rport;branch=${branch}\r\nMax-Forwards: 70\r\n${lines.join('\r\n')}\r\n${
      body ? 'Content-Type: application/sdp\r\n' : ''
    }Content-Length: ${body.length}\r\n\r\n${body}`;
  }

  #receive(text: string): void {
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = text.slice(0, end).replaceAll('\r\n', '\n');
    const first = head.slice(0, head.indexOf('\n'));
    const status = first.startsWith('SIP/2.0 ') ? Number(first.slice(8, 11)) : 0;
    const method = status ? (header(head, 'CSeq').split(' ')[1] ?? '') : first.split(' ', 1)[0]!;
    const message: Message = { first, status, method, head, body: text.slice(end + 4) };
    if (status) {
      const branch = /branch=([^;,\s]+)/i.exec(header(head, 'Via'))?.[1] ?? '';
      const waiting = this.#waiting.get(branch);
      if (waiting) waiting.onResponse(message);
      else if (method === 'INVITE' && status === 200)
        this.#calls.get(header(head, 'Call-ID'))?.acknowledgeAgain();
      return;
    }
    this.#request(message);
  }

  #request(request: Message): void {
    const { method, head } = request;
    const id = header(head, 'Call-ID');
    const call = this.#calls.get(id);
    if (call) {
      if (method !== 'ACK') this.requestsSeen++;
      call.take(request);
      return;
    }
    const { answer } = this.options;
    if (method === 'INVITE' && answer) {
      const to = `${header(head, 'To')};tag=${unique()}`;
      const fresh = new LineCall(this, id, to, header(head, 'From'), uriOf(header(head, 'Contact')));
      fresh.routes = allOf(head, 'Record-Route');
      this.#calls.set(id, fresh);
      fresh.offered(request, answer);
      this.incoming.push(fresh);
    } else if (method !== 'ACK')
      this.reply(request, method === 'INVITE' ? '486 Busy Here' : '481 No Such Call');
  }

  reply(
    request: Message,
    status: string,
    to = header(request.head, 'To'),
    more: readonly string[] = [],
    body = '',
  ): string {
    const { head } = request;
    const text = `SIP/2.0 ${status}\r\n${[
      ...allOf(head, 'Via').map((via) => `Via: ${via}`),
      ...allOf(head, 'Record-Route').map((route) => `Record-Route: ${route}`),
      `From: ${header(head, 'From')}`,
      `To: ${to}`,
      `Call-ID: ${header(head, 'Call-ID')}`,
      `CSeq: ${header(head, 'CSeq')}`,
      ...more,
      ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${body.length}`,
    ].join('\r\n')}\r\n\r\n${body}`;
    this.send(text);
    return text;
  }
}

/** One side of one call. */
export class LineCall {
  readonly id: string;
  remoteSdp = '';
  localSdp = '';
  /** The head of the message that brought `remoteSdp`. */
  told = '';
  /** We hung up. */
  done = false;
  /** The other side hung up. */
  ended = false;
  routes: string[] = [];
  readonly #line: Line;
  readonly #local: string;
  #remote: string;
  #target: string;
  #cseq = 1;
  #acked = false;
  #ack: (() => void) | undefined;
  /** The last answer to each of the peer's requests, by CSeq: it may ask again. */
  readonly #answers = new Map<string, string>();
  #resend: NodeJS.Timeout | undefined;

  constructor(line: Line, id: string, local: string, remote: string, target: string) {
    this.#line = line;
    this.id = id;
    this.#local = local;
    this.#remote = remote;
    this.#target = target;
  }

  /** Within the call, or the INVITE that begins it. */
  async request(method: string, body = '', credentials: readonly string[] = []): Promise<Message> {
    const uri = this.#target;
    const cseq = this.#cseq++;
    const lines = (what: string, more: readonly string[]) => [
      `From: ${this.#local}`,
      `To: ${this.#remote}`,
      `Call-ID: ${this.id}`,
      `CSeq: ${cseq} ${what}`,
      `Contact: ${this.#line.contact}`,
      ...this.routes.map((route) => `Route: ${route}`),
      ...more,
    ];
    const response = await this.#line.exchange(method, uri, lines(method, credentials), body);
    if (method === 'INVITE' && response.status === 200) {
      if (!this.#remote.includes(';tag=')) {
        this.#remote = header(response.head, 'To');
        this.routes = allOf(response.head, 'Record-Route').reverse();
      }
      this.#target = uriOf(header(response.head, 'Contact')) || this.#target;
      this.remoteSdp = response.body;
      this.told = response.head;
      this.localSdp = body;
      this.#ack = () => this.#line.acknowledge(this.#target, lines('ACK', []));
      this.#ack();
    }
    return response;
  }

  acknowledgeAgain(): void {
    this.#ack?.();
  }

  /** Puts the other on hold by a re-INVITE; gives the status. */
  async hold(): Promise<number> {
    const sdp = this.localSdp
      .replace(/^o=(\S+) (\S+) (\d+)/m, (_, who, id, version) => `o=${who} ${id} ${Number(version) + 1}`)
      .replace(/a=sendrecv/, 'a=sendonly');
    return (await this.request('INVITE', sdp)).status;
  }

  async bye(): Promise<number> {
    this.done = true;
    const { status } = await this.request('BYE');
    this.stop();
    this.#line.forget(this);
    return status;
  }

  offered(invite: Message, answer: (offer: string) => string): void {
    this.#line.reply(invite, '180 Ringing', this.#local, [`Contact: ${this.#line.contact}`]);
    this.remoteSdp = invite.body;
    this.told = invite.head;
    this.localSdp = answer(invite.body);
    this.#accept(invite, this.localSdp);
  }

  take(request: Message): void {
    const { method, head, body } = request;
    if (method === 'ACK') {
      this.#acked = true;
      clearTimeout(this.#resend);
      return;
    }
    const cseq = header(head, 'CSeq');
    const before = this.#answers.get(cseq);
    if (before !== undefined) {
      this.#line.send(before);
      return;
    }
    if (method === 'INVITE') {
      const held = /a=sendonly|a=inactive/.test(body);
      const sdp = this.localSdp.replace(/a=sendrecv/, held ? 'a=recvonly' : 'a=sendrecv');
      this.#accept(request, sdp);
      return;
    }
    this.#answers.set(cseq, this.#line.reply(request, '200 OK', this.#local));
    if (method === 'BYE') {
      this.ended = true;
      this.stop();
    }
  }

  stop(): void {
    clearTimeout(this.#resend);
  }

  /** 200 again and again until the ACK (RFC 3261 §13.3.1.4). */
  #accept(invite: Message, sdp: string): void {
    const text = this.#line.reply(invite, '200 OK', this.#local, [`Contact: ${this.#line.contact}`], sdp);
    this.#answers.set(header(invite.head, 'CSeq'), text);
    this.#acked = false;
    let intervalMs = T1_MS;
    let waitedMs = 0;
    const again = (): void => {
      if (this.#acked || waitedMs >= TRANSACTION_MS) return;
      this.#line.send(text);
      waitedMs += intervalMs;
      intervalMs = Math.min(2 * intervalMs, T2_MS);
      this.#resend = setTimeout(again, intervalMs);
    };
    this.#resend = setTimeout(again, intervalMs);
  }
}
