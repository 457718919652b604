import { ok, type Result } from '../base/index.ts';
import { badFile, mark, type Sound, type SoundFile, tooLong, viewOf } from './file.ts';
import { A_LAW, MU_LAW } from './g711.ts';
import type { AudioProblem } from './problem.ts';

// Of mmreg.h.
const PCM = 1;
const FLOAT = 3;
const A_LAW_FORMAT = 6;
const MU_LAW_FORMAT = 7;
/** The format stands in the first two octets of a GUID further on. */
const EXTENSIBLE = 0xfffe;
const MOST_CHANNELS = 8;
/** Writers to a pipe do not know the length: they put something like this (espeak-ng 0x7ffff000, ffmpeg and sox 0xffffffff). */
const LENGTH_UNKNOWN = 0x7fff_0000;

interface Format {
  readonly channels: number;
  readonly rateHz: number;
  readonly bytesPerSample: number;
  readonly read: (view: DataView, at: number) => number;
}

/** RIFF WAVE: PCM of 8, 16, 24 and 32 bits, float of 32 and 64, A-law and µ-law. */
export function readWav(file: SoundFile, mostSeconds: number): Result<Sound, AudioProblem> {
  const { bytes } = file;
  const view = viewOf(bytes);
  if (mark(bytes, 0) !== 'RIFF') return badFile(file, 0, '"RIFF"');
  if (mark(bytes, 8) !== 'WAVE') return badFile(file, 8, '"WAVE"');
  let format: Format | undefined;
  for (let at = 12; ; ) {
    if (at + 8 > bytes.length)
      return badFile(file, at, format === undefined ? 'a chunk "fmt "' : 'a chunk "data"');
    const id = mark(bytes, at);
    const body = at + 8;
    const length = view.getUint32(at + 4, true);
    if (id === 'fmt ') {
      const read = readFormat(file, view, body, length);
      if (!read.ok) return read;
      format = read.value;
    } else if (id === 'data') {
      if (format === undefined) return badFile(file, at, 'a chunk "fmt " before the data');
      const there = bytes.length - body;
      if (length > there && length < LENGTH_UNKNOWN)
        return badFile(file, bytes.length, `${length} octets of data from octet ${body} on`);
      return mixDown(file, view, body, Math.min(length, there), format, mostSeconds);
    }
    // Chunks have an even length; the pad octet is not counted.
    at = body + length + (length & 1);
  }
}

function readFormat(
  file: SoundFile,
  view: DataView,
  at: number,
  length: number,
): Result<Format, AudioProblem> {
  if (length < 16 || at + length > view.byteLength)
    return badFile(file, at, 'at least 16 octets that describe the format');
  let code = view.getUint16(at, true);
  const channels = view.getUint16(at + 2, true);
  const rateHz = view.getUint32(at + 4, true);
  const block = view.getUint16(at + 12, true);
  const bits = view.getUint16(at + 14, true);
  if (code === EXTENSIBLE && length >= 26) code = view.getUint16(at + 24, true);
  const read = sampleReader(code, bits);
  if (read === undefined)
    return badFile(
      file,
      at,
      `a format that is known (PCM of 8, 16, 24 or 32 bits, float, A-law, µ-law) and not format ${code} of ${bits} bits`,
    );
  if (channels < 1 || channels > MOST_CHANNELS)
    return badFile(file, at + 2, `1 to ${MOST_CHANNELS} channels`);
  if (rateHz < 1000 || rateHz > 192_000) return badFile(file, at + 4, 'a rate from 1,000 to 192,000 Hz');
  if (block !== (channels * bits) / 8)
    return badFile(file, at + 12, `blocks of ${(channels * bits) / 8} octets`);
  return ok({ channels, rateHz, bytesPerSample: bits / 8, read });
}

function sampleReader(code: number, bits: number): Format['read'] | undefined {
  if (code === PCM && bits === 8) return (view, at) => (view.getUint8(at) - 128) / 128;
  if (code === PCM && bits === 16) return (view, at) => view.getInt16(at, true) / 32_768;
  if (code === PCM && bits === 24)
    return (view, at) => (view.getUint8(at) | (view.getInt16(at + 1, true) << 8)) / 8_388_608;
  if (code === PCM && bits === 32) return (view, at) => view.getInt32(at, true) / 2_147_483_648;
  if (code === FLOAT && bits === 32) return (view, at) => finite(view.getFloat32(at, true));
  if (code === FLOAT && bits === 64) return (view, at) => finite(view.getFloat64(at, true));
  if (code === A_LAW_FORMAT && bits === 8) return (view, at) => A_LAW.toLinear[view.getUint8(at)]! / 32_768;
  if (code === MU_LAW_FORMAT && bits === 8) return (view, at) => MU_LAW.toLinear[view.getUint8(at)]! / 32_768;
  return undefined;
}

const finite = (value: number): number => (Number.isFinite(value) ? value : 0);

function mixDown(
  file: SoundFile,
  view: DataView,
  from: number,
  length: number,
  format: Format,
  mostSeconds: number,
): Result<Sound, AudioProblem> {
  const { channels, rateHz, bytesPerSample, read } = format;
  const count = Math.floor(length / (channels * bytesPerSample));
  if (count > mostSeconds * rateHz) return tooLong(file, mostSeconds);
  const samples = new Float32Array(count);
  let at = from;
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(view, at);
      at += bytesPerSample;
    }
    samples[i] = sum / channels;
  }
  return ok({ rateHz, samples });
}
