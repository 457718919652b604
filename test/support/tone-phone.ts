import {
  createDecoder,
  createEncoder,
  type Decoder,
  type Encoder,
  samplesPerFrame,
} from '../../src/audio/index.ts';
import type { SrtpKey, StreamCodec } from '../../src/media/index.ts';
import { parseAddress, systemClock, type UdpLoop, type UdpSocket } from '../../src/native/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  isRtcp,
  rtpHeaderLength,
  rtpMarker,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
  writeRtpHeader,
  writeTelephoneEvent,
} from '../../src/rtp/index.ts';
import { Changes } from './changes.ts';
import { IndexAudit } from './index-audit.ts';
import { everyMs } from './pacer.ts';
import { type ToneQuality, toneQuality } from './tone-quality.ts';

export const AMPLITUDE = 8000;

export const CODECS: Readonly<Record<string, StreamCodec>> = {
  pcmu: { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 },
  pcma: { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 },
  g722: { payloadType: 9, name: 'g722', clockRateHz: 8000, channels: 1 },
  g729: { payloadType: 18, name: 'g729', clockRateHz: 8000, channels: 1 },
  opus: { payloadType: 111, name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'useinbandfec=1' },
  event8: { payloadType: 101, name: 'telephone-event', clockRateHz: 8000, channels: 1 },
  event48: { payloadType: 110, name: 'telephone-event', clockRateHz: 48_000, channels: 1 },
};

export interface TonePacket {
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly marker: boolean;
  readonly atMs: number;
  readonly payload: Buffer;
}

/** One end of a stream that says a tone in a codec and decodes what it hears. */
export class TonePhone {
  readonly packets: TonePacket[] = [];
  /** All that was decoded, at `rateHz`. */
  heard: number[] = [];
  rateHz = 8000;
  refused = 0;
  readonly audit: IndexAudit | undefined;
  readonly codec: StreamCodec;
  port = 0;
  hz: number;
  silent = false;
  readonly #encoder: Encoder;
  readonly #decoders = new Map<number, Decoder>();
  readonly #codecs: readonly StreamCodec[];
  readonly #socket: UdpSocket;
  readonly #sender: ReturnType<typeof createSrtpSender> | undefined;
  readonly #receiver: ReturnType<typeof createSrtpReceiver> | undefined;
  readonly #bytes = Buffer.alloc(2048);
  readonly #ssrc: number;
  readonly #changes = new Changes();
  #sequence: number;
  #timestamp = 4_294_960_000;
  #sample = 0;
  #beat: { stop(): void } | undefined;

