import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findProgram } from './peer.ts';
import { Seen } from './phone-seen.ts';

export interface ChromiumOptions {
  /** Candidates name addresses, or names of mDNS that nobody here can resolve. */
  readonly candidates?: 'addresses' | 'mdns';
}

export interface BrowserPhoneOptions {
  readonly user: string;
  readonly password?: string;
  readonly domain?: string;
  /** `ws://127.0.0.1:5062` or `wss://…`. */
  readonly server: string;
  readonly answer?: 'auto' | 'manual';
  /** It can encrypt end to end: its calls ask for that at once, or when told to (`encrypt`). */
  readonly encrypts?: 'on' | 'later';
  /** What it says; a multiple of 50. */
  readonly toneHz: number;
}

/** What the page tells: see `chromium/phone.js`. */
export interface BrowserEvent {
  readonly type: string;
  readonly state?: string;
  readonly status?: number;
  readonly from?: string;
  readonly body?: string;
  readonly reason?: string;
  readonly text?: string;
  readonly toneHz?: number;
  readonly longestSilentMs?: number;
}

export interface BrowserStats {
  readonly ice: string;
  readonly dtls: string;
  readonly role: string;
  readonly cipher: string;
  readonly srtp: string;
  readonly pairChanges: number;
  readonly localUfrag: string;
  readonly localAddress: string;
  readonly codec: string;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly concealedSamples: number;
  readonly silentConcealedSamples: number;
}

/** Encoded frames of audio, and the longest time without one. */
export interface Frames {
  readonly frames: number;
  readonly longestGapMs: number;
}

const WAIT_MS = 30_000;
const PAGES = path.join(import.meta.dirname, 'chromium');
const KINDS: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };

/** Debian's Chromium, headless, with a page that holds a telephone made of sip.js. One process serves many phones, each in a page. */
export class Chromium {
  static readonly program = findProgram('chromium');
  readonly #browser: Browser;
  readonly #server: Server;
  readonly #phones: BrowserPhone[] = [];

