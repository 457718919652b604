import type dgram from 'node:dgram';
import { createDecoder, createEncoder, type Decoder, type Encoder } from '../../../src/audio/index.ts';
import { rtpHeaderLength, rtpSequence, writeRtpHeader } from '../../../src/rtp/index.ts';
import { audioOf, faxOf, parseSdp } from '../../../src/sdp/index.ts';
import { Changes } from '../changes.ts';
import { openSocket } from '../impairer.ts';
import { type Beat, everyMs } from '../pacer.ts';
import { PCMU } from '../phone-media-types.ts';
import type { PhoneMedia } from '../phone-types.ts';
import {
  type FaxJob,
  type FaxResult,
  FRAME_SAMPLES,
  openSoundFax,
  openT38Gateway,
  openT38Terminal,
  type SoundFax,
  type T38Gateway,
  type T38Terminal,
} from './spandsp.ts';
import { UdptlReceiver, UdptlSender } from './udptl.ts';

export interface FaxMediaOptions extends FaxJob {
  readonly address: string;
  /**
   * `adapter`: a machine on a telephone plug, whose sounds become T.38 once that is agreed on; `server`: speaks T.38 alone, and is silent until
   * then; `sound`: knows nothing of T.38 and refuses it.
   */
  readonly kind: 'adapter' | 'server' | 'sound';
  /** Of so many datagrams of T.38 that it sends one is lost on the way; absent: none. */
  readonly losesOneOf?: number;
}

const FRAME_MS = 20;
const RTP_HEADER_OCTETS = 12;
/** What is further ahead came late. */
const MOST_AHEAD = 500;
/** As adapters do it: three times what the way may lose in a row. */
const REDUNDANCY = 3;
const T38 = [
  'a=T38FaxVersion:0',
  'a=T38MaxBitRate:14400',
  'a=T38FaxRateManagement:transferredTCF',
  'a=T38FaxMaxBuffer:1024',
  'a=T38FaxMaxDatagram:400',
  'a=T38FaxUdpEC:t38UDPRedundancy',
];

/** What carries a fax machine's call: G.711, and T.38 in its place once either side asks for it. */
export class FaxMedia implements PhoneMedia {
  /** T.38 packets that came, and those of them that are part of the present page or training (T.38 §7.2). */
  packetsReceived = 0;
  imagePackets = 0;
  longestGapMs = 0;
  /** The next offer is T.38. */
  wantsT38 = false;
  readonly received: UdptlReceiver;
  framesHeard = 0;
  /** Frames of sound that did not come. */
  framesLost = 0;
  readonly #options: FaxMediaOptions;
  readonly #audio: dgram.Socket;
  readonly #fax: dgram.Socket;
  readonly #sender = new UdptlSender({ redundancy: REDUNDANCY });
  readonly #sound: SoundFax | undefined;
  readonly #terminal: T38Terminal | undefined;
  readonly #gateway: T38Gateway | undefined;
  readonly #encoder: Encoder = createEncoder(PCMU)!;
  readonly #decoder: Decoder = createDecoder(PCMU)!;
  readonly #frame = new Int16Array(FRAME_SAMPLES);
  readonly #changes = new Changes();
  #version = 0;
  #packetsSent = 0;
  #sequence = 0;
  #heardSequence: number | undefined;
  #lastMs: number | undefined;
  #remote: { port: number; address: string } | undefined;
  #isT38 = false;
  #beat: Beat | undefined;
  #closed = false;

  static async open(options: FaxMediaOptions): Promise<FaxMedia> {
    return new FaxMedia(options, await openSocket(options.address), await openSocket(options.address));
  }

