import type dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { systemRandom } from '../../src/native/index.ts';
import { isRtcp, type SrtpKey } from '../../src/rtp/index.ts';
import {
  type AudioDescription,
  acceptCryptoAnswer,
  answerDirection,
  audioOf,
  audiosOf,
  buildAnswer,
  buildOffer,
  type Codec,
  type CryptoLine,
  chooseProtection,
  type Direction,
  maySend,
  newKeySalt,
  parseSdp,
  reviseVersion,
  type SessionDescription,
  type SrtpSuite,
  selectCodecs,
  serializeSdp,
} from '../../src/sdp/index.ts';
import { ImpairedPath, openSocket, type PathEnd } from './impairer.ts';
import { type Beat, everyMs } from './pacer.ts';
import { Ear } from './phone-media-ear.ts';
import { KEYPAD, PCMA, PCMU, type PhoneMediaOptions, type PhoneMediaStats } from './phone-media-types.ts';
import { Voice } from './phone-media-voice.ts';
import type { PhoneMedia, PhoneMediaFactory } from './phone-types.ts';

export { KEYPAD, PCMA, PCMU, type PhoneMediaOptions, type PhoneMediaStats } from './phone-media-types.ts';

let phones = 0;

/** A factory for `PhoneOptions.media`: every call of the phone gets its own audio. */
export const phoneMedia =
  (options: Omit<PhoneMediaOptions, 'address'> = {}): PhoneMediaFactory =>
  ({ address, srtp }) =>
    createPhoneMedia({ ...options, address, srtp: options.srtp ?? srtp });

/** Binds two ports (RTP even, RTCP the next) and waits for an offer or an answer. */
export async function createPhoneMedia(options: PhoneMediaOptions): Promise<PhoneAudio> {
  const [rtp, rtcp] = await openPortPair(options.address);
  const { network } = options;
  if (!network) return new PhoneAudio(options, rtp, rtcp, undefined);
  const [rtpPath, rtcpPath] = await Promise.all([
    ImpairedPath.open({ ...network, bind: options.address, client: rtp.address() }),
    ImpairedPath.open({ ...network, seed: network.seed + 2, bind: options.address, client: rtcp.address() }),
  ]);
  return new PhoneAudio(options, rtp, rtcp, { rtp: rtpPath, rtcp: rtcpPath });
}

/** A phone's audio in one call: SDP in and out, tone out, packets in, and what can be said of them. */
export class PhoneAudio implements PhoneMedia {
  readonly sender: number;
  readonly ear = new Ear();
  readonly voice: Voice;
  readonly #options: PhoneMediaOptions;
  #rtp: dgram.Socket;
  readonly #rtcp: dgram.Socket;
  readonly #paths: { readonly rtp: ImpairedPath; readonly rtcp: ImpairedPath } | undefined;
  readonly #keys = new Map<SrtpSuite, string>();
  readonly #listeners = new Set<(sender: number | undefined) => void>();
  #described: SessionDescription | undefined;
  #offered: { readonly crypto: readonly CryptoLine[]; readonly direction: Direction } | undefined;
  #wanted: Direction = 'sendrecv';
  #direction: Direction | undefined;
  #remote: { address: string; port: number; rtcpPort: number } | undefined;
  #protection: SrtpSuite | 'plain' | undefined;
  #beats: Beat[] = [];
  #lastSentMs: number | undefined;
  #longestSendGapMs = 0;
  #fromElsewhere = 0;
  #early = 0;
  #closed = false;

  constructor(
    options: PhoneMediaOptions,
    rtp: dgram.Socket,
    rtcp: dgram.Socket,
    paths: { readonly rtp: ImpairedPath; readonly rtcp: ImpairedPath } | undefined,
  ) {
    const number = phones++;
    this.sender = ((process.pid & 0xffff) << 16) + (number & 0xffff);
    this.#options = options;
    this.#rtp = rtp;
    this.#rtcp = rtcp;
    this.#paths = paths;
    this.voice = new Voice({
      sender: this.sender >>> 0,
      ssrc: options.ssrc ?? Buffer.from(systemRandom.bytes(4)).readUInt32BE(0),
      startSequence: options.startSequence ?? 1,
      toneHz: options.toneHz ?? 400 + 50 * (number % 23),
    });
    this.#listen(rtp, false);
    this.#listen(rtcp, true);
  }

