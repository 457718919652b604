import {
  gainOf,
  type MixBus,
  mixInto,
  type Pcm,
  type SampleRateHz,
  samplesPerFrame,
  takeMix,
} from '../../audio/index.ts';
import type { StreamId } from '../../base/index.ts';
import type { Hearing } from '../protocol.ts';
import type { Stream } from '../stream.ts';
import type { Ear } from './ear.ts';
import type { Playing } from './playing.ts';
import type { Room } from './room.ts';

/** What one peer hears of what is made here. */
export interface Programme {
  /**
   * Names what is to be heard at this tick: whoever has the same name hears the same. Undefined: there is nothing. To be asked once a tick,
   * before `frameAt`.
   */
  contentAt(tick: number, dueMs: number): string | undefined;
  /** This tick's frame, lent until the next call of anybody. Undefined: nothing. */
  frameAt(rateHz: SampleRateHz): Pcm | undefined;
}

/** Where voices come from. */
export interface Voices {
  ear(stream: StreamId): Ear | undefined;
}

const frames = new Map<SampleRateHz, { bus: MixBus; frame: Pcm; silence: Pcm }>();

/** Room to mix in: one for all, as one is mixed after the other. */
export function mixingRoom(rateHz: SampleRateHz): { bus: MixBus; frame: Pcm; silence: Pcm } {
  let room = frames.get(rateHz);
  if (room === undefined) {
    const length = samplesPerFrame(rateHz);
    room = { bus: new Int32Array(length), frame: new Int16Array(length), silence: new Int16Array(length) };
    frames.set(rateHz, room);
  }
  return room;
}

/** Another stream alone, for those parts of it that cannot be passed on as they are. */
export class Transcoding implements Programme {
  readonly #source: Stream;
  readonly #voices: Voices;
  readonly #content: string;
  #ear: Ear | undefined;

  constructor(source: Stream, voices: Voices) {
    this.#source = source;
    this.#voices = voices;
    this.#content = `s:${source.id}`;
  }

  contentAt(): string | undefined {
    this.#ear = this.#voices.ear(this.#source.id);
    return this.#ear?.speaking === true && this.#source.receives ? this.#content : undefined;
  }

  frameAt(rateHz: SampleRateHz): Pcm | undefined {
    return this.#ear?.at(rateHz);
  }
}

interface Heard {
  readonly stream: StreamId;
  readonly gain: number;
}

/** Anything else: several voices at their levels, a room, a playback over them. Silence is heard too, as the peer is never left alone. */
export class Mixture implements Programme {
  readonly #voices: Voices;
  readonly #heard: readonly Heard[];
  readonly #content: string;
  readonly #room: Room | undefined;
  readonly #self: StreamId;
  readonly #playing: Playing | undefined;
  #playsOver = false;
  #playsMixed = false;
  #audible: { ear: Ear; gain: number }[] = [];

  constructor(
    self: StreamId,
    voices: Voices,
    heard: readonly Hearing[],
    room: Room | undefined,
    playing: Playing | undefined,
  ) {
    this.#self = self;
    this.#voices = voices;
    this.#heard = heard.map(({ stream, gainDb }) => ({ stream, gain: gainOf(gainDb ?? 0) }));
    this.#content = heard
      .map(({ stream, gainDb }) => `${stream}@${gainDb ?? 0}`)
      .sort()
      .join(',');
    this.#room = room;
    this.#playing = playing;
  }

  contentAt(tick: number, dueMs: number): string {
    const state = this.#playing?.advance(dueMs);
    this.#playsOver = state === 'alone';
    this.#playsMixed = state === 'mixed';
    if (this.#playsOver) return `p:${this.#self}`;
    this.#audible = [];
    for (const { stream, gain } of this.#heard) {
      const ear = this.#voices.ear(stream);
      if (ear?.speaking === true) this.#audible.push({ ear, gain });
    }
    const room = this.#room?.contentFor(this.#self, tick);
    if (this.#playsMixed) return `p:${this.#self}`;
    // The same name in silence: an encoder that is left and taken again would begin anew each time.
    return `m:${this.#content};${room ?? ''}`;
  }

  frameAt(rateHz: SampleRateHz): Pcm {
    const { bus, frame, silence } = mixingRoom(rateHz);
    const played = this.#playsOver || this.#playsMixed ? this.#playing?.frameAt(rateHz) : undefined;
    if (this.#playsOver) return played ?? silence;
    const [only] = this.#audible;
    const room = this.#room;
    const roomSpeaks = room?.speaksTo(this.#self) === true;
    if (played === undefined && !roomSpeaks) {
      if (only === undefined) return silence;
      if (this.#audible.length === 1 && only.gain === 1) return only.ear.at(rateHz);
    }
    bus.fill(0);
    for (const { ear, gain } of this.#audible) mixInto(bus, ear.at(rateHz), gain);
    if (roomSpeaks) room!.mixFor(this.#self, rateHz, bus);
    if (played !== undefined) mixInto(bus, played);
    takeMix(bus, frame);
    return frame;
  }
}
