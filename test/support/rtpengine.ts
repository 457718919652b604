import { readdirSync, readFileSync } from 'node:fs';
import { type Bencoded, NgClient } from '../../src/media/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { findProgram, freePort, Peer, udpPortTaken } from './peer.ts';
import { createPhoneMedia, type PhoneAudio, type PhoneMediaOptions } from './phone-media.ts';
import type { PhoneMedia } from './phone-types.ts';

/** Every suite that rtpengine 10 would offer by itself. */
const ITS_SUITES = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  ...['AES_256_CM', 'AES_192_CM', 'AES_CM_128', 'F8_128', 'NULL'].flatMap((cipher) => [
    `${cipher}_HMAC_SHA1_80`,
    `${cipher}_HMAC_SHA1_32`,
  ]),
];

interface Reply {
  readonly result: string;
  readonly sdp?: string;
  readonly 'error-reason'?: string;
}

export interface RtpengineOptions {
  readonly threads?: number;
  /** The first and the last. */
  readonly mediaPorts?: readonly [number, number];
}

/** Debian's rtpengine in user space, steered by its ng protocol (bencode over UDP). Ended by its pid. */
export class Rtpengine {
  static readonly program = findProgram('rtpengine');
  readonly #peer: Peer;
  readonly #client: NgClient;
  /** Of its ng protocol. */
  readonly port: number;

  /** Ten ports are few, but a test has one call at a time: four. */
  static async start({ threads = 2, mediaPorts }: RtpengineOptions = {}): Promise<Rtpengine> {
    const port = await freePort();
    const first = mediaPorts?.[0] ?? (await freePort());
    const last = mediaPorts?.[1] ?? first + 9;
    const peer = new Peer(Rtpengine.program ?? 'rtpengine', [
      ...['--config-file=none', '--foreground', '--log-stderr', '--log-level=4', '--table=-1'],
      ...['--interface=127.0.0.1', `--listen-ng=127.0.0.1:${port}`, `--num-threads=${threads}`, '--tos=0'],
      ...[`--port-min=${first}`, `--port-max=${last}`, '--delete-delay=0'],
    ]);
    const client = new NgClient({ address: '127.0.0.1', port, clock: systemClock, random: systemRandom });
    const engine = new Rtpengine(peer, client, port);
    try {
      await udpPortTaken(port, peer);
      await engine.ask({ command: 'ping' });
    } catch (error) {
      await engine.stop();
      throw new Error(`rtpengine did not start: ${String(error)}\n${peer.output.slice(-2_000)}`);
    }
    return engine;
  }

  private constructor(peer: Peer, client: NgClient, port: number) {
    this.#peer = peer;
    this.#client = client;
    this.port = port;
  }

  get pid(): number {
    return this.#peer.pid;
  }

  get log(): string {
    return this.#peer.output;
  }

  /** One command. Rejects with rtpengine's reason. */
  async ask(command: Record<string, Bencoded>): Promise<Reply> {
    return (await this.#client.ask(command)) as unknown as Reply;
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#peer.stop();
  }
}

/** The processes that take commands of ng at that port of 127.0.0.1, whoever started them. */
export function rtpengineAt(port: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.includes(`--listen-ng=127.0.0.1:${port}`);
      } catch {
        // It ended while we looked.
        return false;
      }
    });
}

let calls = 0;

/**
 * A phone's media behind rtpengine: the phone itself speaks plain RTP to it, and it SRTP of one suite to the peer, with its own
 * ciphers and key derivation. Its commands take a while, so a call's answer has to be prepared before it is asked for.
 */
export class RtpengineMedia implements PhoneMedia {
  readonly audio: PhoneAudio;
  readonly #engine: Rtpengine;
  readonly #suite: SrtpSuite;
  readonly #call = `call-${++calls}`;
  #offer = '';
  #answer = '';
  /** What `apply` set going. */
  applied: Promise<void> = Promise.resolve();

  static async open(
    engine: Rtpengine,
    suite: SrtpSuite,
    options: PhoneMediaOptions,
  ): Promise<RtpengineMedia> {
    const audio = await createPhoneMedia({ ...options, srtp: [] });
    return new RtpengineMedia(engine, suite, audio);
  }

  private constructor(engine: Rtpengine, suite: SrtpSuite, audio: PhoneAudio) {
    this.#engine = engine;
    this.#suite = suite;
    this.audio = audio;
  }

  /** Before the phone calls. */
  async prepareOffer(): Promise<void> {
    const { sdp } = await this.#engine.ask({
      command: 'offer',
      'call-id': this.#call,
      'from-tag': 'phone',
      sdp: this.audio.offer(),
      'transport-protocol': 'RTP/SAVP',
      ...this.#manners(),
    });
    this.#offer = sdp!;
  }

  /** Before the phone answers that offer. */
  async prepareAnswer(offer: string): Promise<void> {
    const plain = await this.#engine.ask({
      command: 'offer',
      'call-id': this.#call,
      'from-tag': 'peer',
      sdp: offer,
      'transport-protocol': 'RTP/AVP',
      ...this.#manners(),
    });
    const { sdp } = await this.#engine.ask({
      command: 'answer',
      'call-id': this.#call,
      'from-tag': 'peer',
      'to-tag': 'phone',
      sdp: this.audio.answer(plain.sdp!),
      ...this.#manners(),
    });
    this.#answer = sdp!;
  }

  offer(): string {
    return this.#offer;
  }

  answer(): string {
    return this.#answer;
  }

  apply(answer: string): void {
    this.applied = (async () => {
      const { sdp } = await this.#engine.ask({
        command: 'answer',
        'call-id': this.#call,
        'from-tag': 'phone',
        'to-tag': 'peer',
        sdp: answer,
        ...this.#manners(),
      });
      this.audio.apply(sdp!);
    })();
    this.applied.catch(() => {});
  }

  hold(on: boolean): void {
    this.audio.hold(on);
  }

  stats() {
    return this.audio.stats();
  }

  close(): void {
    this.audio.close();
    void this.#engine
      .ask({ command: 'delete', 'call-id': this.#call, 'from-tag': 'phone', 'delete-delay': 0 })
      .catch(() => {});
  }

  /** SDES alone with one suite, no DTLS, no ICE, RTCP on its own port. */
  #manners(): Record<string, Bencoded> {
    return {
      ICE: 'remove',
      DTLS: 'off',
      'rtcp-mux': ['demux'],
      flags: ['trust-address', 'pad-crypto'],
      SDES: ['pad', ...ITS_SUITES.filter((suite) => suite !== this.#suite).map((suite) => `no-${suite}`)],
    };
  }
}
