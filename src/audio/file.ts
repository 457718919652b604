import { failed, type Result } from '../base/index.ts';
import type { AudioProblem } from './problem.ts';

/** A sound file, whole in memory. */
export interface SoundFile {
  /** As it is called in messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What a file holds: one channel (others are mixed down), -1 to 1, at any rate. */
export interface Sound {
  readonly rateHz: number;
  readonly samples: Float32Array;
}

/** A file that cannot be read: where, and what should have been there. */
export const badFile = (file: SoundFile, at: number, expected: string): Result<never, AudioProblem> =>
  failed({
    code: 'asset_bad',
    message: `${file.name}: at octet ${at}: expected ${expected}, found ${found(file.bytes, at)}`,
  });

export const tooLong = (file: SoundFile, mostSeconds: number): Result<never, AudioProblem> =>
  failed({ code: 'asset_too_large', message: `${file.name}: longer than ${mostSeconds} s` });

function found(bytes: Uint8Array, at: number): string {
  const there = bytes.subarray(at, at + 4);
  if (there.length === 0) return 'the end of the file';
  const hex = [...there].map((octet) => octet.toString(16).padStart(2, '0')).join(' ');
  return there.every((octet) => octet >= 0x20 && octet < 0x7f)
    ? `"${String.fromCharCode(...there)}" (${hex})`
    : hex;
}

/** Four characters at a place. */
export const mark = (bytes: Uint8Array, at: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + 4));

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
