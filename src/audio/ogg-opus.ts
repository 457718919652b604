import { failed, ok, type Result } from '../base/index.ts';
import { createDecoder } from './codecs.ts';
import { badFile, type Sound, type SoundFile, tooLong, viewOf } from './file.ts';
import { readOgg } from './ogg.ts';
import type { AudioProblem } from './problem.ts';

const RATE_HZ = 48_000;

/** RFC 7845: one or two channels, as all recorders of speech and music write. */
export function readOggOpus(file: SoundFile, mostSeconds: number): Result<Sound, AudioProblem> {
  const read = readOgg(file, 'OpusHead');
  if (!read.ok) return read;
  const [head, tags, ...audio] = read.value;
  if (head === undefined || head.bytes.length < 19)
    return badFile(file, head?.pageAt ?? 0, 'an "OpusHead" of 19 octets');
  const view = viewOf(head.bytes);
  if ((view.getUint8(8) & 0xf0) !== 0) return badFile(file, head.pageAt, 'version 0 to 15 in "OpusHead"');
  const channels = view.getUint8(9);
  if (view.getUint8(18) !== 0 || channels < 1 || channels > 2)
    return badFile(file, head.pageAt, 'one or two channels (mapping family 0) in "OpusHead"');
  if (tags === undefined || String.fromCharCode(...tags.bytes.subarray(0, 8)) !== 'OpusTags')
    return badFile(file, tags?.pageAt ?? file.bytes.length, '"OpusTags" behind "OpusHead"');
  const decoder = createDecoder({ name: 'opus', clockRateHz: RATE_HZ });
  if (decoder === undefined)
    return failed({
      code: 'asset_bad',
      message: `${file.name}: Opus cannot be decoded here: libopus.so.0 is missing; install Debian's package libopus0`,
    });
  try {
    const preSkip = view.getUint16(10, true);
    const gain = 10 ** (view.getInt16(16, true) / 256 / 20) / 32_768;
    // §4.3: the last page's granule position says where the sound ends, within the last packets.
    const granule = audio.at(-1)?.granule ?? -1;
    const end = granule >= preSkip ? granule - preSkip : Number.POSITIVE_INFINITY;
    if (end < Number.POSITIVE_INFINITY && end > mostSeconds * RATE_HZ) return tooLong(file, mostSeconds);
    const parts: Float32Array[] = [];
    let skip = preSkip;
    let length = 0;
    for (const { bytes } of audio) {
      const frame = decoder.decode(bytes, 0, bytes.length);
      const from = Math.min(skip, frame.length);
      skip -= from;
      const to = Math.min(frame.length, from + Math.max(0, end - length));
      parts.push(Float32Array.from(frame.subarray(from, to), (sample) => sample * gain));
      length += to - from;
      if (length > mostSeconds * RATE_HZ) return tooLong(file, mostSeconds);
    }
    const samples = new Float32Array(length);
    let at = 0;
    for (const part of parts) {
      samples.set(part, at);
      at += part.length;
    }
    return ok({ rateHz: RATE_HZ, samples });
  } finally {
    decoder.release();
  }
}
