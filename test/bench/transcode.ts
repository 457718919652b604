import {
  availableCodecs,
  type CodecName,
  createDecoder,
  createEncoder,
  createResampler,
  type Decoder,
  type Encoder,
  type EncoderOptions,
  sampleRateOf,
} from '../../src/audio/index.ts';
import { hasSpeech, speech } from '../support/speech.ts';
import type { BenchOptions } from './options.ts';
import { median, rounded, table } from './table.ts';

const FRAMES_PER_SEC = 50;

const CODECS: Readonly<Record<string, CodecName>> = {
  opus: { name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'minptime=10;useinbandfec=1' },
  pcmu: { name: 'pcmu', clockRateHz: 8000 },
  g722: { name: 'g722', clockRateHz: 8000 },
  g729: { name: 'g729', clockRateHz: 8000 },
};
const PAIRS = [
  ['opus', 'pcmu'],
  ['g722', 'pcmu'],
  ['g729', 'pcmu'],
  ['opus', 'g722'],
] as const;
const COMPLEXITIES = [0, 3, 5, 7, 10] as const;

/** CPU of this process while `work` runs, in µs. */
function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Speech where espeak-ng is here, else a chord that swells and fades. */
export async function voice(rateHz: 8000 | 16_000 | 48_000, seconds: number): Promise<Int16Array> {
  const samples = rateHz * seconds;
  const said = hasSpeech ? await speech(rateHz) : undefined;
  return Int16Array.from({ length: samples }, (_, i) => {
    if (said !== undefined) return said[i % said.length] as number;
    const t = (2 * Math.PI * i) / rateHz;
    return 4000 * Math.sin(t * 3) * (Math.sin(190 * t) + Math.sin(570 * t) + Math.sin(2100 * t));
  });
}

/** A stream's payloads in a codec, encoded beforehand. */
export async function payloads(codec: CodecName, seconds: number): Promise<Uint8Array[]> {
  const rateHz = sampleRateOf(codec)!;
  const pcm = await voice(rateHz, seconds);
  const encoder = createEncoder(codec)!;
  const out = new Uint8Array(1500);
  const frame = rateHz / FRAMES_PER_SEC;
  const made = Array.from({ length: seconds * FRAMES_PER_SEC }, (_, n) =>
    out.slice(0, encoder.encode(pcm.subarray(n * frame, (n + 1) * frame), out, 0)),
  );
  encoder.release();
  return made;
}

/** CPU µs of one second of one direction: decode, resample, encode, with 20 ms in a packet. */
function direction(
  from: CodecName,
  to: CodecName,
  sent: readonly Uint8Array[],
  options?: EncoderOptions,
): number {
  const decoder = createDecoder(from) as Decoder;
  const encoder = createEncoder(to, options) as Encoder;
  const resampler = createResampler(decoder.rateHz, encoder.rateHz);
  const out = new Uint8Array(1500);
  const pass = (): void => {
    for (const payload of sent)
      encoder.encode(resampler.resample(decoder.decode(payload, 0, payload.length)), out, 12);
  };
  // Once for the compiler.
  pass();
  const us = cpuOf(pass);
  decoder.release();
  encoder.release();
  return us / (sent.length / FRAMES_PER_SEC);
}

/** What a second of a transcoded call costs, both directions, in this process: no packets, no clock, nothing else. */
export async function transcode(
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const seconds = options.seconds ?? 10;
  const runs = options.runs ?? 3;
  const figures: Record<string, number> = {};
  const rows: (string | number)[][] = [];
  const missing = Object.keys(CODECS).filter((name) => !availableCodecs().includes(name));
  if (missing.length > 0) say(`not here: ${missing.join(', ')}`);
  const sent: Record<string, Uint8Array[]> = {};
  for (const [name, codec] of Object.entries(CODECS))
    if (!missing.includes(name)) sent[name] = await payloads(codec, seconds);
  for (const [a, b] of PAIRS) {
    const [fromA, fromB] = [sent[a], sent[b]];
    if (fromA === undefined || fromB === undefined) continue;
    const there = median(Array.from({ length: runs }, () => direction(CODECS[a]!, CODECS[b]!, fromA)));
    const back = median(Array.from({ length: runs }, () => direction(CODECS[b]!, CODECS[a]!, fromB)));
    figures[`${a}_${b}_us_per_call_second`] = rounded(there + back);
    rows.push([
      `${a} ↔ ${b}`,
      rounded(there),
      rounded(back),
      rounded(there + back),
      rounded((there + back) / 1e4),
    ]);
  }
  say(table(['CPU µs per call-second', 'there', 'back', 'both', '% of a core'], rows));
  if (sent['pcmu'] !== undefined && sent['opus'] !== undefined) {
    const from = sent['pcmu'];
    const costs = COMPLEXITIES.map((complexity) => {
      const us = median(
        Array.from({ length: runs }, () => direction(CODECS['pcmu']!, CODECS['opus']!, from, { complexity })),
      );
      figures[`pcmu_to_opus_complexity_${complexity}_us`] = rounded(us);
      return [complexity, rounded(us)];
    });
    say(`\n${table(['Opus complexity', 'pcmu to opus, µs per second'], costs)}`);
  }
  return figures;
}
