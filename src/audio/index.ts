/**
 * Audio as samples: codecs, resampling, mixing, tones, prompts and what can be heard in them. No sockets, no RTP and no clock: frames in,
 * frames out. Native codecs come from `native`.
 */
export type { Decoder, Encoder } from './codec.ts';
export {
  availableCodecs,
  type CodecName,
  createDecoder,
  createEncoder,
  type EncoderOptions,
  missingCodecs,
  sampleRateOf,
} from './codecs.ts';
export {
  applyGain,
  gainOf,
  levelDbov,
  limit,
  type MixBus,
  mixInto,
  newSpeakerSelection,
  type SpeakerSelection,
  selectSpeakers,
  takeMix,
} from './mix.ts';
export { FRAME_MS, type Pcm, type SampleRateHz, samplesPerFrame } from './pcm.ts';
export { createResampler, type Resampler } from './resample.ts';
