import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { type Clock, type Random, randomText, type Timer, TwinlineError } from '../../base/index.ts';
import { type Bencoded, bdecode, bencode } from './bencode.ts';

/** UDP gets lost: a command is said again this often, and given up after so long. The cookie makes it the same command. */
const AGAIN_MS = 300;
const WITHIN_MS = 2_500;
/** Commands without an answer yet. More are refused: rtpengine is away or overwhelmed. */
const MOST_WAITING = 1_000;

export interface NgReply {
  readonly result: string;
  readonly [field: string]: Bencoded;
}

export interface NgClientOptions {
  readonly address: string;
  readonly port: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** rtpengine's ng protocol: a cookie and a bencoded dictionary in one UDP packet each way. */
export class NgClient {
  readonly #options: NgClientOptions;
  readonly #socket: Socket;
  readonly #waiting = new Map<string, (reply: NgReply) => void>();
  readonly #cookiePrefix: string;
  #cookies = 0;
  #closed = false;

  constructor(options: NgClientOptions) {
    this.#options = options;
    // Of two clients, or of one started anew, none is answered from the other's past.
    this.#cookiePrefix = randomText(options.random, 10);
    this.#socket = createSocket(isIPv6(options.address) ? 'udp6' : 'udp4');
    // Nobody listens there: the command's time-out says so.
    this.#socket.on('error', () => {});
    this.#socket.on('message', (bytes) => this.#heard(bytes));
  }

  /** Rejects with `ng_refused` and rtpengine's own words, `ng_away`, or `ng_busy` where too many commands wait for answers. */
  async ask(command: Readonly<Record<string, Bencoded>>): Promise<NgReply> {
    const name = String(command['command']);
    if (this.#closed || this.#waiting.size >= MOST_WAITING)
      throw new TwinlineError('ng_busy', `rtpengine takes no ${name} now: too many commands wait for it`);
    const { clock, address, port } = this.#options;
    const cookie = `${this.#cookiePrefix}${++this.#cookies}`;
    const packet = Buffer.from(`${cookie} ${bencode(command)}`);
    const reply = await new Promise<NgReply>((resolve, reject) => {
      let again: Timer | undefined;
      const done = (): void => {
        again?.cancel();
        late.cancel();
        this.#waiting.delete(cookie);
      };
      const late = clock.after(WITHIN_MS, () => {
        done();
        reject(new TwinlineError('ng_away', `rtpengine at ${address}:${port} did not answer ${name}`));
      });
      this.#waiting.set(cookie, (answer) => {
        done();
        resolve(answer);
      });
      const send = (): void => {
        if (!this.#closed) this.#socket.send(packet, port, address);
        again = clock.after(AGAIN_MS, send);
      };
      send();
    });
    if (reply.result === 'error')
      throw new TwinlineError('ng_refused', `rtpengine refused ${name}: ${String(reply['error-reason'])}`);
    return reply;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  #heard(bytes: Buffer): void {
    const space = bytes.indexOf(' ');
    const waiting = space < 0 ? undefined : this.#waiting.get(bytes.toString('latin1', 0, space));
    if (waiting === undefined) return;
    try {
      const reply = bdecode(bytes.subarray(space + 1));
      if (typeof reply === 'object' && typeof (reply as { result?: unknown }).result === 'string')
        waiting(reply as NgReply);
    } catch {
      // No bencode: as if it were lost.
    }
  }
}
