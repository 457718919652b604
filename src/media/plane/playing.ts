import {
  openPlayback,
  type Pcm,
  type PlaybackParts,
  type Player,
  type SampleRateHz,
  samplesPerFrame,
} from '../../audio/index.ts';
import type { MediaEvent, Playback } from '../protocol.ts';
import type { PlayState, Stream } from '../stream.ts';

/** What a playback asks of its surroundings. */
export interface PlayingPort {
  readonly parts: PlaybackParts;
  event(event: MediaEvent): void;
  /** The twin should know where the playback stands. */
  note(stream: Stream): void;
}

/**
 * A stream's playback. What is heard follows from when it began, which stands in the stream and so with its twin: whoever takes the stream
 * over goes on from there. It begins when all its items are there.
 */
export class Playing {
  readonly id: string;
  readonly #stream: Stream;
  readonly #port: PlayingPort;
  #terms: Playback;
  readonly #players = new Map<SampleRateHz, Player | 'opening'>();
  readonly #frames = new Map<SampleRateHz, Pcm>();
  #positionMs = 0;
  #failed = false;

  constructor(stream: Stream, terms: Playback, port: PlayingPort) {
    this.#stream = stream;
    this.#terms = terms;
    this.#port = port;
    this.id = terms.id;
    if (stream.playing?.id !== terms.id) stream.playing = { id: terms.id };
  }

  /** The rate of its listener: opens it there, if it is not yet. */
  openAt(rateHz: SampleRateHz): void {
    if (this.#players.has(rateHz) || this.over) return;
    this.#players.set(rateHz, 'opening');
    this.#frames.set(rateHz, new Int16Array(samplesPerFrame(rateHz)));
    void openPlayback(this.#terms, rateHz, this.#port.parts).then(
      (opened) => {
        if (opened.ok) this.#players.set(rateHz, opened.value);
        else this.#fail(opened.error.message);
      },
      (error) => this.#fail(String(error)),
    );
  }

  get over(): boolean {
    return this.#failed || this.#stream.playing?.ended === true;
  }

  /** Said again: paused, or to go on. */
  change(terms: Playback, nowMs: number): void {
    const paused = terms.paused === true;
    const state = this.#stream.playing;
    this.#terms = terms;
    if (state?.beganMs === undefined || state.ended || paused === (state.pausedAtMs !== undefined)) return;
    const { id } = this;
    if (paused) this.#tell({ id, beganMs: state.beganMs, pausedAtMs: nowMs - state.beganMs });
    else this.#tell({ id, beganMs: nowMs - state.pausedAtMs! });
  }

  /** Moves on to this tick; whether it is heard now, and how. */
  advance(dueMs: number): 'alone' | 'mixed' | undefined {
    const state = this.#stream.playing;
    const player = this.#ready;
    if (player === undefined || state === undefined || this.over) return undefined;
    const { paused, fromMs = 0, mixes } = this.#terms;
    if (state.beganMs === undefined)
      this.#tell({ id: this.id, beganMs: dueMs, ...(paused && { pausedAtMs: 0 }) });
    const { beganMs, pausedAtMs } = this.#stream.playing!;
    if (pausedAtMs !== undefined) return undefined;
    this.#positionMs = Math.max(0, Math.round(dueMs - beganMs!)) + fromMs;
    if (this.#positionMs >= player.durationMs) {
      this.#tell({ id: this.id, beganMs: beganMs!, ended: true });
      this.#port.event({ type: 'played', stream: this.#stream.id, playback: this.id, outcome: 'finished' });
      return undefined;
    }
    return mixes === true ? 'mixed' : 'alone';
  }

  frameAt(rateHz: SampleRateHz): Pcm | undefined {
    const player = this.#players.get(rateHz);
    const frame = this.#frames.get(rateHz);
    if (player === undefined || player === 'opening' || frame === undefined) {
      this.openAt(rateHz);
      return undefined;
    }
    player.read(this.#positionMs, frame);
    return frame;
  }

  /** Another takes its place, or none. */
  replace(): void {
    if (this.over) return;
    this.#port.event({ type: 'played', stream: this.#stream.id, playback: this.id, outcome: 'replaced' });
  }

  get #ready(): Player | undefined {
    for (const player of this.#players.values()) if (player !== 'opening') return player;
    return undefined;
  }

  #fail(problem: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#tell({ id: this.id, ended: true });
    this.#port.event({
      type: 'played',
      stream: this.#stream.id,
      playback: this.id,
      outcome: 'failed',
      problem,
    });
  }

  #tell(state: PlayState): void {
    this.#stream.playing = state;
    this.#port.note(this.#stream);
  }
}
