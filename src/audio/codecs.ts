import {
  BCG729,
  type CodecLibrary,
  hasG722,
  hasG729,
  hasOpus,
  OPUS,
  openG722Decoder,
  openG722Encoder,
  openG729Decoder,
  openG729Encoder,
  openOpusDecoder,
  openOpusEncoder,
  SPANDSP,
} from '../native/index.ts';
import type { Decoder, Encoder } from './codec.ts';
import { createConcealer } from './concealment.ts';
import { A_LAW, type CompandingLaw, MU_LAW } from './g711.ts';
import { DEFAULT_PACKET_MS, OPUS_BITS_PER_SEC, type PacketMs } from './packet-time.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';

/** As SDP names it: lower case, RTP clock rate (G.722 says 8000), channels, what `a=fmtp` says. */
export interface CodecName {
  readonly name: string;
  readonly clockRateHz: number;
  readonly channels?: number;
  readonly fmtp?: string;
}

export interface EncoderOptions {
  /** How long the frames are that will be encoded; default 20. */
  readonly packetMs?: PacketMs;
  /** Opus; default `OPUS_BITS_PER_SEC`. At 20 ms speech is 61 kbit/s on the wire with RTP, UDP and IPv4, 67 with AES-GCM. */
  readonly bitsPerSec?: number;
  /** Opus, 0 to 10; default 5: half the cost of 9, and FEC within 0.5 dB of it (`scripts/bench transcode`). */
  readonly complexity?: number;
  /** Send little or nothing in silence (Opus DTX, G.729 Annex B). Default false. */
  readonly silenceSuppression?: boolean;
}

const LEAST_EXPECTED_LOSS_PERCENT = 2;
/** 120 ms at 48 kHz. */
const MOST_SAMPLES = 5760;

const present: Readonly<Record<string, { readonly has: () => boolean; readonly library?: CodecLibrary }>> = {
  pcmu: { has: () => true },
  pcma: { has: () => true },
  l16: { has: () => true },
  g722: { has: hasG722, library: SPANDSP },
  opus: { has: hasOpus, library: OPUS },
  g729: { has: hasG729, library: BCG729 },
};

let available: readonly string[] | undefined;

/** Names of the codecs that can be encoded and decoded here. Looked for once: it is asked with each stream. */
export function availableCodecs(): readonly string[] {
  available ??= Object.keys(present).filter((name) => present[name]?.has() === true);
  return available;
}

/** One sentence for each codec whose library is not on this machine, for a warning at the start. */
export function missingCodecs(): string[] {
  return Object.entries(present).flatMap(([name, { has, library }]) =>
    library === undefined || has()
      ? []
      : [
          `${name} cannot be transcoded: ${library.soname} is missing; install Debian's package ${library.debianPackage}`,
        ],
  );
}

/** The rate of the samples, which is not always the RTP clock's; undefined for a codec unknown here. */
export function sampleRateOf(codec: CodecName): SampleRateHz | undefined {
  switch (codec.name.toLowerCase()) {
    case 'pcmu':
    case 'pcma':
    case 'g729':
      return 8000;
    case 'g722':
      return 16_000;
    case 'opus':
      return 48_000;
    case 'l16':
      // 20 ms at 48 kHz would not fit into a packet.
      return codec.clockRateHz === 8000 || codec.clockRateHz === 16_000 ? codec.clockRateHz : undefined;
    default:
      return undefined;
  }
}

/** Undefined when the codec is unknown or its library is missing. */
export function createEncoder(codec: CodecName, options: EncoderOptions = {}): Encoder | undefined {
  const name = codec.name.toLowerCase();
  if (name === 'pcmu') return g711Encoder(MU_LAW);
  if (name === 'pcma') return g711Encoder(A_LAW);
  if (name === 'l16') {
    const rateHz = sampleRateOf(codec);
    return rateHz && l16Encoder(rateHz);
  }
  if (name === 'g722') {
    const native = openG722Encoder();
    return native && { rateHz: 16_000, ...native };
  }
  if (name === 'g729') {
    const native = openG729Encoder(
      options.silenceSuppression === true && !/annexb\s*=\s*no/i.test(codec.fmtp ?? ''),
    );
    return native && { rateHz: 8000, ...native };
  }
  if (name !== 'opus') return undefined;
  const fmtp = codec.fmtp ?? '';
  const asked = Number(/maxaveragebitrate\s*=\s*(\d+)/i.exec(fmtp)?.[1] ?? Number.POSITIVE_INFINITY);
  // RFC 7587 §6.1: FEC only to a peer that says it can use it.
  const inbandFec = /useinbandfec\s*=\s*1/i.test(fmtp);
  const native = openOpusEncoder({
    rateHz: 48_000,
    bitsPerSec: Math.max(
      6000,
      Math.min(options.bitsPerSec ?? OPUS_BITS_PER_SEC[options.packetMs ?? DEFAULT_PACKET_MS], asked),
    ),
    complexity: options.complexity ?? 5,
    inbandFec,
    dtx: options.silenceSuppression === true || /usedtx\s*=\s*1/i.test(fmtp),
  });
  if (native === undefined) return undefined;
  // libopus adds redundancy only for loss that it expects: the first burst comes before the first report of one.
  const least = inbandFec ? LEAST_EXPECTED_LOSS_PERCENT : 0;
  native.expectLossPercent(least);
  return {
    rateHz: 48_000,
    encode: native.encode,
    expectLoss: (fraction) =>
      native.expectLossPercent(Math.max(least, Math.round(100 * Math.min(1, Math.max(0, fraction))))),
    release: native.release,
  };
}

