import fvad from '@echogarden/fvad-wasm';
import { FRAME_MS, type Pcm, type SampleRateHz } from './pcm.ts';

/** Tells whether somebody speaks. Holds memory of the library: `release` it. */
export interface VoiceDetector {
  /** Takes a frame of 20 ms; whether somebody speaks now. Begins after 60 ms of voice, stops after `hangoverMs` without. */
  detect(frame: Pcm): boolean;
  readonly speaking: boolean;
  release(): void;
}

export interface VoiceDetectorOptions {
  /** 0 (takes everything for voice rather than miss some) to 3. Default 2. */
  readonly strictness?: 0 | 1 | 2 | 3;
  /** Silence between words that ends nothing. Default 300. */
  readonly hangoverMs?: number;
}

/** Opens detectors, as many as there are streams. */
export type VoiceDetectors = (rateHz: SampleRateHz, options?: VoiceDetectorOptions) => VoiceDetector;

type Library = Awaited<ReturnType<typeof fvad>>;

const FRAMES_TO_BEGIN = 3;
const MOST_SAMPLES = (48_000 * FRAME_MS) / 1000;

let opening: Promise<VoiceDetectors> | undefined;

/** WebRTC's detector (libfvad). Once at the start; the detectors it gives need no waiting. */
export function loadVoiceDetectors(): Promise<VoiceDetectors> {
  opening ??= fvad().then(detectorsOf);
  return opening;
}

function detectorsOf(library: Library): VoiceDetectors {
  // One frame's room for all: a call is synchronous.
  const at = library._malloc(2 * MOST_SAMPLES);
  let room = new Int16Array(library.HEAPU8.buffer, at, MOST_SAMPLES);
  return (rateHz, options = {}) => {
    const hangover = Math.ceil((options.hangoverMs ?? 300) / FRAME_MS);
    const detector = library._fvad_new();
    if (detector === 0) throw new Error('the voice detector has no memory left');
    library._fvad_set_sample_rate(detector, rateHz);
    library._fvad_set_mode(detector, options.strictness ?? 2);
    let released = false;
    let speaking = false;
    let run = 0;
    return {
      get speaking() {
        return speaking;
      },
      detect(frame) {
        const count = (rateHz * FRAME_MS) / 1000;
        if (released || frame.length !== count) return speaking;
        // Growing its memory gives the library a new buffer.
        if (room.length === 0) room = new Int16Array(library.HEAPU8.buffer, at, MOST_SAMPLES);
        room.set(frame);
        const voice = library._fvad_process(detector, at, count) === 1;
        run = voice === speaking ? 0 : run + 1;
        if (run >= (speaking ? hangover : FRAMES_TO_BEGIN)) {
          speaking = !speaking;
          run = 0;
        }
        return speaking;
      },
      release() {
        if (!released) library._fvad_free(detector);
        released = true;
      },
    };
  };
}
