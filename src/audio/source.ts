import type { Pcm, SampleRateHz } from './pcm.ts';

/**
 * Audio that follows from the position alone: read twice, it is the same, and whoever knows where it began goes on with it. Reading
 * allocates nothing.
 */
export interface AudioSource {
  readonly rateHz: SampleRateHz;
  /** Length in samples; `Infinity` when it never ends. */
  readonly samples: number;
  /** Adds nothing and leaves nothing: writes the `count` samples from `from` on to `out` at `at`; silence behind the end. */
  read(from: number, out: Pcm, at: number, count: number): void;
}

export const samplesOf = (durationMs: number, rateHz: number): number =>
  Math.round((durationMs * rateHz) / 1000);

export const silence = (rateHz: SampleRateHz, samples: number): AudioSource => ({
  rateHz,
  samples,
  read: (_, out, at, count) => void out.fill(0, at, at + count),
});

/** Samples that are there already. */
export function clip(rateHz: SampleRateHz, pcm: Pcm): AudioSource {
  return {
    rateHz,
    samples: pcm.length,
    read(from, out, at, count) {
      const there = Math.max(0, Math.min(count, pcm.length - from));
      for (let i = 0; i < there; i++) out[at + i] = pcm[from + i] as number;
      out.fill(0, at + there, at + count);
    },
  };
}

/** One thing after another, so many times (0: for ever), joined to the sample. What stands behind an endless one is never heard. */
export function sequence(rateHz: SampleRateHz, parts: readonly AudioSource[], times: number): AudioSource {
  const starts: number[] = [];
  let round = 0;
  for (const part of parts) {
    starts.push(round);
    round += part.samples;
  }
  const samples = round === 0 ? 0 : times === 0 ? Number.POSITIVE_INFINITY : round * times;
  return {
    rateHz,
    samples,
    read(from, out, at, count) {
      let position = from;
      let written = 0;
      while (written < count && position < samples) {
        const within = round === Number.POSITIVE_INFINITY ? position : position % round;
        let index = parts.length - 1;
        while (index > 0 && (starts[index] as number) > within) index--;
        const part = parts[index] as AudioSource;
        const offset = within - (starts[index] as number);
        const length = Math.min(count - written, part.samples - offset, samples - position);
        part.read(offset, out, at + written, length);
        written += length;
        position += length;
      }
      out.fill(0, at + written, at + count);
    },
  };
}
