import openSpeex from '@echogarden/speex-resampler-wasm';
import type { Sound } from './file.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';

/** 0 to 10; the last steps cost little where nobody waits. */
const QUALITY = 8;
const BLOCK = 4096;

let speex: ReturnType<typeof openSpeex> | undefined;

/** A sound at one of our rates, from any other. Streams of packets between our own rates have `createResampler`; this is for files. */
export async function convert(sound: Sound, rateHz: SampleRateHz): Promise<Pcm> {
  if (sound.rateHz === rateHz) return toPcm(sound.samples);
  speex ??= openSpeex();
  const library = await speex;
  const ratio = rateHz / sound.rateHz;
  const room = Math.ceil(BLOCK * ratio) + 64;
  const inputAt = library._malloc(4 * (BLOCK + room + 2));
  const outputAt = inputAt + 4 * BLOCK;
  const countsAt = outputAt + 4 * room;
  const state = library._speex_resampler_init(1, sound.rateHz, rateHz, QUALITY, 0);
  if (inputAt === 0 || state === 0) throw new Error(`no memory to resample from ${sound.rateHz} Hz`);
  try {
    library._speex_resampler_skip_zeros(state);
    const wanted = Math.round(sound.samples.length * ratio);
    const out = new Int16Array(wanted);
    let written = 0;
    // Zeros behind the end bring out what is still inside.
    for (let from = 0; written < wanted; from += BLOCK) {
      const heap = library.HEAPF32;
      const part = sound.samples.subarray(from, from + BLOCK);
      heap.fill(0, inputAt / 4, inputAt / 4 + BLOCK);
      heap.set(part, inputAt / 4);
      library.HEAPU32[countsAt / 4] = BLOCK;
      library.HEAPU32[countsAt / 4 + 1] = room;
      library._speex_resampler_process_float(state, 0, inputAt, countsAt, outputAt, countsAt + 4);
      const made = library.HEAPU32[countsAt / 4 + 1] as number;
      for (let i = 0; i < made && written < wanted; i++)
        out[written++] = sampleOf(library.HEAPF32[outputAt / 4 + i] as number);
    }
    return out;
  } finally {
    library._speex_resampler_destroy(state);
    library._free(inputAt);
  }
}

const toPcm = (samples: Float32Array): Pcm => Int16Array.from(samples, sampleOf);

const sampleOf = (value: number): number =>
  value >= 1 ? 32_767 : value <= -1 ? -32_768 : Math.round(value * 32_767);