  constructor(
    loop: UdpLoop,
    options: { codecs: readonly StreamCodec[]; hz: number; sendKey?: SrtpKey; receiveKey?: SrtpKey },
  ) {
    this.#codecs = options.codecs;
    this.codec = options.codecs[0]!;
    this.hz = options.hz;
    this.#ssrc = Math.round(options.hz) * 1000 + 7;
    this.#sequence = 65_500;
    this.#encoder = createEncoder(this.codec)!;
    this.#sender = options.sendKey && createSrtpSender(options.sendKey);
    this.#receiver = options.receiveKey && createSrtpReceiver(options.receiveKey);
    this.audit = options.receiveKey && new IndexAudit(options.receiveKey);
    this.#socket = loop.open({ address: '127.0.0.1', port: 0 });
    this.#socket.resume((batch) => {
      for (let i = 0; i < batch.count; i++) this.#hear(batch.buffers[i]!, batch.lengths[i]!);
    });
  }

  get localPort(): number {
    return this.#socket.local.port;
  }

  /** Says its tone every 20 ms. */
  talk(): void {
    this.#beat ??= everyMs(20, () => this.speak());
  }

  hush(): void {
    this.#beat?.stop();
    this.#beat = undefined;
  }

  speak(samples?: (n: number) => number): void {
    const { rateHz } = this.#encoder;
    const frame = new Int16Array(samplesPerFrame(rateHz));
    const tone = (n: number) =>
      this.silent ? 0 : AMPLITUDE * Math.sin((2 * Math.PI * this.hz * n) / rateHz);
    for (let i = 0; i < frame.length; i++) frame[i] = Math.round((samples ?? tone)(this.#sample++));
    const length = this.#encoder.encode(frame, this.#bytes, 12);
    this.#send(this.codec.payloadType, this.#timestamp, length);
    this.#timestamp = (this.#timestamp + this.codec.clockRateHz / 50) >>> 0;
  }

  get rate(): number {
    return this.#encoder.rateHz;
  }

  /** A key by RFC 4733, `units` of the event's clock long, in three packets and three ends; no audio meanwhile. */
  press(code: number, event: StreamCodec, units: number): void {
    for (const [duration, end] of [
      [units / 3, 0],
      [(2 * units) / 3, 0],
      [units, 1],
      [units, 1],
      [units, 1],
    ] as const) {
      writeTelephoneEvent(this.#bytes, 12, code, end === 1, 10, Math.round(duration));
      this.#send(event.payloadType, this.#timestamp, 4);
    }
    this.#timestamp = (this.#timestamp + units) >>> 0;
  }

  quality(hz: number, lastMs: number): ToneQuality {
    const count = (this.rateHz * lastMs) / 1000;
    return toneQuality(this.heard.slice(-count), this.rateHz, hz, AMPLITUDE);
  }

  /** Waits until what was heard makes `condition` true. */
  until(condition: () => boolean): Promise<void> {
    return this.#changes.until(condition);
  }

  /** So many packets more. */
  hears(count: number): Promise<void> {
    const enough = this.packets.length + count;
    return this.until(() => this.packets.length >= enough);
  }

  close(): void {
    this.hush();
    this.#socket.close();
    this.#sender?.close();
    this.#receiver?.close();
    this.#encoder.release();
    for (const decoder of this.#decoders.values()) decoder.release();
  }

  #send(payloadType: number, timestamp: number, payloadLength: number): void {
    const sequence = this.#sequence++;
    writeRtpHeader(this.#bytes, payloadType, false, sequence & 0xffff, timestamp, this.#ssrc);
    const plain = 12 + payloadLength;
    const length =
      this.#sender === undefined ? plain : this.#sender.protectRtpAt(this.#bytes, plain, sequence);
    this.#socket.send(this.#bytes, length, parseAddress('127.0.0.1', this.port)!);
  }

  #hear(buffer: Buffer, received: number): void {
    this.audit?.see(Buffer.from(buffer.subarray(0, received)));
    if (isRtcp(buffer, received)) return;
    const length = this.#receiver === undefined ? received : this.#receiver.unprotectRtp(buffer, received);
    const headerLength = length < 0 ? -1 : rtpHeaderLength(buffer, length);
    if (headerLength < 0) {
      this.refused++;
      return;
    }
    const payloadType = rtpPayloadType(buffer);
    const payload = Buffer.from(buffer.subarray(headerLength, length));
    this.packets.push({
      payloadType,
      sequence: rtpSequence(buffer),
      timestamp: rtpTimestamp(buffer),
      ssrc: rtpSsrc(buffer),
      marker: rtpMarker(buffer),
      atMs: systemClock.nowMs(),
      payload,
    });
    const codec = this.#codecs.find((each) => each.payloadType === payloadType);
    if (codec !== undefined && codec.name !== 'telephone-event') {
      let decoder = this.#decoders.get(payloadType);
      if (decoder === undefined) {
        decoder = createDecoder(codec)!;
        this.#decoders.set(payloadType, decoder);
      }
      if (decoder.rateHz !== this.rateHz) this.heard = [];
      this.rateHz = decoder.rateHz;
      this.heard.push(...decoder.decode(payload, 0, payload.length));
    }
    this.#changes.tell();
  }
}
