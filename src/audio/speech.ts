import { failed, ok, type Result } from '../base/index.ts';
import type { DecodeFile } from './decode-file.ts';
import type { SoundFile } from './file.ts';
import { shareRuns } from './once.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';
import { createPcmCache } from './pcm-cache.ts';
import type { SpeechWish } from './playback.ts';
import type { AudioProblem } from './problem.ts';

/** Text to speech as a port: `espeakSpeech` is the embedded engine; a service elsewhere would be another. */
export interface SpeechEngine {
  /** The text as a sound file of any kind that we read. Never rejects. */
  speak(text: string, wish: SpeechWish): Promise<Result<SoundFile, AudioProblem>>;
}

export interface SpeechOptions {
  readonly engine: SpeechEngine;
  readonly decode: DecodeFile;
  /** Of spoken samples, all rates together. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Of one text. Default 2,000. */
  readonly mostCharacters?: number;
  /** Of one text. Default 300. */
  readonly mostSeconds?: number;
}

/** Texts as samples: each is spoken once for a voice and a rate and kept while there is room. */
export interface Speech {
  load(text: string, wish: SpeechWish, rateHz: SampleRateHz): Promise<Result<Pcm, AudioProblem>>;
  readonly usedBytes: number;
}

export function createSpeech(options: SpeechOptions): Speech {
  const { engine, decode, cacheBytes = 2 ** 26, mostCharacters = 2000, mostSeconds = 300 } = options;
  const cache = createPcmCache(cacheBytes);
  const shared = shareRuns<Result<Pcm, AudioProblem>>();

  const fetch = async (
    text: string,
    wish: SpeechWish,
    rateHz: SampleRateHz,
    key: string,
  ): Promise<Result<Pcm, AudioProblem>> => {
    const spoken = await engine.speak(text, wish);
    if (!spoken.ok) return spoken;
    const decoded = await decode(spoken.value, rateHz, mostSeconds);
    if (decoded.ok) cache.put(key, { pcm: decoded.value, version: '' });
    return decoded;
  };

  return {
    get usedBytes() {
      return cache.usedBytes;
    },
    async load(text, wish, rateHz) {
      if (text.length > mostCharacters)
        return failed({
          code: 'speech_failed',
          message: `a text of ${text.length} characters, and at most ${mostCharacters} are spoken: "${text.slice(0, 40)}…"`,
        });
      if (text.trim() === '') return ok(new Int16Array());
      const key = JSON.stringify([rateHz, wish.language, wish.voice, text]);
      const kept = cache.get(key);
      if (kept !== undefined) return ok(kept.pcm);
      return shared(key, () => fetch(text, wish, rateHz, key));
    },
  };
}