  private constructor(options: FaxMediaOptions, audio: dgram.Socket, fax: dgram.Socket) {
    this.#options = options;
    this.#audio = audio;
    this.#fax = fax;
    const toPeer = (packet: Buffer, times: number) => this.#sendPacket(packet, times);
    if (options.kind === 'server') this.#terminal = openT38Terminal(options, toPeer);
    else this.#sound = openSoundFax(options);
    if (options.kind === 'adapter') this.#gateway = openT38Gateway(options.errorCorrection, toPeer);
    this.received = new UdptlReceiver((packet, sequence) => this.#takePacket(packet, sequence));
    audio.on('message', (packet) => this.#hear(packet));
    fax.on('message', (datagram) => {
      if (!this.#isT38) return;
      const nowMs = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - (this.#lastMs ?? nowMs));
      this.#lastMs = nowMs;
      this.received.take(datagram);
      this.#changes.tell();
    });
  }

  /** The machine's own word at the end of its T.30 call. */
  get ended(): Promise<FaxResult> {
    return (this.#sound ?? this.#terminal!).ended;
  }

  get isT38(): boolean {
    return this.#isT38;
  }

  until(condition: () => boolean): Promise<void> {
    return this.#changes.until(condition);
  }

  offer(): string {
    return this.#describe(this.wantsT38);
  }

  answer(offerSdp: string): string {
    const isFax = this.#take(offerSdp);
    return this.#describe(isFax);
  }

  apply(answerSdp: string): void {
    this.#take(answerSdp);
  }

  hold(): void {}

  stats(): { port: number; isT38: boolean } {
    return { port: this.#audio.address().port, isT38: this.#isT38 };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#beat?.stop();
    this.#audio.close();
    this.#fax.close();
    this.#encoder.release();
    this.#decoder.release();
    for (const each of [this.#sound, this.#terminal, this.#gateway]) each?.release();
  }

  /** Whether it was fax. */
  #take(sdp: string): boolean {
    const parsed = parseSdp(sdp);
    if (!parsed.ok) throw new Error(`unreadable SDP: ${JSON.stringify(parsed.error)}`);
    const fax = faxOf(parsed.value);
    const line = fax ?? audioOf(parsed.value);
    if (line?.address === undefined || line.port === 0) throw new Error('nothing in use');
    if (fax !== undefined && this.#options.kind === 'sound') throw new Error('T.38 is not known here');
    this.#remote = { address: line.address, port: line.port };
    this.#isT38 = fax !== undefined;
    this.wantsT38 = this.#isT38;
    this.#beat ??= everyMs(FRAME_MS, () => this.#passes());
    return this.#isT38;
  }

  #describe(isFax: boolean): string {
    const { port } = (isFax ? this.#fax : this.#audio).address();
    const { address } = this.#options;
    return [
      'v=0',
      `o=- ${this.#audio.address().port} ${++this.#version} IN IP4 ${address}`,
      's=-',
      `c=IN IP4 ${address}`,
      't=0 0',
      ...(isFax
        ? [`m=image ${port} udptl t38`, ...T38]
        : [`m=audio ${port} RTP/AVP 0`, 'a=rtpmap:0 PCMU/8000', 'a=sendrecv']),
      '',
    ].join('\r\n');
  }

  #passes(): void {
    const frame = this.#frame;
    if (this.#sound === undefined) frame.fill(0);
    else this.#sound.says(frame);
    if (!this.#isT38) {
      this.#say(frame);
      return;
    }
    this.#terminal?.passes();
    if (this.#gateway === undefined) return;
    this.#gateway.hears(frame);
    this.#gateway.says(frame);
    this.#sound?.hears(frame);
  }

  #say(frame: Int16Array): void {
    if (this.#remote === undefined) return;
    const sequence = this.#sequence++;
    // Node sends it only after this turn, in which there may be a second one.
    const packet = Buffer.alloc(RTP_HEADER_OCTETS + FRAME_SAMPLES);
    writeRtpHeader(packet, 0, sequence === 0, sequence & 0xffff, sequence * FRAME_SAMPLES, 0x0fa0);
    this.#encoder.encode(frame, packet, RTP_HEADER_OCTETS);
    this.#audio.send(packet, this.#remote.port, this.#remote.address);
  }

  #hear(packet: Buffer): void {
    const head = rtpHeaderLength(packet, packet.length);
    if (head < 0 || this.#isT38) return;
    const sequence = rtpSequence(packet);
    const ahead = this.#heardSequence === undefined ? 1 : (sequence - this.#heardSequence) & 0xffff;
    if (ahead === 0 || ahead > MOST_AHEAD) return;
    this.#heardSequence = sequence;
    this.framesHeard++;
    this.framesLost += ahead - 1;
    // A modem loses its count of symbols when samples are left out.
    for (let i = 1; i < ahead; i++) this.#sound?.misses(FRAME_SAMPLES);
    this.#sound?.hears(Int16Array.from(this.#decoder.decode(packet, head, packet.length)));
    this.#changes.tell();
  }

  #sendPacket(packet: Buffer, times: number): void {
    if (this.#remote === undefined || !this.#isT38 || this.#closed) return;
    const datagram = this.#sender.wrap(packet);
    const { losesOneOf = Number.POSITIVE_INFINITY } = this.#options;
    if (++this.#packetsSent % losesOneOf === 0) return;
    for (let i = 0; i < times; i++) this.#fax.send(datagram, this.#remote.port, this.#remote.address);
  }

  #takePacket(packet: Buffer, sequence: number): void {
    this.packetsReceived++;
    // T.38 §7.2, aligned PER: two bits of choice, one of extension, four that name the modem; 0 is V.21, which carries no page.
    const first = packet[0] ?? 0;
    const isData = (first & 0x40) !== 0;
    if (isData) this.imagePackets = ((first >> 1) & 0x0f) === 0 ? 0 : this.imagePackets + 1;
    (this.#terminal ?? this.#gateway)?.packet(packet, sequence);
  }
}
