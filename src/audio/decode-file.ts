import { ok, type Result } from '../base/index.ts';
import { convert } from './convert.ts';
import { badFile, mark, type SoundFile } from './file.ts';
import { looksLikeMp3, readMp3 } from './mp3.ts';
import { readOggOpus } from './ogg-opus.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';
import type { AudioProblem } from './problem.ts';
import { readWav } from './wav.ts';

/** Turns a file into samples of one of our rates. */
export type DecodeFile = (
  file: SoundFile,
  rateHz: SampleRateHz,
  mostSeconds: number,
) => Promise<Result<Pcm, AudioProblem>>;

/** In this thread, in one go: a minute of MP3 takes some 900 ms of CPU. The file's first octets say what it is, not its name. */
export const decodeFile: DecodeFile = async (file, rateHz, mostSeconds) => {
  const { bytes } = file;
  const begin = mark(bytes, 0);
  const sound =
    begin === 'RIFF'
      ? readWav(file, mostSeconds)
      : begin === 'OggS'
        ? readOggOpus(file, mostSeconds)
        : looksLikeMp3(bytes)
          ? await readMp3(file, mostSeconds)
          : badFile(file, 0, '"RIFF" (WAV), "OggS" (Ogg Opus), "ID3" or a frame of MPEG audio (MP3)');
  return sound.ok ? ok(await convert(sound.value, rateHz)) : sound;
};