/** Undefined when the codec is unknown or its library is missing. */
export function createDecoder(codec: CodecName): Decoder | undefined {
  const name = codec.name.toLowerCase();
  if (name === 'pcmu') return g711Decoder(MU_LAW);
  if (name === 'pcma') return g711Decoder(A_LAW);
  if (name === 'l16') {
    const rateHz = sampleRateOf(codec);
    return rateHz && l16Decoder(rateHz);
  }
  if (name === 'g722') {
    const native = openG722Decoder();
    return native && blockDecoder(16_000, native.decode, undefined, native.release);
  }
  if (name === 'g729') {
    const native = openG729Decoder();
    return native && blockDecoder(8000, native.decode, (into) => native.conceal(2, into), native.release);
  }
  if (name !== 'opus') return undefined;
  const native = openOpusDecoder(48_000);
  return (
    native &&
    blockDecoder(48_000, native.decode, (into, next) => native.recover(next, 960, into), native.release)
  );
}

function g711Encoder(law: CompandingLaw): Encoder {
  const { toCode } = law;
  return {
    rateHz: 8000,
    encode(frame, out, at) {
      if (!(at >= 0 && at + frame.length <= out.length)) return 0;
      for (let i = 0; i < frame.length; i++)
        out[at + i] = toCode[((frame[i] as number) >> 2) & 0x3fff] as number;
      return frame.length;
    },
    release() {},
  };
}

function g711Decoder(law: CompandingLaw): Decoder {
  const { toLinear } = law;
  return blockDecoder(
    8000,
    (payload, from, to, into) => {
      const length = Math.min(to, payload.length, from + into.length) - from;
      if (!(from >= 0 && length > 0)) return -1;
      for (let i = 0; i < length; i++) into[i] = toLinear[payload[from + i] as number] as number;
      return length;
    },
    undefined,
    () => {},
  );
}

/** RFC 3551 §4.5.11: 16 bits, big-endian. */
function l16Encoder(rateHz: SampleRateHz): Encoder {
  return {
    rateHz,
    encode(frame, out, at) {
      if (!(at >= 0 && at + 2 * frame.length <= out.length)) return 0;
      for (let i = 0; i < frame.length; i++) {
        const sample = frame[i] as number;
        out[at + 2 * i] = sample >> 8;
        out[at + 2 * i + 1] = sample;
      }
      return 2 * frame.length;
    },
    release() {},
  };
}

function l16Decoder(rateHz: SampleRateHz): Decoder {
  return blockDecoder(
    rateHz,
    (payload, from, to, into) => {
      const count = Math.min((Math.min(to, payload.length) - from) >> 1, into.length);
      if (!(from >= 0 && count > 0)) return -1;
      for (let i = 0; i < count; i++)
        into[i] = ((payload[from + 2 * i] as number) << 8) | (payload[from + 2 * i + 1] as number);
      return count;
    },
    undefined,
    () => {},
  );
}

/** `hide` writes what a codec itself puts in place of a lost frame. Without one the last pitch periods are said again. */
function blockDecoder(
  rateHz: SampleRateHz,
  read: (payload: Uint8Array, from: number, to: number, into: Int16Array) => number,
  hide: ((into: Int16Array, next: Uint8Array | undefined) => number) | undefined,
  release: () => void,
): Decoder {
  const most = Math.min(MOST_SAMPLES, (rateHz * 120) / 1000);
  const frame = rateHz / 50;
  const samples = new Int16Array(most);
  const lent = new Map<number, Pcm>();
  const lend = (length: number): Pcm => {
    let view = lent.get(length);
    if (view === undefined) {
      view = samples.subarray(0, length);
      // A payload may have any length: only the usual ones are kept.
      if (lent.size < 16) lent.set(length, view);
    }
    return view;
  };
  const concealer = hide === undefined ? createConcealer(rateHz) : undefined;
  const conceal = (next?: Uint8Array): Pcm => {
    const out = lend(frame);
    if (concealer !== undefined) concealer.fill(out);
    else if (hide?.(samples, next) !== frame) out.fill(0);
    return out;
  };
  return {
    rateHz,
    decode(payload, from, to) {
      const length = read(payload, from, to, samples);
      if (length <= 0) return conceal();
      const out = lend(length);
      concealer?.take(out);
      return out;
    },
    conceal,
    release,
  };
}
