import type { SrtpKey } from '../../src/media/index.ts';
import {
  openUdpLoop,
  parseAddress,
  systemClock,
  type UdpLoop,
  type UdpSocket,
} from '../../src/native/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  isRtcp,
  rtpSsrc,
  writeRtcp,
  writeRtpHeader,
} from '../../src/rtp/index.ts';
import { IndexAudit } from './index-audit.ts';

export interface Heard {
  readonly index: number;
  readonly ssrc: number;
  readonly atMs: number;
  readonly sentMs: number;
  /** Of who said it, as its packets had it when they left: in between both may be mapped. */
  readonly said: { readonly ssrc: number; readonly index: number };
  /** The packet as it came, protected or not. */
  readonly bytes: Buffer;
}

/** One end of a stream without signalling: sends numbered packets from index `first` on, notes all that it hears. */
export class RtpPhone {
  readonly heard: Heard[] = [];
  refused = 0;
  /** RTCP packets. */
  reports = 0;
  /** Of all that ever came under our peer's key. */
  readonly audit: IndexAudit | undefined;
  readonly #socket: UdpSocket;
  readonly #sender: ReturnType<typeof createSrtpSender> | undefined;
  readonly #receiver: ReturnType<typeof createSrtpReceiver> | undefined;
  readonly #packet = Buffer.alloc(512);
  readonly #ssrc: number;
  readonly #plain = { highest: -1 };
  onHeard: () => void = () => {};
  onSpoke: () => void = () => {};
  next: number;
  port = 0;

  constructor(
    loop: UdpLoop,
    options: { first: number; ssrc: number; sendKey?: SrtpKey; receiveKey?: SrtpKey },
  ) {
    this.next = options.first;
    this.#ssrc = options.ssrc;
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

  /** One packet of 20 ms G.711 that bears the time when it left. */
  speak(): void {
    const index = this.next++;
    writeRtpHeader(this.#packet, 0, false, index & 0xffff, (index * 160) >>> 0, this.#ssrc);
    this.#packet.fill(index & 0xff, 12, 172);
    this.#packet.writeDoubleBE(systemClock.nowMs(), 12);
    this.#packet.writeUInt32BE(this.#ssrc, 20);
    this.#packet.writeUInt32BE(index >>> 0, 24);
    const length = this.#sender === undefined ? 172 : this.#sender.protectRtpAt(this.#packet, 172, index);
    this.#socket.send(this.#packet, length, parseAddress('127.0.0.1', this.port)!);
    this.onSpoke();
  }

  /** A sender report, on the RTP port (RFC 5761). */
  report(): void {
    const packet = Buffer.alloc(256);
    const plain = writeRtcp(packet, [
      {
        type: 'sr',
        ssrc: this.#ssrc,
        ntpSec: 0,
        ntpFraction: 0,
        rtpTimestamp: (this.next * 160) >>> 0,
        packetCount: 1,
        octetCount: 160,
        reports: [],
      },
    ]);
    const length = this.#sender === undefined ? plain : this.#sender.protectRtcp(packet, plain);
    this.#socket.send(packet, length, parseAddress('127.0.0.1', this.port)!);
  }

  close(): void {
    this.#socket.close();
    this.#sender?.close();
    this.#receiver?.close();
  }

  #hear(buffer: Buffer, length: number): void {
    const bytes = Buffer.from(buffer.subarray(0, length));
    this.audit?.see(bytes);
    if (isRtcp(buffer, length)) {
      if (this.#receiver !== undefined && this.#receiver.unprotectRtcp(buffer, length) < 0) this.refused++;
      else this.reports++;
      this.onHeard();
      return;
    }
    const ssrc = rtpSsrc(buffer);
    const sequence = buffer.readUInt16BE(2);
    let index: number;
    if (this.#receiver !== undefined) {
      if (this.#receiver.unprotectRtp(buffer, length) < 0) {
        this.refused++;
        return;
      }
      index = this.#receiver.lastIndex;
    } else {
      const { highest } = this.#plain;
      index = highest < 0 ? sequence : highest + (((sequence - (highest & 0xffff)) << 16) >> 16);
      this.#plain.highest = Math.max(highest, index);
    }
    const said = { ssrc: buffer.readUInt32BE(20), index: buffer.readUInt32BE(24) };
    this.heard.push({ index, ssrc, said, atMs: systemClock.nowMs(), sentMs: buffer.readDoubleBE(12), bytes });
    this.onHeard();
  }
}

export const rtpPhoneLoop = (): UdpLoop => openUdpLoop();
