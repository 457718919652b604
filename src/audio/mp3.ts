import { failed, ok, type Result } from '../base/index.ts';
import { badFile, mark, type Sound, type SoundFile, tooLong } from './file.ts';
import type { AudioProblem } from './problem.ts';

/** Bits of an MPEG audio header (ISO/IEC 11172-3 §2.4.1.3, 13818-3), in kbit/s by version and layer. */
const BITRATES: Readonly<Record<string, readonly number[]>> = {
  '1-1': [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  '1-2': [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  '1-3': [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  '2-1': [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  '2-2': [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  '2-3': [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const RATES_HZ = [44_100, 48_000, 32_000];

interface Frame {
  readonly length: number;
  readonly samples: number;
  readonly rateHz: number;
}

/** The frame whose header stands there; undefined when none does. */
function frameAt(bytes: Uint8Array, at: number): Frame | undefined {
  const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 4);
  if (first !== 0xff || (second & 0xe0) !== 0xe0 || at + 4 > bytes.length) return undefined;
  const version = (second >> 3) & 3;
  const layer = 4 - ((second >> 1) & 3);
  const rateIndex = (third >> 2) & 3;
  // Free format (bit rate 0) is no longer written by anybody, 15 is forbidden.
  const bitrate = BITRATES[`${version === 3 ? 1 : 2}-${layer}`]?.[(third >> 4) - 1];
  if (version === 1 || layer === 4 || rateIndex === 3 || bitrate === undefined) return undefined;
  const rateHz = RATES_HZ[rateIndex]! / (version === 3 ? 1 : version === 2 ? 2 : 4);
  const padding = (third >> 1) & 1;
  const samples = layer === 1 ? 384 : layer === 3 && version !== 3 ? 576 : 1152;
  const length =
    layer === 1
      ? 4 * (Math.floor((12_000 * bitrate) / rateHz) + padding)
      : Math.floor((samples * 125 * bitrate) / rateHz) + padding;
  return { length, samples, rateHz };
}

/** Behind the tag of ID3v2 (10 octets and its length in 7-bit octets), if there is one. */
function soundBegins(bytes: Uint8Array): number {
  if (mark(bytes, 0).slice(0, 3) !== 'ID3' || bytes.length < 10) return 0;
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10);
  return 10 + ((a & 0x7f) << 21) + ((b & 0x7f) << 14) + ((c & 0x7f) << 7) + (d & 0x7f);
}

const isTag = (bytes: Uint8Array, at: number): boolean => {
  const there = mark(bytes, at);
  return there.startsWith('TAG') || there === 'APET' || there.startsWith('ID3') || there === 'LYRI';
};

/** True when an MPEG frame or a tag begins the file. */
export const looksLikeMp3 = (bytes: Uint8Array): boolean =>
  mark(bytes, 0).startsWith('ID3') || frameAt(bytes, 0) !== undefined;

/**
 * MPEG audio by libmpg123 (WASM). Its frames are walked through here first, and only whole ones are handed over: libmpg123's reading
 * loop is not trusted with anything else.
 */
export async function readMp3(file: SoundFile, mostSeconds: number): Promise<Result<Sound, AudioProblem>> {
  const { bytes } = file;
  const begin = soundBegins(bytes);
  let at = begin;
  let seconds = 0;
  let rateHz: number | undefined;
  while (at < bytes.length && !isTag(bytes, at)) {
    const frame = frameAt(bytes, at);
    if (frame === undefined) return badFile(file, at, 'a frame of MPEG audio (ff fb …) or a tag');
    rateHz ??= frame.rateHz;
    if (frame.rateHz !== rateHz) return badFile(file, at, `a frame of ${rateHz} Hz like those before it`);
    // A recorder that was cut off leaves half a frame.
    if (at + frame.length > bytes.length) break;
    at += frame.length;
    seconds += frame.samples / frame.rateHz;
    if (seconds > mostSeconds + 1) return tooLong(file, mostSeconds);
  }
  if (rateHz === undefined || at === begin) return badFile(file, begin, 'a whole frame of MPEG audio');
  const { MPEGDecoder } = await import('mpg123-decoder');
  const decoder = new MPEGDecoder();
  await decoder.ready;
  try {
    const { channelData, errors } = decoder.decode(bytes.subarray(begin, at));
    const [left, right] = channelData;
    if (left === undefined || left.length === 0)
      return failed({
        code: 'asset_bad',
        message: `${file.name}: ${errors[0]?.message ?? 'nothing could be decoded'}`,
      });
    const samples = right === undefined ? left : left.map((sample, i) => (sample + (right[i] as number)) / 2);
    return ok({ rateHz, samples });
  } finally {
    decoder.free();
  }
}