  /** The present offer, for a first INVITE or a re-INVITE; the same keys for the same suites. */
  offer({ srtp = this.#options.srtp ?? [] }: { readonly srtp?: readonly SrtpSuite[] } = {}): string {
    const crypto = srtp.map((suite, at) => ({ tag: at + 1, suite, keySalt: this.#keyOf(suite) }));
    this.#offered = { crypto, direction: this.#wanted };
    return this.#publish(
      buildOffer({
        ...this.#local(this.#codecs, this.#wanted),
        rtcpMux: this.#options.rtcpMux ?? false,
        crypto,
        optionalSrtp: this.#options.optionalSrtp ?? false,
        ptimeMs: 20,
        ...(this.#described && { previous: this.#described }),
      }),
    );
  }

  /** An offer with another direction, for hold and resume. */
  reoffer({ direction }: { readonly direction: Direction }): string {
    this.#wanted = direction;
    return this.offer();
  }

  answer(offerSdp: string): string {
    const offer = readSdp(offerSdp);
    const order = this.#options.srtp ?? [];
    // Of a secure and a plain line, the first that this phone can do.
    for (const audio of audiosOf(offer)) {
      const protection = chooseProtection(audio, order, false);
      const codecs = selectCodecs(audio.codecs, this.#codecs);
      if (audio.port === 0 || !protection.ok || protection.value.kind === 'dtls' || codecs.length === 0)
        continue;
      const { value } = protection;
      const taken = value.kind === 'srtp' ? value.taken : undefined;
      const crypto = taken && { tag: taken.tag, suite: taken.suite, keySalt: this.#keyOf(taken.suite) };
      const direction = answerDirection(audio.direction, this.#wanted);
      const rtcpMux = audio.rtcpMux && (this.#options.rtcpMux ?? false);
      const answer = this.#publish(
        buildAnswer(offer, {
          ...this.#local(codecs, direction),
          rtcpMux,
          codecs,
          audio,
          ...(crypto && { crypto }),
        }),
      );
      this.#agree(audio, codecs, codecs, direction, rtcpMux, crypto, taken);
      return answer;
    }
    throw new Error(
      `the phone can do nothing of this offer:\n${offerSdp.replace(/inline:\S+/g, 'inline:…')}`,
    );
  }

  apply(answerSdp: string): void {
    const audio = audioOf(readSdp(answerSdp));
    if (!audio || audio.port === 0) throw new Error('the answer refuses the audio');
    if (!this.#offered) throw new Error('an answer came without an offer of ours');
    const { crypto, direction } = this.#offered;
    const pair = acceptCryptoAnswer(crypto, audio.crypto);
    if (!pair.ok && pair.error === 'bad_answer')
      throw new Error('the answer takes none of the offered SRTP lines');
    const plainIsFine = crypto.length === 0 || this.#options.optionalSrtp === true;
    if (!pair.ok && !plainIsFine) throw new Error('the answer has no SRTP, which the offer demanded');
    const codecs = selectCodecs(audio.codecs, this.#codecs);
    if (codecs.length === 0) throw new Error('the answer has none of the offered codecs');
    this.#agree(
      audio,
      codecs,
      this.#codecs,
      answerDirection(audio.direction, direction),
      audio.rtcpMux && (this.#options.rtcpMux ?? false),
      pair.ok ? { suite: pair.value.suite, keySalt: pair.value.sendKeySalt } : undefined,
      pair.ok ? { suite: pair.value.suite, keySalt: pair.value.receiveKeySalt } : undefined,
    );
  }

  /** Whether the phone holds its peer; the next offer or answer says so. */
  hold(on: boolean): void {
    this.#wanted = on ? 'sendonly' : 'sendrecv';
  }

  /** Sends audio while the direction allows it. */
  start(): void {
    if (this.#beats.length > 0 || this.#closed) return;
    this.#lastSentMs = undefined;
    this.#beats = [
      everyMs(20, () => this.#sendAudio(), 1),
      everyMs(this.#options.rtcpEveryMs ?? 2000, () => this.#sendReport()),
    ];
  }

  stop(): void {
    for (const beat of this.#beats.splice(0)) beat.stop();
  }

  /** Presses keys one after the other, each for `durationMs`, as RFC 4733 events. */
  press(digits: string, durationMs = 100): void {
    for (const digit of digits) this.voice.press(digit, durationMs);
  }

  /** Another source port from now on, as after a NAT that forgot: what was agreed stays. */
  async rebind(): Promise<void> {
    const [rtp, unused] = await openPortPair(this.#options.address);
    unused.close();
    this.#rtp.close();
    this.#rtp = rtp;
    this.#listen(rtp, false);
  }

  /** Resolves when `packets` more have been heard (of that sender, if one is named); rejects after `withinMs`. */
  heard(want: {
    readonly packets: number;
    readonly withinMs: number;
    readonly from?: number;
  }): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing = want.packets;
      const done = (outcome: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        outcome();
      };
      const listener = (sender: number | undefined): void => {
        if (want.from !== undefined && sender !== want.from) return;
        if (--missing === 0) done(resolve);
      };
      const timer = setTimeout(() => {
        const got = want.packets - missing;
        done(() =>
          reject(
            new Error(
              `heard ${got} of ${want.packets} packets within ${want.withinMs} ms: ${JSON.stringify(this.stats())}`,
            ),
          ),
        );
      }, want.withinMs);
      this.#listeners.add(listener);
    });
  }

  /** Measures gaps anew: of what comes, from the last packet on, and of what is sent. */
  resetGap(): void {
    this.ear.resetGap();
    this.#longestSendGapMs = 0;
  }

  stats(): PhoneMediaStats {
    const delays = [...this.ear.delaysMs].sort((a, b) => a - b);
    return {
      ...this.ear.stats,
      port: this.#advertised().port,
      rtcpPort: this.#advertised().rtcpPort,
      remote: this.#remote,
      closed: this.#closed,
      direction: this.#direction,
      protection: this.#protection,
      codec: this.voice.codecs[0]?.name,
      sender: this.voice.options.sender,
      heardFrom: Object.fromEntries(this.ear.senders),
      toneHz: this.ear.toneHz(),
      level: this.ear.level(),
      digits: this.ear.digits.join(''),
      ssrcs: this.ear.ssrcs,
      packetsSent: this.voice.packetsSent,
      rtcpSent: this.voice.rtcpSent,
      longestGapMs: this.ear.longestGapMs(performance.now()),
      longestSendGapMs: this.#longestSendGapMs,
      delayMs:
        delays.length === 0 ? undefined : { median: delays[delays.length >> 1]!, worst: delays.at(-1)! },
      fromElsewhere: this.#fromElsewhere,
      early: this.#early,
      unprotectable: this.voice.unprotectable,
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stop();
    this.#rtp.close();
    this.#rtcp.close();
    this.#paths?.rtp.close();
    this.#paths?.rtcp.close();
  }

  get #codecs(): readonly Codec[] {
    return this.#options.codecs ?? [PCMU, PCMA, KEYPAD];
  }

  #keyOf(suite: SrtpSuite): string {
    const key = this.#keys.get(suite) ?? newKeySalt(suite, systemRandom);
    this.#keys.set(suite, key);
    return key;
  }

  #local(codecs: readonly Codec[], direction: Direction) {
    const { address } = this.#options;
    return {
      sessionId: String(this.voice.options.sender),
      version: '1',
      address,
      family: isIPv6(address) ? (6 as const) : (4 as const),
      ...this.#advertised(),
      direction,
      codecs,
    };
  }

  #advertised(): { port: number; rtcpPort: number } {
    if (this.#paths) return { port: this.#paths.rtp.far.port, rtcpPort: this.#paths.rtcp.far.port };
    if (this.#closed) return { port: 0, rtcpPort: 0 };
    return { port: this.#rtp.address().port, rtcpPort: this.#rtcp.address().port };
  }

  #publish(description: SessionDescription): string {
    this.#described = this.#described ? reviseVersion(this.#described, description) : description;
    return serializeSdp(this.#described);
  }

  #agree(
    audio: AudioDescription,
    sendCodecs: readonly Codec[],
    receiveCodecs: readonly Codec[],
    direction: Direction,
    rtcpMux: boolean,
    sendKey: SrtpKey | undefined,
    receiveKey: SrtpKey | undefined,
  ): void {
    const { address = '', port } = audio;
    this.#remote = { address, port, rtcpPort: rtcpMux ? port : audio.rtcpPort };
    this.#paths?.rtp.connect({ address, port });
    this.#paths?.rtcp.connect({ address, port: this.#remote.rtcpPort });
    this.#direction = direction;
    this.#protection = sendKey?.suite ?? 'plain';
    this.voice.codecs = sendCodecs;
    this.ear.codecs = receiveCodecs;
    this.voice.useKey(sendKey);
    this.ear.useKey(receiveKey);
    if (this.#options.autoStart ?? true) this.start();
  }

  #listen(socket: dgram.Socket, rtcpPort: boolean): void {
    socket.on('error', () => {});
    socket.on('message', (packet, from) => {
      if (this.#direction === undefined) {
        this.#early++;
        return;
      }
      if (rtcpPort || isRtcp(packet, packet.length)) {
        this.ear.hearRtcp(packet);
        return;
      }
      if (!this.#paths && from.port !== this.#remote?.port) this.#fromElsewhere++;
      const heard = this.ear.hear(packet, performance.now());
      if (heard) for (const listener of this.#listeners) listener(heard.mark?.sender);
    });
  }

  #sendAudio(): void {
    if (!this.#direction || !maySend(this.#direction)) {
      this.#lastSentMs = undefined;
      return;
    }
    const packet = this.voice.nextPacket();
    if (!packet) return;
    const nowMs = performance.now();
    if (this.#lastSentMs !== undefined) {
      this.#longestSendGapMs = Math.max(this.#longestSendGapMs, nowMs - this.#lastSentMs);
    }
    this.#lastSentMs = nowMs;
    this.#send(this.#rtp, packet, this.#paths?.rtp.near, this.#remote?.port);
  }

  #sendReport(): void {
    const packet = this.#direction && this.voice.nextReport(this.ear.reports());
    if (!packet || !this.#remote) return;
    const mux = this.#remote.rtcpPort === this.#remote.port;
    if (mux) this.#send(this.#rtp, packet, this.#paths?.rtp.near, this.#remote.port);
    else this.#send(this.#rtcp, packet, this.#paths?.rtcp.near, this.#remote.rtcpPort);
  }

  #send(socket: dgram.Socket, packet: Buffer, near: PathEnd | undefined, port: number | undefined): void {
    const to = near ?? (this.#remote && port ? { address: this.#remote.address, port } : undefined);
    if (to && !this.#closed) socket.send(packet, to.port, to.address);
  }
}

function readSdp(text: string): SessionDescription {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(`unreadable SDP, line ${parsed.error.line}: ${parsed.error.message}`);
  return parsed.value;
}

/** RFC 3550 §11: RTP on an even port, RTCP on the next. */
async function openPortPair(address: string): Promise<[dgram.Socket, dgram.Socket]> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const rtp = await openSocket(address);
    const { port } = rtp.address();
    if (port % 2 === 0) {
      try {
        return [rtp, await openSocket(address, port + 1)];
      } catch {
        // Taken: the next pair.
      }
    }
    rtp.close();
  }
  throw new Error(`no even port with a free one behind it on ${address}`);
}
