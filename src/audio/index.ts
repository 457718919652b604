/**
 * Audio as samples: codecs, resampling, mixing, tones, prompts and what can be heard in them. No sockets, no RTP and no clock: frames in,
 * frames out. Native codecs come from `native`.
 */
export { type AssetBytes, type AssetStore, assetFolder } from './asset-folder.ts';
export { type Assets, type AssetsOptions, createAssets } from './assets.ts';
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
  type ComfortNoise,
  createComfortNoise,
  createNoiseAnalyser,
  DEFAULT_NOISE_DBOV,
  type NoiseAnalyser,
} from './comfort-noise.ts';
export { type DecodeFile, decodeFile } from './decode-file.ts';
export { type DecodeThread, type DecodeThreadOptions, openDecodeThread } from './decode-thread.ts';
export { countDigit, type DigitForm, type DigitMerge, newDigitMerge, SAME_PRESS_MS } from './digit-merge.ts';
export { createDtmfDetector, type DtmfDetector, type DtmfHeard } from './dtmf-detector.ts';
export { DEFAULT_DIGIT_MS, DEFAULT_PAUSE_MS } from './dtmf-tones.ts';
export { type EspeakOptions, espeakSpeech } from './espeak.ts';
export type { SoundFile } from './file.ts';
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
export {
  DEFAULT_PACKET_MS,
  isPacketMs,
  OPUS_BITS_PER_SEC,
  PACKET_TIMES,
  type PacketMs,
  packetMsFor,
} from './packet-time.ts';
export { FRAME_MS, type Pcm, type SampleRateHz, samplesPerFrame } from './pcm.ts';
export {
  openPlayback,
  type PlaybackItem,
  type PlaybackParts,
  type PlaybackTerms,
  type Player,
  type SpeechWish,
} from './playback.ts';
export type { AudioProblem } from './problem.ts';
export { createResampler, type Resampler } from './resample.ts';
export { openSounds, type Sounds, type SoundsOptions } from './sounds.ts';
export { createSpeech, type Speech, type SpeechEngine, type SpeechOptions } from './speech.ts';
export type { ToneName } from './tone-plan.ts';
export {
  loadVoiceDetectors,
  type VoiceDetector,
  type VoiceDetectorOptions,
  type VoiceDetectors,
} from './voice-activity.ts';
