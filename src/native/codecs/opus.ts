import {
  bringPayload,
  fetchPayload,
  MOST_PAYLOAD_BYTES,
  MOST_SAMPLES,
  OPUS,
  openLibrary,
  scratch,
} from './library.ts';

export interface OpusEncoderOptions {
  readonly rateHz: number;
  readonly bitsPerSec: number;
  /** 0 to 10. */
  readonly complexity: number;
  readonly inbandFec: boolean;
  readonly dtx: boolean;
}

export interface OpusEncoder {
  /** Octets written; 0 when the frame need not be sent (DTX) or has a length that Opus does not know. */
  encode(frame: Int16Array, out: Uint8Array, at: number): number;
  expectLossPercent(percent: number): void;
  release(): void;
}

export interface OpusDecoder {
  /** Samples written into `into`; negative for a payload that is not Opus. */
  decode(payload: Uint8Array, from: number, to: number, into: Int16Array): number;
  /** What `next` carries of the frame before it (LBRR), or concealment of `samples` when it carries nothing. */
  recover(next: Uint8Array | undefined, samples: number, into: Int16Array): number;
  release(): void;
}

// Of opus_defines.h.
const APPLICATION_VOIP = 2048;
const SET_BITRATE = 4002;
const SET_COMPLEXITY = 4010;
const SET_INBAND_FEC = 4012;
const SET_PACKET_LOSS_PERC = 4014;
const SET_DTX = 4016;

const P = 'uintptr_t';

const library = () =>
  openLibrary(OPUS, (bind) => ({
    encoderCreate: bind('opus_encoder_create', P, ['int', 'int', 'int', P]),
    encoderDestroy: bind('opus_encoder_destroy', 'void', [P]),
    // Declared with fixed arguments: on x86_64 and arm64 Linux, integers are passed alike in both forms.
    encoderControl: bind('opus_encoder_ctl', 'int', [P, 'int', 'int']),
    encode: bind('opus_encode', 'int', [P, P, 'int', P, 'int']),
    decoderCreate: bind('opus_decoder_create', P, ['int', 'int', P]),
    decoderDestroy: bind('opus_decoder_destroy', 'void', [P]),
    decode: bind('opus_decode', 'int', [P, P, 'int', P, 'int', 'int']),
  }));

let opened: ReturnType<typeof library> | null = null;
const opus = () => {
  if (opened === null) opened = library();
  return opened;
};

export const hasOpus = (): boolean => opus() !== undefined;

/** Undefined when the library is missing or refuses the options. */
export function openOpusEncoder(options: OpusEncoderOptions): OpusEncoder | undefined {
  const calls = opus();
  if (calls === undefined) return undefined;
  let state = calls.encoderCreate(options.rateHz, 1, APPLICATION_VOIP, scratch.smallAt);
  if (state === 0) return undefined;
  calls.encoderControl(state, SET_BITRATE, options.bitsPerSec);
  calls.encoderControl(state, SET_COMPLEXITY, options.complexity);
  calls.encoderControl(state, SET_INBAND_FEC, options.inbandFec ? 1 : 0);
  calls.encoderControl(state, SET_DTX, options.dtx ? 1 : 0);
  return {
    encode(frame, out, at) {
      if (state === 0 || frame.length > MOST_SAMPLES) return 0;
      scratch.pcm.set(frame);
      const length = calls.encode(state, scratch.pcmAt, frame.length, scratch.payloadAt, MOST_PAYLOAD_BYTES);
      // opus_encode: "If the return value is 2 bytes or less, then the packet does not need to be transmitted (DTX)."
      return length <= 2 ? 0 : fetchPayload(length, out, at);
    },
    expectLossPercent(percent) {
      if (state !== 0) calls.encoderControl(state, SET_PACKET_LOSS_PERC, percent);
    },
    release() {
      if (state !== 0) calls.encoderDestroy(state);
      state = 0;
    },
  };
}

/** One channel: libopus mixes stereo down itself. */
export function openOpusDecoder(rateHz: number): OpusDecoder | undefined {
  const calls = opus();
  if (calls === undefined) return undefined;
  let state = calls.decoderCreate(rateHz, 1, scratch.smallAt);
  if (state === 0) return undefined;
  const take = (samples: number, into: Int16Array): number => {
    const pcm = scratch.pcm;
    for (let i = 0; i < samples; i++) into[i] = pcm[i] as number;
    return samples;
  };
  return {
    decode(payload, from, to, into) {
      const length = bringPayload(payload, from, to);
      if (state === 0 || length <= 0) return -1;
      const room = Math.min(into.length, MOST_SAMPLES);
      return take(calls.decode(state, scratch.payloadAt, length, scratch.pcmAt, room, 0), into);
    },
    recover(next, samples, into) {
      if (state === 0 || samples > into.length || samples > MOST_SAMPLES) return -1;
      const length = next === undefined ? 0 : bringPayload(next, 0, next.length);
      if (length > 0) {
        const got = calls.decode(state, scratch.payloadAt, length, scratch.pcmAt, samples, 1);
        if (got > 0) return take(got, into);
      }
      return take(calls.decode(state, 0, 0, scratch.pcmAt, samples, 0), into);
    },
    release() {
      if (state !== 0) calls.decoderDestroy(state);
      state = 0;
    },
  };
}
