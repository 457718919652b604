import type { Clock } from '../base/index.ts';
import { assetFolders } from './asset-folder.ts';
import { createAssets } from './assets.ts';
import type { DecodeFile } from './decode-file.ts';
import { openDecodeThread } from './decode-thread.ts';
import { type EspeakOptions, espeakSpeech } from './espeak.ts';
import type { PlaybackParts } from './playback.ts';
import { createSpeech, type SpeechEngine } from './speech.ts';

export interface SoundsOptions {
  readonly clock: Clock;
  /** Where assets lie, those before going before those behind. A folder need not exist yet: then none is found there. */
  readonly folders: readonly string[];
  /** Default: espeak-ng of this machine. */
  readonly speech?: SpeechEngine;
  readonly espeak?: Omit<EspeakOptions, 'clock'>;
  /** Default: a thread of its own. */
  readonly decode?: DecodeFile;
}

export interface Sounds extends PlaybackParts {
  /** Ends the decoding thread. */
  close(): void;
}

/** Everything that a playback may need of a machine: files below a folder, texts spoken, both decoded beside the packets. */
export function openSounds(options: SoundsOptions): Sounds {
  const { clock, folders } = options;
  const thread = options.decode === undefined ? openDecodeThread({ clock }) : undefined;
  const decode = thread?.decode ?? (options.decode as DecodeFile);
  const assets = createAssets({ store: assetFolders(folders), decode });
  const engine = options.speech ?? espeakSpeech({ clock, ...options.espeak });
  const speech = createSpeech({ engine, decode });
  return {
    asset: (name, rateHz) => assets.load(name, rateHz),
    speech: (text, wish, rateHz) => speech.load(text, wish, rateHz),
    close: () => thread?.close(),
  };
}
