import {
  countDigit,
  createDtmfDetector,
  type DtmfDetector,
  newDigitMerge,
  type SampleRateHz,
  type VoiceDetector,
  type VoiceDetectors,
} from '../../audio/index.ts';
import type { MediaEvent, StreamSpec } from '../protocol.ts';
import type { Stream } from '../stream.ts';
import type { Ear } from './ear.ts';

/** Listens for keys and voice in what one peer says. */
export class Detecting {
  readonly #stream: Stream;
  readonly #event: (event: MediaEvent) => void;
  readonly #voices: () => VoiceDetectors | undefined;
  #wants: NonNullable<StreamSpec['detects']> = {};
  #rateHz: SampleRateHz | undefined;
  #keys: DtmfDetector | undefined;
  #voice: VoiceDetector | undefined;
  #speaking = false;

  constructor(stream: Stream, event: (event: MediaEvent) => void, voices: () => VoiceDetectors | undefined) {
    this.#stream = stream;
    this.#event = event;
    this.#voices = voices;
  }

  want(wants: NonNullable<StreamSpec['detects']>): void {
    this.#wants = wants;
    this.#stream.digits = wants.dtmfInAudio === true ? (this.#stream.digits ?? newDigitMerge()) : undefined;
    if (wants.dtmfInAudio !== true) this.#keys = undefined;
    if (wants.voice !== true) this.#releaseVoice();
  }

  listen(ear: Ear, dueMs: number): void {
    if (ear.rateHz !== this.#rateHz) {
      this.#rateHz = ear.rateHz;
      this.#keys = undefined;
      this.#voice?.release();
      this.#voice = undefined;
    }
    if (this.#wants.dtmfInAudio === true) this.#listenForKeys(ear, ear.rateHz, dueMs);
    if (this.#wants.voice === true) this.#listenForVoice(ear, ear.rateHz);
  }

  release(): void {
    this.#stream.digits = undefined;
    this.#releaseVoice();
  }

  #listenForKeys(ear: Ear, rateHz: SampleRateHz, dueMs: number): void {
    this.#keys ??= createDtmfDetector(rateHz);
    if (!ear.speaking) {
      this.#keys.reset();
      return;
    }
    const heard = this.#keys.detect(ear.frame);
    const { digits } = this.#stream;
    if (heard === undefined || digits === undefined) return;
    const beganMs = dueMs - heard.durationMs - ear.delayMs(dueMs);
    if (countDigit(digits, 'audio', heard.digit, beganMs))
      this.#event({ type: 'dtmf', stream: this.#stream.id, ...heard });
  }

  #listenForVoice(ear: Ear, rateHz: SampleRateHz): void {
    this.#voice ??= this.#voices()?.(rateHz);
    const speaking = this.#voice?.detect(ear.frame) ?? false;
    if (speaking === this.#speaking) return;
    this.#speaking = speaking;
    this.#event({ type: 'voice', stream: this.#stream.id, speaking });
  }

  #releaseVoice(): void {
    this.#voice?.release();
    this.#voice = undefined;
    this.#speaking = false;
  }
}
