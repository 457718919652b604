import { bringPayload, fetchPayload, MOST_SAMPLES, openLibrary, SPANDSP, scratch } from './library.ts';

export interface BlockEncoder {
  /** Octets written; 0 for what the codec cannot take. */
  encode(frame: Int16Array, out: Uint8Array, at: number): number;
  release(): void;
}

export interface BlockDecoder {
  /** Samples written into `into`; negative for what is not a payload of the codec. */
  decode(payload: Uint8Array, from: number, to: number, into: Int16Array): number;
  release(): void;
}

const P = 'uintptr_t';
const RATE_BITS_PER_SEC = 64_000;

const library = () =>
  openLibrary(SPANDSP, (bind) => ({
    encodeInit: bind('g722_encode_init', P, [P, 'int', 'int']),
    encodeFree: bind('g722_encode_free', 'int', [P]),
    encode: bind('g722_encode', 'int', [P, P, P, 'int']),
    decodeInit: bind('g722_decode_init', P, [P, 'int', 'int']),
    decodeFree: bind('g722_decode_free', 'int', [P]),
    decode: bind('g722_decode', 'int', [P, P, P, 'int']),
  }));

let opened: ReturnType<typeof library> | null = null;
const spandsp = () => {
  if (opened === null) opened = library();
  return opened;
};

export const hasG722 = (): boolean => spandsp() !== undefined;

/** 64 kbit/s, 16 kHz: two samples an octet. */
export function openG722Encoder(): BlockEncoder | undefined {
  const calls = spandsp();
  if (calls === undefined) return undefined;
  let state = calls.encodeInit(0, RATE_BITS_PER_SEC, 0);
  if (state === 0) return undefined;
  return {
    encode(frame, out, at) {
      if (state === 0 || frame.length > MOST_SAMPLES / 2 || frame.length % 2 !== 0) return 0;
      scratch.pcm.set(frame);
      return fetchPayload(calls.encode(state, scratch.payloadAt, scratch.pcmAt, frame.length), out, at);
    },
    release() {
      if (state !== 0) calls.encodeFree(state);
      state = 0;
    },
  };
}

export function openG722Decoder(): BlockDecoder | undefined {
  const calls = spandsp();
  if (calls === undefined) return undefined;
  let state = calls.decodeInit(0, RATE_BITS_PER_SEC, 0);
  if (state === 0) return undefined;
  return {
    decode(payload, from, to, into) {
      const length = bringPayload(payload, from, Math.min(to, from + Math.floor(into.length / 2)));
      if (state === 0 || length <= 0) return -1;
      const samples = calls.decode(state, scratch.pcmAt, scratch.payloadAt, length);
      for (let i = 0; i < samples; i++) into[i] = scratch.pcm[i] as number;
      return samples;
    },
    release() {
      if (state !== 0) calls.decodeFree(state);
      state = 0;
    },
  };
}
