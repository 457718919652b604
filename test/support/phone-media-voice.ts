import { loadCiphers } from '../../src/native/index.ts';
import {
  createSrtpSender,
  ntpOf,
  type ReportBlock,
  type SrtpKey,
  type SrtpSender,
  telephoneEventCode,
  writeRtcp,
  writeRtpHeader,
  writeTelephoneEvent,
} from '../../src/rtp/index.ts';
import type { Codec } from '../../src/sdp/index.ts';
import { SAMPLES, writeMark, writeTone } from './tone.ts';

export interface VoiceOptions {
  readonly sender: number;
  readonly ssrc: number;
  readonly startSequence: number;
  readonly toneHz: number;
}

interface PressedKey {
  readonly code: number;
  readonly startTimestamp: number;
  readonly durationSamples: number;
  elapsed: number;
  endsSent: number;
}

/** The sending half of a test phone: 20 ms packets of a marked tone, keypad events, reports. Its ciphers are node:crypto's. */
export class Voice {
  packetsSent = 0;
  rtcpSent = 0;
  /** What went wrong when protecting; must stay 0. */
  unprotectable = 0;
  codecs: readonly Codec[] = [];
  readonly options: VoiceOptions;
  #octetsSent = 0;
  #sequence: number;
  #timestamp = 1000;
  #marker = true;
  #key: SrtpKey | undefined;
  #srtp: SrtpSender | undefined;
  readonly #keys: PressedKey[] = [];

  constructor(options: VoiceOptions) {
    this.options = options;
    this.#sequence = options.startSequence;
  }

  /** Our key from now on. The same key goes on where it was. */
  useKey(key: SrtpKey | undefined): void {
    if (key?.keySalt === this.#key?.keySalt && key?.suite === this.#key?.suite) return;
    this.#srtp?.close();
    this.#key = key;
    this.#srtp = key && createSrtpSender(key, loadCiphers('node'));
  }

  press(digit: string, durationMs: number): void {
    const code = telephoneEventCode(digit);
    if (code < 0) throw new Error(`there is no key ${JSON.stringify(digit)} on a keypad`);
    this.#keys.push({ code, startTimestamp: -1, durationSamples: durationMs * 8, elapsed: 0, endsSent: 0 });
  }

  /** The next packet, protected; undefined when nothing is agreed to send. */
  nextPacket(): Buffer | undefined {
    const audio = this.codecs.find(({ name }) => name !== 'telephone-event' && name !== 'cn');
    if (!audio) return undefined;
    const packet = Buffer.alloc(12 + SAMPLES + 32);
    const length = this.#writeEvent(packet) ?? this.#writeAudio(packet, audio);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#timestamp = (this.#timestamp + (SAMPLES * audio.clockRateHz) / 8000) >>> 0;
    const sealed = this.#srtp ? this.#srtp.protectRtp(packet, length) : length;
    if (sealed < 0) {
      this.unprotectable++;
      return undefined;
    }
    this.packetsSent++;
    this.#octetsSent += length - 12;
    return packet.subarray(0, sealed);
  }

  /** A sender report with what we know of the peer's stream. */
  nextReport(reports: readonly ReportBlock[]): Buffer | undefined {
    const packet = Buffer.alloc(200);
    const ntp = ntpOf(performance.timeOrigin + performance.now());
    const length = writeRtcp(packet, [
      {
        type: 'sr',
        ssrc: this.options.ssrc,
        ntpSec: ntp.seconds,
        ntpFraction: ntp.fraction,
        rtpTimestamp: this.#timestamp,
        packetCount: this.packetsSent,
        octetCount: this.#octetsSent,
        reports,
      },
      {
        type: 'sdes',
        chunks: [{ ssrc: this.options.ssrc, items: [{ type: 1, text: `phone-${this.options.sender}` }] }],
      },
    ]);
    const sealed = this.#srtp ? this.#srtp.protectRtcp(packet, length) : length;
    if (sealed < 0) {
      this.unprotectable++;
      return undefined;
    }
    this.rtcpSent++;
    return packet.subarray(0, sealed);
  }

  /** RFC 4733 §2.5.1: one timestamp for the whole event, a growing duration, the end three times. */
  #writeEvent(packet: Buffer): number | undefined {
    const key = this.#keys[0];
    const events = this.codecs.find(
      ({ name, clockRateHz }) => name === 'telephone-event' && clockRateHz === 8000,
    );
    if (!key || !events) return undefined;
    const isFirst = key.elapsed === 0;
    const startTimestamp = isFirst ? this.#timestamp : key.startTimestamp;
    const isEnd = key.elapsed + SAMPLES >= key.durationSamples;
    const elapsed = isEnd ? key.durationSamples : key.elapsed + SAMPLES;
    this.#keys[0] = { ...key, startTimestamp, elapsed, endsSent: key.endsSent + (isEnd ? 1 : 0) };
    if (isEnd && key.endsSent === 2) this.#keys.shift();
    writeRtpHeader(packet, events.payloadType, isFirst, this.#sequence, startTimestamp, this.options.ssrc);
    return writeTelephoneEvent(packet, 12, key.code, isEnd, -10, elapsed);
  }

  #writeAudio(packet: Buffer, audio: Codec): number {
    const { ssrc, sender, toneHz } = this.options;
    writeRtpHeader(packet, audio.payloadType, this.#marker, this.#sequence, this.#timestamp, ssrc);
    this.#marker = false;
    // For codecs other than G.711 the octets mean nothing; the server must not care.
    writeTone(packet, 12, audio.name === 'pcma' ? 'pcma' : 'pcmu', toneHz, this.packetsSent * SAMPLES);
    writeMark(packet, 12, {
      sender,
      count: this.packetsSent,
      sentMs: performance.timeOrigin + performance.now(),
    });
    return 12 + SAMPLES;
  }
}
