import {
  createDecoder,
  createEncoder,
  type Decoder,
  type Encoder,
  type PlaybackParts,
  samplesPerFrame,
} from '../../src/audio/index.ts';
import { type CallId, failed, type StreamId, silentLogger, VirtualClock } from '../../src/base/index.ts';
import type { StreamCodec, StreamSpec } from '../../src/media/index.ts';
import { AudioPlane } from '../../src/media/plane/plane.ts';
import type { TapConsumer } from '../../src/media/plane/taps.ts';
import type { Stream } from '../../src/media/stream.ts';
import { writeRtpHeader } from '../../src/rtp/index.ts';
import { headerOf, PacketPath, type Sent } from './packet-path.ts';
import { spec } from './stream-spec.ts';
import { CODECS } from './tone-phone.ts';
import { type ToneQuality, toneQuality } from './tone-quality.ts';

export const AMPLITUDE = 8000;

/** One who is in the talk: says a tone or silence, decodes what it gets. */
export interface Talker {
  readonly id: string;
  readonly codec: StreamCodec;
  hz: number;
  amplitude: number;
  /** In place of a tone: the sample of this number. */
  wave: ((sample: number) => number) | undefined;
  heard: number[];
  packets: Sent[];
  readonly encoder: Encoder;
  readonly decoder: Decoder;
  readonly from: string;
  sample: number;
  sequence: number;
}

/** The audio plane with the packet path, on virtual time and without sockets. */
export class PlanePath {
  readonly clock: VirtualClock;
  readonly path = new PacketPath();
  readonly plane: AudioPlane;
  readonly talkers = new Map<string, Talker>();

  constructor({
    parts,
    taps,
    nowMs = 1_000_000,
  }: { parts?: PlaybackParts; taps?: TapConsumer; nowMs?: number } = {}) {
    this.clock = new VirtualClock(nowMs);
    this.path.nowMs = nowMs;
    this.plane = new AudioPlane({
      clock: this.clock,
      log: silentLogger,
      graph: this.path.graph,
      relay: this.path.relay,
      event: (event) => this.path.events.push(event),
      note: (stream) => this.path.note(stream),
      parts: parts ?? {
        asset: async (name) => failed({ code: 'asset_missing', message: `${name}: there are none here` }),
        speech: async () => failed({ code: 'speech_missing', message: 'there is no voice here' }),
      },
      ...(taps && { taps }),
    });
  }

  put(id: string, codec: StreamCodec, more: Partial<StreamSpec> = {}): Stream {
    const port = 5000 + 2 * [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 10_000, 7);
    const base = spec(id, { port, rtcpMux: true });
    if (!this.talkers.has(id))
      this.talkers.set(id, {
        id,
        codec,
        hz: 0,
        amplitude: AMPLITUDE,
        wave: undefined,
        heard: [],
        packets: [],
        encoder: createEncoder(codec)!,
        decoder: createDecoder(codec)!,
        from: `127.0.0.1:${port}`,
        sample: 0,
        sequence: 100,
      });
    return this.path.put({ ...base, call: 'call' as CallId, codecs: [codec, CODECS['event8']!], ...more });
  }

  talker(id: string): Talker {
    return this.talkers.get(id)!;
  }

  /** So many frames go by: who has a tone says it; what all get is heard. */
  run(frames: number): void {
    for (let n = 0; n < frames; n++) {
      for (const talker of this.talkers.values())
        if (talker.hz !== 0 || talker.wave !== undefined) this.#hear(this.#say(talker));
      this.clock.advance(20);
      this.path.nowMs = this.clock.nowMs();
      this.#hear(this.path.left());
    }
  }

  /** What was heard lately of a tone. */
  quality(id: string, hz: number, lastMs = 400): ToneQuality {
    const { heard, decoder } = this.talker(id);
    return toneQuality(heard.slice((-lastMs * decoder.rateHz) / 1000), decoder.rateHz, hz, AMPLITUDE);
  }

  /** The tones of these that are heard, each at 20 dB below full voice at least. */
  tonesHeard(id: string, tones: readonly number[], lastMs = 400): number[] {
    const { heard, decoder } = this.talker(id);
    const samples = heard.slice((-lastMs * decoder.rateHz) / 1000);
    return tones.filter((hz) => {
      let [c, s] = [0, 0];
      samples.forEach((value, i) => {
        c += value * Math.cos((2 * Math.PI * hz * i) / decoder.rateHz);
        s += value * Math.sin((2 * Math.PI * hz * i) / decoder.rateHz);
      });
      return (2 * Math.hypot(c, s)) / Math.max(1, samples.length) > AMPLITUDE / 10;
    });
  }

  /** A telephone event of one packet and its end. */
  press(id: string, code: number, units: number): void {
    const talker = this.talker(id);
    const { clockRateHz } = CODECS['event8']!;
    const timestamp = talker.sequence * (clockRateHz / 50);
    for (const end of [0, 0x80]) {
      const bytes = Buffer.alloc(16);
      writeRtpHeader(bytes, CODECS['event8']!.payloadType, false, talker.sequence++, timestamp, 7);
      bytes.set([code, end | 10, units >> 8, units & 0xff], 12);
      this.#hear(this.path.turn(id, bytes, talker.from));
      this.path.left();
    }
  }

  /** Passes once what was begun elsewhere (opening a playback) has gone on. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  end(): void {
    this.plane.stop();
    for (const { encoder, decoder } of this.talkers.values()) {
      encoder.release();
      decoder.release();
    }
  }

  #say(talker: Talker): Sent[] {
    const { encoder, codec } = talker;
    const frame = new Int16Array(samplesPerFrame(encoder.rateHz));
    const tone = (n: number) => talker.amplitude * Math.sin((2 * Math.PI * talker.hz * n) / encoder.rateHz);
    const wave = talker.wave ?? tone;
    for (let i = 0; i < frame.length; i++) frame[i] = Math.round(wave(talker.sample++));
    const bytes = Buffer.alloc(1500);
    const sequence = talker.sequence++;
    writeRtpHeader(bytes, codec.payloadType, false, sequence, sequence * (codec.clockRateHz / 50), 7);
    const length = encoder.encode(frame, bytes, 12);
    const sent = this.path.turn(talker.id, bytes.subarray(0, 12 + length), talker.from);
    this.path.left();
    return sent;
  }

  #hear(sent: readonly Sent[]): void {
    for (const each of sent) {
      const talker = this.talkers.get(each.by);
      if (talker === undefined || each.fromRtcp) continue;
      talker.packets.push(each);
      if (headerOf(each.packet).type !== talker.codec.payloadType) continue;
      talker.heard.push(...talker.decoder.decode(each.packet, 12, each.packet.length));
    }
  }
}

export const hears = (...streams: (string | readonly [string, number])[]): Partial<StreamSpec> => ({
  hears: streams.map((each) =>
    typeof each === 'string'
      ? { stream: each as StreamId }
      : { stream: each[0] as StreamId, gainDb: each[1] },
  ),
});
