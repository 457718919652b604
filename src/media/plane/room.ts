import {
  levelDbov,
  type MixBus,
  mixInto,
  newSpeakerSelection,
  type SampleRateHz,
  type SpeakerSelection,
  samplesPerFrame,
  selectSpeakers,
} from '../../audio/index.ts';
import type { StreamId } from '../../base/index.ts';
import type { Ear } from './ear.ts';
import type { Voices } from './programme.ts';

/** More voices at once nobody understands, and each adds its noise. */
const MOST_HEARD = 3;
/** Below this a voice is a room, which need not be heard. */
const QUIETEST_DBOV = -65;
/**
 * Who was heard goes on getting a mix of its own for so many ticks: its encoder, and its peer's decoder, are in the middle of it, and the others'
 * would not fit (G.722 and Opus tell each frame by the one before).
 */
const OWN_MIX_TICKS = 100;

/** A conference: its members' voices, the loudest of which are heard by all but their owners. */
export class Room {
  readonly id: string;
  readonly #voices: Voices;
  readonly #speakers = new Set<StreamId>();
  readonly #selection: SpeakerSelection = newSpeakerSelection();
  readonly #levels = new Map<string, number>();
  readonly #heardAt = new Map<StreamId, number>();
  /** This tick's. */
  readonly #audible = new Map<StreamId, Ear>();
  readonly #sums = new Map<SampleRateHz, { bus: MixBus; tick: number }>();
  #tick = -1;
  readonly members = new Set<StreamId>();

  constructor(id: string, voices: Voices) {
    this.id = id;
    this.#voices = voices;
  }

  setSpeaks(stream: StreamId, speaks: boolean): void {
    if (speaks) this.#speakers.add(stream);
    else {
      this.#speakers.delete(stream);
      this.#heardAt.delete(stream);
    }
  }

  /** Chooses who is heard; once a tick, when the ears have listened. */
  listen(tick: number): void {
    this.#tick = tick;
    this.#levels.clear();
    this.#audible.clear();
    for (const id of this.#speakers) {
      const ear = this.#voices.ear(id);
      if (ear === undefined || !ear.speaking) continue;
      const level = levelDbov(ear.frame);
      if (level > QUIETEST_DBOV || (this.#selection.levels.get(id) ?? -127) > QUIETEST_DBOV)
        this.#levels.set(id, level);
    }
    for (const chosen of selectSpeakers(this.#selection, this.#levels, MOST_HEARD)) {
      const id = chosen as StreamId;
      const ear = this.#voices.ear(id);
      if (ear === undefined) continue;
      this.#audible.set(id, ear);
      this.#heardAt.set(id, tick);
    }
  }

  /** Names what this member hears. */
  contentFor(member: StreamId, tick: number): string {
    const heardAt = this.#heardAt.get(member);
    const own = heardAt !== undefined && tick - heardAt < OWN_MIX_TICKS;
    if (heardAt !== undefined && !own) this.#heardAt.delete(member);
    return own ? `r:${this.id}/${member}` : `r:${this.id}`;
  }

  speaksTo(member: StreamId): boolean {
    return this.#audible.size > (this.#audible.has(member) ? 1 : 0);
  }

  /** Adds what this member hears. */
  mixFor(member: StreamId, rateHz: SampleRateHz, bus: MixBus): void {
    const sum = this.#sumAt(rateHz);
    for (let i = 0; i < bus.length; i++) bus[i]! += sum[i]!;
    const own = this.#audible.get(member);
    if (own !== undefined) mixInto(bus, own.at(rateHz), -1);
  }

  #sumAt(rateHz: SampleRateHz): MixBus {
    let sum = this.#sums.get(rateHz);
    if (sum === undefined) {
      sum = { bus: new Int32Array(samplesPerFrame(rateHz)), tick: -1 };
      this.#sums.set(rateHz, sum);
    }
    if (sum.tick !== this.#tick) {
      sum.tick = this.#tick;
      sum.bus.fill(0);
      for (const ear of this.#audible.values()) mixInto(sum.bus, ear.at(rateHz));
    }
    return sum.bus;
  }
}
