import { failed, ok, type Result } from '../base/index.ts';
import { dtmfSource } from './dtmf-tones.ts';
import { applyGain, gainOf } from './mix.ts';
import { FRAME_MS, type Pcm, type SampleRateHz } from './pcm.ts';
import type { AudioProblem } from './problem.ts';
import { type AudioSource, clip, samplesOf, sequence, silence } from './source.ts';
import { toneSource } from './tone.ts';
import type { ToneName } from './tone-plan.ts';

/** One thing of a playback, as the media protocol has it. */
export type PlaybackItem =
  | { readonly asset: string }
  | { readonly tone: ToneName; readonly country?: string; readonly forMs?: number }
  | { readonly digits: string; readonly digitMs?: number; readonly pauseMs?: number }
  | { readonly speech: string; readonly language?: string; readonly voice?: string }
  | { readonly silenceMs: number };

export interface PlaybackTerms {
  readonly items: readonly PlaybackItem[];
  /** 0: for ever. */
  readonly times: number;
  readonly gainDb?: number;
}

/** Where sounds come from that are not computed. Both may take their time: never asked on the packet path. */
export interface PlaybackParts {
  asset(name: string, rateHz: SampleRateHz): Promise<Result<Pcm, AudioProblem>>;
  speech(text: string, wish: SpeechWish, rateHz: SampleRateHz): Promise<Result<Pcm, AudioProblem>>;
}

export interface SpeechWish {
  /** BCP 47: `en`, `de-CH` … */
  readonly language?: string;
  readonly voice?: string;
}

/** A playback that is ready to be heard. Data and arithmetic: nothing to release. */
export interface Player {
  readonly rateHz: SampleRateHz;
  /** `Infinity` when it goes on until it is replaced. */
  readonly durationMs: number;
  /**
   * Writes the 20 ms from `positionMs` (whole milliseconds since it began; what was paused or came before `fromMs` is the caller's
   * arithmetic) to `out`. False when all has been played: then `out` is silence.
   */
  read(positionMs: number, out: Pcm): boolean;
}

/** Fetches what the items need and joins them. An item that cannot be had fails the whole, with the item's number in the sentence. */
export async function openPlayback(
  terms: PlaybackTerms,
  rateHz: SampleRateHz,
  parts: PlaybackParts,
): Promise<Result<Player, AudioProblem>> {
  const sources: AudioSource[] = [];
  // All at once: a prompt of several files and a sentence waits for the slowest alone.
  const fetched = await Promise.all(
    terms.items.map((item, at) => sourceOf(item, at === terms.items.length - 1, rateHz, parts)),
  );
  for (const [at, source] of fetched.entries()) {
    if (!source.ok)
      return failed({
        ...source.error,
        message: `item ${at + 1} of ${terms.items.length}: ${source.error.message}`,
      });
    sources.push(source.value);
  }
  return ok(player(sequence(rateHz, sources, terms.times), terms.gainDb ?? 0));
}

/** A source as a player. */
export function player(source: AudioSource, gainDb: number): Player {
  const { rateHz, samples } = source;
  const frame = (rateHz * FRAME_MS) / 1000;
  const gain = gainOf(gainDb);
  return {
    rateHz,
    durationMs: (samples / rateHz) * 1000,
    read(positionMs, out) {
      const from = Math.max(0, samplesOf(positionMs, rateHz));
      const count = Math.min(frame, out.length);
      source.read(from, out, 0, count);
      if (gain !== 1) applyGain(out, gain);
      return from < samples;
    },
  };
}

async function sourceOf(
  item: PlaybackItem,
  last: boolean,
  rateHz: SampleRateHz,
  parts: PlaybackParts,
): Promise<Result<AudioSource, AudioProblem>> {
  if ('asset' in item) return clipOf(rateHz, await parts.asset(item.asset, rateHz));
  if ('speech' in item) return clipOf(rateHz, await parts.speech(item.speech, item, rateHz));
  if ('digits' in item) return ok(dtmfSource(rateHz, item.digits, item.digitMs, item.pauseMs));
  if ('silenceMs' in item) return ok(silence(rateHz, samplesOf(Math.max(0, item.silenceMs), rateHz)));
  const tone = toneSource(rateHz, item.tone, item.country);
  const length = item.forMs === undefined ? undefined : samplesOf(Math.max(0, item.forMs), rateHz);
  if (length !== undefined) return ok({ ...tone, samples: length });
  if (tone.samples < Number.POSITIVE_INFINITY || last) return ok(tone);
  return failed({
    code: 'bad_playback',
    message: `the tone "${item.tone}" would never end: give it forMs or make it the last item`,
  });
}

const clipOf = (rateHz: SampleRateHz, got: Result<Pcm, AudioProblem>): Result<AudioSource, AudioProblem> =>
  got.ok ? ok(clip(rateHz, got.value)) : got;
