import type { BlockEncoder } from './g722.ts';
import { BCG729, bringPayload, fetchPayload, openLibrary, scratch } from './library.ts';

export interface G729Decoder {
  /** Frames of 10 octets (80 samples) and at most one SID of 2 octets at the end (RFC 3551 §4.5.6). Samples; negative for other lengths. */
  decode(payload: Uint8Array, from: number, to: number, into: Int16Array): number;
  /** Concealment of so many frames of 10 ms. */
  conceal(frames: number, into: Int16Array): number;
  release(): void;
}

const P = 'uintptr_t';
const FRAME_SAMPLES = 80;
const FRAME_BYTES = 10;
const SID_BYTES = 2;

const library = () =>
  openLibrary(BCG729, (bind) => ({
    encoderInit: bind('initBcg729EncoderChannel', P, ['uint8_t']),
    encoderClose: bind('closeBcg729EncoderChannel', 'void', [P]),
    encode: bind('bcg729Encoder', 'void', [P, P, P, P]),
    decoderInit: bind('initBcg729DecoderChannel', P, []),
    decoderClose: bind('closeBcg729DecoderChannel', 'void', [P]),
    decode: bind('bcg729Decoder', 'void', [P, P, 'uint8_t', 'uint8_t', 'uint8_t', 'uint8_t', P]),
  }));

let opened: ReturnType<typeof library> | null = null;
const bcg729 = () => {
  if (opened === null) opened = library();
  return opened;
};

export const hasG729 = (): boolean => bcg729() !== undefined;

/** `annexB`: silence as SID frames of 2 octets or nothing at all. */
export function openG729Encoder(annexB: boolean): BlockEncoder | undefined {
  const calls = bcg729();
  if (calls === undefined) return undefined;
  let state = calls.encoderInit(annexB ? 1 : 0);
  if (state === 0) return undefined;
  const most = 12 * FRAME_SAMPLES;
  return {
    encode(frame, out, at) {
      if (state === 0 || frame.length > most || frame.length % FRAME_SAMPLES !== 0) return 0;
      scratch.pcm.set(frame);
      let written = 0;
      for (let i = 0; i < frame.length; i += FRAME_SAMPLES) {
        scratch.small[0] = 0;
        calls.encode(state, scratch.pcmAt + 2 * i, scratch.payloadAt + written, scratch.smallAt);
        const length = (scratch.small[0] as number) & 0xff;
        written += length;
        // A SID ends its payload (RFC 3551 §4.5.6), so what comes behind it in this frame is left to the next.
        if (length === SID_BYTES) break;
      }
      return fetchPayload(written, out, at);
    },
    release() {
      if (state !== 0) calls.encoderClose(state);
      state = 0;
    },
  };
}

export function openG729Decoder(): G729Decoder | undefined {
  const calls = bcg729();
  if (calls === undefined) return undefined;
  let state = calls.decoderInit();
  if (state === 0) return undefined;
  const take = (samples: number, into: Int16Array): number => {
    for (let i = 0; i < samples; i++) into[i] = scratch.pcm[i] as number;
    return samples;
  };
  return {
    decode(payload, from, to, into) {
      const length = bringPayload(payload, from, to);
      const rest = length % FRAME_BYTES;
      if (state === 0 || length <= 0 || (rest !== 0 && rest !== SID_BYTES)) return -1;
      const room = Math.min(into.length, scratch.pcm.length) - FRAME_SAMPLES;
      let samples = 0;
      for (let at = 0; at < length && samples <= room; at += FRAME_BYTES) {
        const sid = length - at < FRAME_BYTES;
        calls.decode(
          state,
          scratch.payloadAt + at,
          sid ? SID_BYTES : FRAME_BYTES,
          0,
          sid ? 1 : 0,
          0,
          scratch.pcmAt + 2 * samples,
        );
        samples += FRAME_SAMPLES;
      }
      return take(samples, into);
    },
    conceal(frames, into) {
      if (state === 0 || frames * FRAME_SAMPLES > into.length) return -1;
      for (let i = 0; i < frames; i++)
        calls.decode(state, scratch.payloadAt, 0, 1, 0, 0, scratch.pcmAt + 2 * i * FRAME_SAMPLES);
      return take(frames * FRAME_SAMPLES, into);
    },
    release() {
      if (state !== 0) calls.decoderClose(state);
      state = 0;
    },
  };
}