  static async start({ candidates = 'addresses' }: ChromiumOptions = {}): Promise<Chromium> {
    await bundledSipJs();
    // Pages of this machine are secure contexts, as WebRTC and worklets ask.
    const server = createServer((request, response) => {
      void serve(request.url ?? '/').then((file) => {
        response.writeHead(file === undefined ? 404 : 200, { 'content-type': file?.kind ?? 'text/plain' });
        response.end(file?.content);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const browser = await chromium.launch({
      executablePath: Chromium.program ?? 'chromium',
      args: [
        '--no-sandbox',
        '--autoplay-policy=no-user-gesture-required',
        '--ignore-certificate-errors',
        `--${candidates === 'mdns' ? 'enable' : 'disable'}-features=WebRtcHideLocalIpsWithMdns`,
      ],
    });
    return new Chromium(browser, server);
  }

  private constructor(browser: Browser, server: Server) {
    this.#browser = browser;
    this.#server = server;
  }

  /** Resolves when it is registered. */
  async phone(options: BrowserPhoneOptions): Promise<BrowserPhone> {
    const page = await this.#browser.newPage();
    const phone = new BrowserPhone(page, options);
    this.#phones.push(phone);
    await phone.open(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`);
    return phone;
  }

  /** All phones unregister and leave. */
  async clear(): Promise<void> {
    await Promise.all(this.#phones.splice(0).map((phone) => phone.stop()));
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** A page's telephone. What happens to it is in `events`, in order. */
export class BrowserPhone {
  readonly options: BrowserPhoneOptions;
  readonly events: Seen<BrowserEvent>;
  readonly #page: Page;
  /** What was heard is told ten times a second, and lies apart from the rest. */
  readonly #heard: Seen<BrowserEvent>;

  constructor(page: Page, options: BrowserPhoneOptions) {
    this.#page = page;
    this.options = options;
    const who = `browser ${options.user}`;
    this.events = new Seen(who, ({ type, state, status, text }) =>
      [type, state, status, text].filter((part) => part !== undefined).join(' '),
    );
    this.#heard = new Seen(
      who,
      ({ toneHz, longestSilentMs }) => `${toneHz} Hz, silent ${longestSilentMs} ms`,
    );
  }

  async open(url: string): Promise<void> {
    const { user, password = `demo-${user}`, domain = 'demo.twinline.test', ...more } = this.options;
    this.#page.on('pageerror', (error) => this.events.add({ type: 'pageerror', text: String(error) }));
    await this.#page.exposeFunction('tell', (event: BrowserEvent) =>
      (event.type === 'heard' ? this.#heard : this.events).add(event),
    );
    await this.#page.goto(url);
    // Not by frames, which a page behind another one has none of.
    await this.#page.waitForFunction('window.phone !== undefined', undefined, { polling: 50 });
    await this.#do('start', { answer: 'auto', ...more, user, password, domain });
  }

  call(user: string): Promise<void> {
    return this.#do('call', user);
  }

  accept(): Promise<void> {
    return this.#do('accept');
  }

  hangUp(): Promise<void> {
    return this.#do('hangUp');
  }

  /** Resolve with the answer to the re-INVITE. */
  hold(): Promise<{ status: number; body: string }> {
    return this.#do('hold');
  }

  resume(): Promise<{ status: number; body: string }> {
    return this.#do('resume');
  }

  /** Transfers its call. Resolves with what it was told, in order. */
  refer(user: string): Promise<readonly string[]> {
    return this.#do('refer', `sip:${user}@${this.options.domain ?? 'demo.twinline.test'}`);
  }

  restartIce(): Promise<{ status: number; body: string }> {
    return this.#do('restartIce');
  }

  /** Asks for end-to-end encryption, or for its end. */
  encrypt(on: boolean): Promise<{ status: number; body: string; warning?: string }> {
    return this.#do('encrypt', on);
  }

  /** Whether what comes is decrypted. */
  decrypts(decrypts: boolean): Promise<void> {
    return this.#do('decrypts', decrypts);
  }

  /** Of the frames since the last reset, as they left and as they came; how many could not be decrypted. */
  async payloads(reset = false): Promise<{ sent: Buffer[]; received: Buffer[]; failed: number }> {
    const { sent, received, failed } = await this.#do<{
      sent: string[];
      received: string[];
      failed: number;
    }>('payloads', reset);
    const read = (texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, 'base64'));
    return { sent: read(sent), received: read(received), failed };
  }

  press(digits: string): Promise<boolean> {
    return this.#do('press', digits);
  }

  /** Its own half of what was agreed: SDP. */
  description(): Promise<string> {
    return this.#do('description');
  }

  stats(): Promise<BrowserStats> {
    return this.#do('stats');
  }

  /** What arrived and what was sent since the last reset. */
  frames(reset = false): Promise<{ readonly arrived: Frames; readonly sent: Frames }> {
    return this.#do('frames', reset);
  }

  /** The first such event, or from `from` (`phone.events.next`) on. */
  event(
    type: string,
    { from = 0, state, withinMs = WAIT_MS }: { from?: number; state?: string; withinMs?: number } = {},
  ): Promise<BrowserEvent> {
    return this.events.first(
      `${type} ${state ?? ''}`,
      (event) => event.type === type && (state === undefined || event.state === state),
      { waitMs: withinMs, from },
    );
  }

  /** Resolves when half a second of that tone and nothing else has been heard after now. */
  async hears(toneHz: number, withinMs = WAIT_MS): Promise<void> {
    let inARow = 0;
    await this.#heard.first(
      `${toneHz} Hz`,
      (event) => {
        inARow = event.toneHz === toneHz ? inARow + 1 : 0;
        return inARow === 5;
      },
      { waitMs: withinMs, from: this.#heard.next },
    );
  }

  /** Resolves when half a second without a tone has been heard after now. */
  async hearsNothing(withinMs = WAIT_MS): Promise<void> {
    let inARow = 0;
    await this.#heard.first(
      'silence',
      ({ toneHz }) => {
        inARow = toneHz === undefined ? inARow + 1 : 0;
        return inARow === 5;
      },
      { waitMs: withinMs, from: this.#heard.next },
    );
  }

  /** Where the record of what is heard stands, for `longestSilentMs`. */
  get ear(): number {
    return this.#heard.next;
  }

  /** The longest silence since then. */
  longestSilentMs(since: number): number {
    const heard = this.#heard.items.slice(Math.max(0, since - this.#heard.dropped));
    return Math.max(0, ...heard.map(({ longestSilentMs = 0 }) => longestSilentMs));
  }

  async stop(): Promise<void> {
    await this.#do('stop').catch(() => {});
    await this.#page.close();
  }

  #do<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    return this.#page.evaluate(
      // Runs in the page.
      ([method, given]) =>
        (globalThis as unknown as { phone: Record<string, (...all: unknown[]) => unknown> }).phone[method]!(
          ...given,
        ) as T,
      [name, args] as const,
    ) as Promise<T>;
  }
}

async function serve(url: string): Promise<{ kind: string; content: Buffer } | undefined> {
  const { pathname } = new URL(url, 'http://localhost');
  if (pathname === '/sip.js') return { kind: 'text/javascript', content: await bundledSipJs() };
  const file = path.join(PAGES, pathname === '/' ? 'index.html' : pathname.slice(1));
  if (!file.startsWith(`${PAGES}${path.sep}`)) return undefined;
  const content = await readFile(file).catch(() => undefined);
  return content && { kind: KINDS[path.extname(file)] ?? 'text/plain', content };
}

let sipJs: Promise<Buffer> | undefined;

function bundledSipJs(): Promise<Buffer> {
  sipJs ??= bundleSipJs();
  return sipJs;
}

/** Its 200 modules in one file: a busy machine takes half a minute to hand them over one by one. Vite is vitest's own. */
async function bundleSipJs(): Promise<Buffer> {
  const vitest = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'));
  const { build } = (await import(vitest.resolve('vite'))) as typeof import('vite');
  const entry = createRequire(import.meta.url).resolve('sip.js');
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    root: path.dirname(entry),
    build: { write: false, minify: false, lib: { entry, formats: ['es'], fileName: 'sip' } },
  });
  const [result] = [built].flat();
  if (result === undefined || !('output' in result)) throw new Error('sip.js could not be bundled');
  return Buffer.from(result.output[0].code);
}
