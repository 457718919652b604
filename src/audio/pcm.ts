/**
 * Audio inside the server is 16-bit linear PCM, one channel, in frames of 20 ms. A frame is lent: whoever gets one copies what it wants to
 * keep, because the next frame is written over it.
 */
export type Pcm = Int16Array;

export const FRAME_MS = 20;

/** The rates in use: narrow band (G.711, G.729), wide band (G.722), full band (Opus). */
export type SampleRateHz = 8000 | 16_000 | 48_000;

export const samplesPerFrame = (rate: SampleRateHz): number => (rate * FRAME_MS) / 1000;
