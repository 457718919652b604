import { FRAME_MS, type Pcm, type SampleRateHz, samplesPerFrame } from '../../audio/index.ts';
import type { CallId, StreamId } from '../../base/index.ts';
import type { TapSpec } from '../protocol.ts';
import type { Stream } from '../stream.ts';

/** All directions of a tap have this rate, whatever their codecs: so they are aligned by sample. */
export const TAP_RATE_HZ: SampleRateHz = 16_000;

export type TapDirection = 'received' | 'sent';

/** 20 ms of one tap. */
export interface TapFrame {
  readonly tap: string;
  readonly stream: StreamId;
  readonly call: CallId;
  /**
   * The frame's place on the timeline that all taps of a machine share, also across a take-over: 20 ms each, counted from its start. A number that
   * is missing is a gap in which nobody listened.
   */
  readonly tick: number;
  readonly rateHz: SampleRateHz;
  /** One for each direction that the tap has, in the spec's order; lent for the time of the call. */
  readonly channels: readonly TapChannel[];
}

export interface TapChannel {
  readonly direction: TapDirection;
  readonly pcm: Pcm;
  /** `absent`: nobody spoke, the samples are silence; `concealed`: a packet was lost, and they are made up in part. */
  readonly state: 'heard' | 'concealed' | 'absent';
}

/** Who takes what is tapped: recording, transcription. Must not throw, nor take long. */
export interface TapConsumer {
  frame(frame: TapFrame): void;
  /** A tap is no more: it was taken away, its stream ended or went to another process. */
  closed(tap: string, stream: StreamId): void;
}

/** What is heard in a direction at this tick, at the taps' rate. */
export type TapSource = (direction: TapDirection) => { pcm: Pcm; concealed: boolean } | undefined;

const silence = new Int16Array(samplesPerFrame(TAP_RATE_HZ));
/** One for each direction: a frame lent by a mixer is written over by the next. */
const copies: Readonly<Record<TapDirection, Pcm>> = {
  received: new Int16Array(silence.length),
  sent: new Int16Array(silence.length),
};

/** The taps of one stream. */
export class Taps {
  readonly #stream: Stream;
  readonly #consumer: TapConsumer;
  #specs: readonly TapSpec[] = [];

  constructor(stream: Stream, consumer: TapConsumer) {
    this.#stream = stream;
    this.#consumer = consumer;
  }

  set(specs: readonly TapSpec[]): void {
    for (const { id } of this.#specs)
      if (!specs.some((other) => other.id === id)) this.#consumer.closed(id, this.#stream.id);
    this.#specs = specs;
  }

  listen(tick: number, source: TapSource): void {
    const channels = new Map<TapDirection, TapChannel>();
    for (const { id, directions } of this.#specs) {
      for (const direction of directions)
        if (!channels.has(direction)) channels.set(direction, channelOf(direction, source));
      this.#consumer.frame({
        tap: id,
        stream: this.#stream.id,
        call: this.#stream.spec.call,
        tick,
        rateHz: TAP_RATE_HZ,
        channels: directions.map((direction) => channels.get(direction)!),
      });
    }
  }
}

function channelOf(direction: TapDirection, source: TapSource): TapChannel {
  const heard = source(direction);
  if (heard === undefined) return { direction, pcm: silence, state: 'absent' };
  copies[direction].set(heard.pcm);
  return { direction, pcm: copies[direction], state: heard.concealed ? 'concealed' : 'heard' };
}

/** When a frame began, in milliseconds of the clock that `tick` counts. */
export const tapFrameBeganMs = (tick: number): number => tick * FRAME_MS;
