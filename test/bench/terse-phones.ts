import { authorize } from './digest.ts';
import type { LoneSwitch } from './lone-switch.ts';

/** How long they talk: long enough for what waits for company to have been written. */
const TALK_MS = 20;
const DOMAIN = 'demo.twinline.test';

const headerOf = (text: string, name: string): string =>
  new RegExp(`^${name}: *(.*)\r$`, 'im').exec(text)?.[1] ?? '';
const statusOf = (text: string): number => (text.startsWith('SIP/2.0 ') ? Number(text.slice(8, 11)) : 0);
const viasOf = (text: string): string =>
  text
    .split('\r\n')
    .filter((line) => line.startsWith('Via:'))
    .join('\r\n');

const sdp = (port: number): string =>
  [
    'v=0',
    'o=- 53655765 2353687637 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    `m=audio ${port} RTP/AVP 0 8 101`,
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    '',
  ].join('\r\n');

const ended = (head: string, body = ''): string =>
  body === ''
    ? `${head}Content-Length: 0\r\n\r\n`
    : `${head}Content-Type: application/sdp\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** A phone of templates: it costs next to nothing, so that what is measured is the switch. */
export class TersePhone {
  readonly #user: string;
  readonly #port: number;
  readonly #flow: ReturnType<LoneSwitch['connect']>;
  /** Who waits for the next word of a dialog, by its Call-ID. */
  readonly #waiting = new Map<string, (text: string) => void>();
  #count = 0;
  /** Of the last call: as an edge asks for credentials before a switch hears of the call, so they are said at once. */
  #challenge: string | undefined;

  constructor(lone: LoneSwitch, user: string, port: number) {
    this.#user = user;
    this.#port = port;
    this.#flow = lone.connect(port, (text) => {
      const waiting = this.#waiting.get(headerOf(text, 'Call-ID'));
      if (waiting !== undefined) waiting(text);
      else if (statusOf(text) === 0) this.#serve(text);
    });
  }

  /** REGISTER, 401, REGISTER with digest, 200. Rejects with what came in place of the 200. */
  async register(): Promise<void> {
    const uri = `sip:${DOMAIN}`;
    const callId = `register-${this.#user}-${++this.#count}`;
    const ask = (cseq: number, credentials: string): Promise<string> =>
      new Promise((resolve) => {
        this.#waiting.set(callId, resolve);
        const contact = `Contact: <sip:${this.#user}@127.0.0.1:${this.#port}>\r\nExpires: 3600\r\n`;
        const head = this.#head('REGISTER', uri, callId, `<sip:${this.#user}@${DOMAIN}>`, cseq);
        this.#flow.say(ended(`${head}${contact}${credentials}`));
      });
    const challenge = await ask(1, '');
    const answer = await ask(2, this.#credentials(challenge, 'REGISTER', uri));
    this.#waiting.delete(callId);
    if (statusOf(answer) !== 200) throw new Error(`a REGISTER was answered by:\n${answer}`);
  }

  /** INVITE to BYE. Rejects with what came in place of a 200. */
  call(extension: string): Promise<void> {
    const uri = `sip:${extension}@${DOMAIN}`;
    const callId = `call-${this.#user}-${++this.#count}`;
    let cseq = 1;
    let [target, to] = [uri, `<${uri}>`];
    const say = (method: string, more = '', body = ''): void =>
      this.#flow.say(ended(`${this.#head(method, target, callId, to, cseq)}${more}`, body));
    const invite = (): void =>
      say(
        'INVITE',
        `Contact: <sip:${this.#user}@127.0.0.1:${this.#port}>\r\n${
          this.#challenge === undefined ? '' : this.#credentials(this.#challenge, 'INVITE', uri)
        }`,
        sdp(this.#port + 100),
      );
    return new Promise((resolve, reject) => {
      this.#waiting.set(callId, (text) => {
        const status = statusOf(text);
        const method = headerOf(text, 'CSeq').split(' ')[1];
        if (status === 401 || status === 407) {
          this.#challenge = text;
          cseq++;
          invite();
        } else if (status === 200 && method === 'INVITE') {
          to = headerOf(text, 'To');
          target = /<([^>]+)>/.exec(headerOf(text, 'Contact'))?.[1] ?? uri;
          say('ACK');
          setTimeout(() => {
            cseq++;
            say('BYE');
          }, TALK_MS);
        } else if (status >= 200) {
          this.#waiting.delete(callId);
          if (status === 200) resolve();
          else reject(new Error(`a call was answered by:\n${text}`));
        }
      });
      invite();
    });
  }

  /** It rings and answers; it hangs up when it is told to. */
  #serve(request: string): void {
    const copied =
      `${viasOf(request)}\r\nFrom: ${headerOf(request, 'From')}\r\nCall-ID: ${headerOf(request, 'Call-ID')}\r\n` +
      `CSeq: ${headerOf(request, 'CSeq')}\r\nTo: ${headerOf(request, 'To')}`;
    if (request.startsWith('BYE ')) this.#flow.say(ended(`SIP/2.0 200 OK\r\n${copied}\r\n`));
    if (!request.startsWith('INVITE ')) return;
    const head = `${copied};tag=t${++this.#count}\r\nContact: <sip:${this.#user}@127.0.0.1:${this.#port}>\r\n`;
    this.#flow.say(ended(`SIP/2.0 180 Ringing\r\n${head}`));
    setImmediate(() => this.#flow.say(ended(`SIP/2.0 200 OK\r\n${head}`, sdp(this.#port + 100))));
  }

  #head(method: string, target: string, callId: string, to: string, cseq: number): string {
    return (
      `${method} ${target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:${this.#port};branch=z9hG4bK${this.#user}-${++this.#count};rport\r\n` +
      `Max-Forwards: 70\r\nFrom: <sip:${this.#user}@${DOMAIN}>;tag=${callId}\r\nTo: ${to}\r\nCall-ID: ${callId}\r\nCSeq: ${cseq} ${method}\r\n`
    );
  }

  #credentials(challenge: string, method: string, uri: string): string {
    const response = { status: statusOf(challenge), head: challenge.replaceAll('\r', '') };
    return `${authorize(response, { user: this.#user, password: `demo-${this.#user}` }, method, uri)}\r\n`;
  }
}
