import { closeSync, openSync, readdirSync, readSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { findProgram, freePort, Peer, TemporaryDirectory } from './peer.ts';
import { Seen } from './phone-seen.ts';
import { encodeMu, SAMPLE_RATE_HZ, SAMPLES, strongestTone } from './tone.ts';

export interface BaresipOptions {
  readonly user: string;
  readonly password?: string;
  readonly domain?: string;
  /** Absent: the servers of its domain, by the records of `dnsServer` (RFC 3263). */
  readonly server?: { readonly address: string; readonly port: number };
  /** It keeps a flow to `server` and one to this (RFC 5626). */
  readonly secondServer?: { readonly address: string; readonly port: number };
  /** Port on loopback. */
  readonly dnsServer?: number;
  readonly transport?: 'udp' | 'tcp' | 'tls';
  /** `srtp`: offered and taken where the peer has it; `srtp-mand`: RTP/SAVP or nothing. Absent: plain RTP. */
  readonly mediaEncryption?: 'srtp' | 'srtp-mand';
  readonly answer?: 'auto' | 'manual';
  /** It asks again when 90 % of it are over, and no sooner. */
  readonly registerSec?: number;
  /** Default `pcmu`. */
  readonly codec?: keyof typeof CODECS;
  /** How long the packets are that it asks for and sends. */
  readonly ptimeMs?: number;
  /** What it says. */
  readonly toneHz: number;
}

/** What its control port tells of a call or a registration. */
export interface BaresipEvent {
  readonly type: string;
  readonly direction?: 'incoming' | 'outgoing';
  readonly peeruri?: string;
  readonly param?: string;
}

interface Response {
  readonly response: true;
  readonly ok: boolean;
  readonly data: string;
  readonly token: string;
}

/** As it wants them named: the rate is that of the samples. */
const CODECS = { pcmu: 'pcmu', pcma: 'pcma', g722: 'g722/16000/1', opus: 'opus/48000/2' } as const;
const WAIT_MS = 10_000;
const TONE_SECONDS = 90;

/**
 * Debian's baresip in a directory of its own: it says a tone of one pitch, writes down what it hears, and is steered over its control
 * port (netstrings of JSON). Ended by its pid.
 */
export class Baresip {
  static readonly program = findProgram('baresip');
  readonly user: string;
  /** The first of the ten from which it takes those of its calls' media. */
  readonly mediaPort: number;
  readonly options: BaresipOptions;
  readonly events = new Seen<BaresipEvent>('baresip', ({ type, param }) => `${type} ${param ?? ''}`);
  readonly #peer: Peer;
  readonly #files: TemporaryDirectory;
  #control: Socket | undefined;
  #rest = Buffer.alloc(0);
  #commands = 0;
  readonly #responses = new Seen<Response>('baresip', ({ token, data }) => `${token}: ${data}`);

  /** Resolves when it is registered. */
  static async start(options: BaresipOptions): Promise<Baresip> {
    // SIP over UDP and TCP at the port, TLS at the one behind, RTP from +10 on, the control port at +8.
    const [port, media] = [await freePort(), await freePort()];
    const phone = new Baresip(options, port, media);
    try {
      await phone.#peer.said(/baresip is ready/);
      await phone.#steer(port + 8);
      await phone.event('REGISTER_OK');
    } catch (error) {
      await phone.stop();
      throw new Error(`${String(error)}\n${phone.log.slice(-3_000)}`);
    }
    return phone;
  }

  private constructor(options: BaresipOptions, port: number, mediaPort: number) {
    const {
      user,
      password = `demo-${user}`,
      domain = 'demo.twinline.test',
      server,
      secondServer,
      dnsServer,
      transport = 'udp',
    } = options;
    const proxy = ({ address, port: at }: { address: string; port: number }): string =>
      `"sip:${address}:${at};transport=${transport}"`;
    this.user = user;
    this.mediaPort = mediaPort;
    this.options = options;
    this.#files = new TemporaryDirectory('twinline-baresip');
    const write = (name: string, content: string | Buffer) =>
      writeFileSync(path.join(this.#files.path, name), content);
    write('tone.wav', toneFile(options.toneHz, TONE_SECONDS));
    write('contacts', '');
    write(
      'accounts',
      `<sip:${user}@${domain};transport=${transport}>` +
        [
          `auth_user=${user}`,
          `auth_pass=${password}`,
          ...(server === undefined ? [] : [`outbound=${proxy(server)}`]),
          ...(secondServer === undefined ? [] : [`outbound2=${proxy(secondServer)}`, 'sipnat=outbound']),
          `regint=${options.registerSec ?? 600}`,
          `answermode=${options.answer ?? 'auto'}`,
          `audio_codecs=${CODECS[options.codec ?? 'pcmu']}`,
          ...(options.ptimeMs === undefined ? [] : [`ptime=${options.ptimeMs}`]),
          ...(options.mediaEncryption === undefined ? [] : [`mediaenc=${options.mediaEncryption}`]),
        ]
          .map((parameter) => `;${parameter}`)
          .join('') +
        '\n',
    );
    write(
      'config',
      [
        'poll_method epoll',
        'net_interface 127.0.0.1',
        ...(dnsServer === undefined ? [] : [`dns_server 127.0.0.1:${dnsServer}`]),
        `sip_listen 127.0.0.1:${port}`,
        'call_max_calls 10',
        `rtp_ports ${mediaPort}-${mediaPort + 9}`,
        // Where it plays to does not matter: the dump of the decoded audio is what it hears.
        'audio_player nil,nil',
        'audio_alert nil,nil',
        `audio_source aufile,${this.#files.path}/tone.wav`,
        ...['ausrc_srate 8000', 'auplay_srate 8000', 'ausrc_channels 1', 'auplay_channels 1'],
        `snd_path ${this.#files.path}`,
        `module_path ${moduleDirectory()}`,
        ...['g711', 'g722', 'opus', 'aufile', 'sndfile', 'srtp'].map((name) => `module ${name}.so`),
        ...['uuid', 'account'].map((name) => `module_tmp ${name}.so`),
        ...['ctrl_tcp', 'menu'].map((name) => `module_app ${name}.so`),
        `ctrl_tcp_listen 127.0.0.1:${port + 8}`,
        '',
      ].join('\n'),
    );
    // -s traces every SIP message; -v says which suite SRTP has.
    this.#peer = new Peer(Baresip.program ?? 'baresip', ['-f', this.#files.path, '-4', '-v', '-s'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** What it wrote, with every SIP message in both directions. */
  get log(): string {
    return this.#peer.output;
  }

  get mark(): number {
    return this.#peer.mark;
  }

  said(pattern: RegExp, options: { readonly from?: number; readonly withinMs?: number } = {}) {
    return this.#peer.said(pattern, options);
  }

  /** How many requests of that method came or went since `mark`. */
  requests(method: string, from: number): number {
    return [...this.#peer.since(from).matchAll(new RegExp(`^${method} sips?:`, 'gm'))].length;
  }

  /** The first event of that type, or from `from` (`phone.events.next`) on. */
  event(type: string, { from = 0, withinMs = WAIT_MS } = {}): Promise<BaresipEvent> {
    return this.events.first(type, (event) => event.type === type, {
      waitMs: withinMs,
      from,
      alsoTell: () => [
        ...this.events.items.map(({ type: one, param }) => `${one} ${param ?? ''}`),
        this.log.slice(-3_000),
      ],
    });
  }

  dial(user: string): Promise<string> {
    return this.command('dial', `sip:${user}@${this.options.domain ?? 'demo.twinline.test'}`);
  }

  hold(): Promise<string> {
    return this.command('hold');
  }

  resume(): Promise<string> {
    return this.command('resume');
  }

  /** REFER: it hangs up by itself when it hears that the other one has answered. */
  transfer(user: string): Promise<string> {
    return this.command('transfer', `sip:${user}@${this.options.domain ?? 'demo.twinline.test'}`);
  }

  async hangUp(): Promise<void> {
    await this.command('hangup');
  }

  /** A command of its menu. Resolves with what it says to it. */
  async command(command: string, params = ''): Promise<string> {
    const token = String(++this.#commands);
    const json = JSON.stringify({ command, params, token });
    this.#control?.write(`${Buffer.byteLength(json)}:${json},`);
    const { ok, data } = await this.#responses.first(
      `an answer to ${command}`,
      (response) => response.token === token,
      { waitMs: WAIT_MS },
    );
    if (!ok) throw new Error(`baresip refused "${command} ${params}": ${data}`);
    return data;
  }

  /**
   * Resolves when half a second of that tone and nothing else has reached its ear after now. Its decoded audio is read from the file
   * that it writes; there is no event for it, so the file is looked at every 20 ms. After a hold baresip 1.0 plays again but does not
   * write again: then there is `receives`.
   */
  async hears(toneHz: number, withinMs = WAIT_MS): Promise<void> {
    const started = new Map(this.#dumps().map((file) => [file, statSync(file).size]));
    const deadline = performance.now() + withinMs;
    let heard: number | undefined;
    while (performance.now() < deadline) {
      const newest = this.#dumps().at(-1);
      if (newest !== undefined) {
        const { size } = statSync(newest);
        const samplesPerOurs = samplesPerOursOf(newest);
        const wanted = SAMPLE_RATE_HZ * samplesPerOurs; // bytes: 16 bits for each of half a second's samples
        if (size - (started.get(newest) ?? 44) >= wanted) {
          heard = toneOf(tailOf(newest, size, wanted), samplesPerOurs);
          if (heard === toneHz) return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(
      `baresip ${this.user} did not hear ${toneHz} Hz within ${withinMs} ms but ${heard ?? 'nothing'}\n${this.log.slice(-2_000)}`,
    );
  }

  /** Resolves when so many more RTP packets (of SRTP: that it could decrypt) have reached it, by its own RTCP statistics. */
  async receives(packets: number, withinMs = WAIT_MS): Promise<void> {
    const before = await this.#received();
    const deadline = performance.now() + withinMs;
    for (;;) {
      const more = (await this.#received()) - before;
      if (more >= packets) return;
      if (performance.now() > deadline) {
        throw new Error(
          `baresip ${this.user} received ${more} of ${packets} packets within ${withinMs} ms\n${this.log.slice(-2_000)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #received(): Promise<number> {
    const text = await this.command('audio_debug');
    return [...text.matchAll(/ rcvd=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async stop(): Promise<void> {
    this.#control?.destroy();
    await this.#peer.stop();
    this.#files.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Files of decoded audio, the newest last: each start of the audio opens one. */
  #dumps(): string[] {
    return readdirSync(this.#files.path)
      .filter((name) => name.endsWith('-dec.wav'))
      .map((name) => path.join(this.#files.path, name))
      .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
  }

  async #steer(port: number): Promise<void> {
    const socket = connect(port, '127.0.0.1');
    this.#control = socket;
    socket.on('data', (chunk) => this.#controlSaid(chunk));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', () => {});
    // It may have registered before there was anybody to tell.
    if (/200 OK .*binding/.test(this.log)) this.events.add({ type: 'REGISTER_OK' });
  }

  #controlSaid(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const colon = this.#rest.indexOf(':');
      if (colon < 0) return;
      const length = Number(this.#rest.subarray(0, colon).toString());
      if (this.#rest.length < colon + length + 2) return;
      const json = this.#rest.subarray(colon + 1, colon + 1 + length).toString();
      this.#rest = this.#rest.subarray(colon + length + 2);
      const said = JSON.parse(json) as Response | (BaresipEvent & { readonly event: true });
      if ('response' in said) this.#responses.add(said);
      else this.events.add(said);
    }
  }
}

function moduleDirectory(): string {
  for (const directory of ['/usr/lib/baresip/modules', '/usr/local/lib/baresip/modules']) {
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return directory;
  }
  return '/usr/lib/baresip/modules';
}

/** A WAV file of 16 bit and 8 kHz. */
export function toneFile(toneHz: number, seconds: number): Buffer {
  const samples = SAMPLE_RATE_HZ * seconds;
  const file = Buffer.alloc(44 + 2 * samples);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + 2 * samples, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(SAMPLE_RATE_HZ, 24);
  file.writeUInt32LE(2 * SAMPLE_RATE_HZ, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(2 * samples, 40);
  for (let i = 0; i < samples; i++) {
    file.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * toneHz * i) / SAMPLE_RATE_HZ)), 44 + 2 * i);
  }
  return file;
}

function tailOf(file: string, size: number, bytes: number): Buffer {
  const tail = Buffer.alloc(bytes);
  const descriptor = openSync(file, 'r');
  try {
    // On a whole sample: the data begin at an even offset.
    readSync(descriptor, tail, 0, bytes, (size - bytes) & ~1);
  } finally {
    closeSync(descriptor);
  }
  return tail;
}

/** How many samples the dump has for each one at 8 kHz: its codec's rate, and two with stereo. */
function samplesPerOursOf(file: string): number {
  const header = Buffer.alloc(28);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, 0, header.length, 0);
  } finally {
    closeSync(descriptor);
  }
  return Math.max(1, (header.readUInt16LE(22) * header.readUInt32LE(24)) / SAMPLE_RATE_HZ);
}

/** A pure tone may be thinned out without a filter. */
function toneOf(pcm: Buffer, samplesPerOurs: number): number | undefined {
  const packets: Buffer[] = [];
  const packetBytes = 2 * SAMPLES * samplesPerOurs;
  for (let at = 0; at + packetBytes <= pcm.length; at += packetBytes) {
    const packet = Buffer.alloc(SAMPLES);
    for (let i = 0; i < SAMPLES; i++) packet[i] = encodeMu(pcm.readInt16LE(at + 2 * i * samplesPerOurs));
    packets.push(packet);
  }
  return strongestTone(packets, 'pcmu');
}
