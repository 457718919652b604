import { loadVoiceDetectors, type PlaybackParts, type VoiceDetectors } from '../../audio/index.ts';
import type { Clock, Logger, StreamId } from '../../base/index.ts';
import type { GraphWatcher, StreamGraph } from '../graph.ts';
import type { MediaEvent } from '../protocol.ts';
import type { Relay } from '../relay.ts';
import type { Stream } from '../stream.ts';
import { Detecting } from './detecting.ts';
import { Ear, isAudio, isDecodable } from './ear.ts';
import { Encoders } from './encoders.ts';
import { Mouth } from './mouth.ts';
import { type Part, wantsPlane } from './part.ts';
import { Playing } from './playing.ts';
import { Mixture, Transcoding, type Voices } from './programme.ts';
import { Room } from './room.ts';
import { TAP_RATE_HZ, type TapConsumer, type TapDirection, Taps } from './taps.ts';
import { Ticker } from './ticker.ts';

export interface AudioPlaneOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly graph: StreamGraph;
  readonly relay: Relay;
  readonly event: (event: MediaEvent) => void;
  /** The twin should know the stream as it is now. */
  readonly note: (stream: Stream) => void;
  /** Where prompts and speech come from. */
  readonly parts: PlaybackParts;
  /** Who takes what is tapped. Without one taps are given to nobody. */
  readonly taps?: TapConsumer;
}

/**
 * Whatever needs decoding: transcoding, conferences, who hears whom, playbacks, what is listened for, taps. A stream that is heard has an ear, one
 * that gets what is made here has a mouth; what can be passed on as it is never comes by here. All go by one beat of 20 ms, which
 * runs only while somebody needs it. It follows from the streams' specs alone, so an adopter has the same.
 */
export class AudioPlane implements GraphWatcher, Voices {
  readonly #options: AudioPlaneOptions;
  readonly #ticker: Ticker;
  readonly #encoders = new Encoders();
  readonly #ears = new Map<StreamId, Ear>();
  readonly #parts = new Map<StreamId, Part>();
  /** Who needs a stream's ear, whether that stream is here or not. */
  readonly #needed = new Map<StreamId, Set<Part>>();
  readonly #rooms = new Map<string, Room>();
  #voiceDetectors: VoiceDetectors | undefined;
  #loadingVoice = false;
  #failures = 0;

  constructor(options: AudioPlaneOptions) {
    this.#options = options;
    this.#ticker = new Ticker(options.clock, (tick, dueMs) => this.#tick(tick, dueMs));
    options.graph.watcher = this;
  }

  /** For status and benchmarks. */
  get figures(): { ears: number; mouths: number; encoders: number; rooms: number; skippedTicks: number } {
    let mouths = 0;
    for (const { mouth } of this.#parts.values()) if (mouth !== undefined) mouths++;
    return {
      ears: this.#ears.size,
      mouths,
      encoders: this.#encoders.size,
      rooms: this.#rooms.size,
      skippedTicks: this.#ticker.skipped,
    };
  }

  ear(stream: StreamId): Ear | undefined {
    return this.#ears.get(stream);
  }

  /** The stream is new, or something of it has changed. */
  connected(stream: Stream): void {
    this.#arrange(stream);
    for (const sink of stream.sinks) this.#arrange(sink);
    this.#tuneEar(stream.id);
  }

  removed(stream: Stream): void {
    this.#drop(stream.id);
    this.#tuneEar(stream.id);
    for (const { stream: dependent } of [...(this.#needed.get(stream.id) ?? [])]) this.#arrange(dependent);
  }

  /** Those that hear this stream or are heard by it through the plane: they change hands together. */
  *company(stream: Stream): Iterable<Stream> {
    const { graph } = this.#options;
    const part = this.#parts.get(stream.id);
    for (const id of [...(part?.needs ?? []), ...(part?.room?.members ?? [])]) {
      const other = graph.get(id);
      if (other !== undefined) yield other;
    }
    for (const { stream: other } of this.#needed.get(stream.id) ?? []) yield other;
  }

  stop(): void {
    this.#ticker.stop();
    for (const id of [...this.#parts.keys()]) this.#drop(id);
    for (const id of [...this.#ears.keys()]) this.#tuneEar(id);
  }

  /** Makes of the stream what its spec says. */
  #arrange(stream: Stream): void {
    const { spec, source } = stream;
    const { graph } = this.#options;
    if (graph.get(stream.id) !== stream) return;
    const transcodes = this.#transcodes(stream) ? source!.id : undefined;
    let part = this.#parts.get(stream.id);
    if (!wantsPlane(spec) && transcodes === undefined) {
      if (part !== undefined) this.#drop(stream.id);
      return;
    }
    if (part === undefined) {
      part = { stream, spec, needs: [], listensTo: new Set() };
      this.#parts.set(stream.id, part);
    }
    part.spec = spec;
    this.#arrangeRoom(part);
    this.#arrangePlaying(part);
    this.#arrangeMouth(part, transcodes);
    this.#arrangeDetecting(part);
    this.#arrangeTaps(part);
    this.#need(part, this.#needsOf(part));
    if (this.#runsAlways(part)) this.#ticker.start();
  }

  #arrangeRoom(part: Part): void {
    const { room: wanted } = part.spec;
    const { id } = part.stream;
    if (part.room !== undefined && part.room.id !== wanted?.id) this.#leaveRoom(part);
    if (wanted === undefined) return;
    let room = this.#rooms.get(wanted.id);
    if (room === undefined) {
      room = new Room(wanted.id, this);
      this.#rooms.set(wanted.id, room);
    }
    part.room = room;
    room.members.add(id);
    room.setSpeaks(id, wanted.speaks && part.stream.receives);
  }

  #leaveRoom(part: Part): void {
    const { room } = part;
    if (room === undefined) return;
    room.members.delete(part.stream.id);
    room.setSpeaks(part.stream.id, false);
    if (room.members.size === 0) this.#rooms.delete(room.id);
    part.room = undefined;
  }

  #arrangePlaying(part: Part): void {
    const { stream, playing } = part;
    const { plays } = part.spec;
    const { clock, parts, event, note } = this.#options;
    if (playing !== undefined && playing.id !== plays?.id) {
      playing.replace();
      part.playing = undefined;
    }
    if (plays === undefined) {
      stream.playing = undefined;
      return;
    }
    if (part.playing === undefined) {
      part.playing = new Playing(stream, plays, { parts, event, note });
      part.mouth ??= this.#newMouth(stream);
    } else part.playing.change(plays, clock.nowMs());
    const rateHz = part.mouth?.rateHz;
    if (rateHz !== undefined) part.playing.openAt(rateHz);
  }

  #arrangeMouth(part: Part, transcodes: StreamId | undefined): void {
    const { stream, spec } = part;
    const { source } = stream;
    const plays = part.playing !== undefined && !part.playing.over ? part.playing : undefined;
    const inRoom = spec.room?.hears === true ? part.room : undefined;
    const hears = spec.hears !== undefined && spec.hears.length > 0 ? spec.hears : undefined;
    part.transcodes = undefined;
    if (hears !== undefined || inRoom !== undefined || plays !== undefined) {
      const alone = source !== undefined && plays !== undefined && spec.plays?.mixes === true;
      const heard = hears ?? (inRoom === undefined && alone ? [{ stream: source.id }] : []);
      part.programme = new Mixture(stream.id, this, heard, inRoom, plays);
      part.needs = heard.map((each) => each.stream);
      stream.passing = 'nothing';
    } else if (transcodes !== undefined) {
      part.programme = new Transcoding(source!, this);
      part.needs = [];
      part.transcodes = transcodes;
      stream.passing = 'what-it-can';
    } else {
      part.programme = undefined;
      part.needs = [];
      part.mouth?.release();
      part.mouth = undefined;
      return;
    }
    part.mouth ??= this.#newMouth(stream);
  }

  #newMouth(stream: Stream): Mouth {
    return new Mouth(stream, this.#options.relay, this.#encoders);
  }

  #arrangeDetecting(part: Part): void {
    const { detects } = part.spec;
    if (detects?.dtmfInAudio !== true && detects?.voice !== true) {
      part.detecting?.release();
      part.detecting = undefined;
      return;
    }
    if (detects.voice === true) this.#loadVoiceDetectors();
    part.detecting ??= new Detecting(part.stream, this.#options.event, () => this.#voiceDetectors);
    part.detecting.want(detects);
  }

  #arrangeTaps(part: Part): void {
    const { taps = [] } = part.spec;
    const consumer = this.#options.taps;
    if (consumer === undefined || (taps.length === 0 && part.taps === undefined)) return;
    part.taps ??= new Taps(part.stream, consumer);
    part.taps.set(taps);
    if (taps.length === 0) part.taps = undefined;
  }

  #needsOf(part: Part): readonly StreamId[] {
    const needs = new Set(part.needs);
    const { stream } = part;
    const isTapped = (direction: TapDirection) =>
      part.taps !== undefined &&
      (part.spec.taps ?? []).some(({ directions }) => directions.includes(direction));
    if (part.detecting !== undefined || part.spec.room?.speaks === true || isTapped('received'))
      needs.add(stream.id);
    if (isTapped('sent') && part.programme === undefined && stream.source !== undefined)
      needs.add(stream.source.id);
    if (isTapped('sent') && part.transcodes !== undefined) needs.add(part.transcodes);
    return [...needs];
  }

  /** The part needs these ears from now on. Ears that it transcodes by are told apart: they hear only what cannot be passed on. */
  #need(part: Part, needs: readonly StreamId[]): void {
    const all = new Set(part.transcodes === undefined ? needs : [...needs, part.transcodes]);
    const before = part.listensTo;
    part.needs = needs;
    part.listensTo = all;
    for (const id of before) {
      if (all.has(id)) continue;
      const who = this.#needed.get(id);
      who?.delete(part);
      if (who?.size === 0) this.#needed.delete(id);
      this.#tuneEar(id);
    }
    for (const id of all) {
      const who = this.#needed.get(id);
      if (who === undefined) this.#needed.set(id, new Set([part]));
      else who.add(part);
      this.#tuneEar(id);
    }
  }

  /** Opens, changes or closes a stream's ear as it is needed. */
  #tuneEar(id: StreamId): void {
    const stream = this.#options.graph.get(id);
    const who = this.#needed.get(id);
    let ear = this.#ears.get(id);
    if (stream === undefined || who === undefined || who.size === 0 || stream.spec.opaque === true) {
      if (ear === undefined) return;
      ear.release();
      this.#ears.delete(id);
      if (stream !== undefined) stream.ear = undefined;
      return;
    }
    if (ear === undefined) {
      ear = new Ear(stream.spec.codecs, stream.quality.playOut);
      this.#ears.set(id, ear);
      ear.onAwake = () => this.#ticker.start();
      ear.onEvent = (packet, headerLength, clockRateHz, nowMs) => {
        for (const sink of stream.sinks)
          this.#parts.get(sink.id)?.mouth?.passEvent(packet, headerLength, clockRateHz, nowMs);
      };
    }
    ear.setCodecs(stream.spec.codecs);
    let whole = false;
    for (const part of who) whole ||= part.needs.includes(id);
    ear.wants.fill(0);
    for (const codec of stream.spec.codecs) {
      const { payloadType } = codec;
      const isHeard = !isAudio(codec) || isDecodable(codec);
      const isPassed = stream.sinks.every(
        (sink) => sink.passing !== 'what-it-can' || sink.payloadTypes[payloadType]! >= 0,
      );
      ear.wants[payloadType] = isHeard && (whole || !isAudio(codec) || !isPassed) ? 1 : 0;
    }
    stream.ear = ear;
  }

  /** Some of what the source may send is no codec of this stream's, but can be made one. */
  #transcodes({ source, spec, payloadTypes }: Stream): boolean {
    if (source === undefined || spec.opaque === true || source.spec.opaque === true) return false;
    if (!spec.codecs.some((codec) => isAudio(codec) && isDecodable(codec))) return false;
    return source.spec.codecs.some(
      (codec) => isAudio(codec) && isDecodable(codec) && payloadTypes[codec.payloadType]! < 0,
    );
  }

  #drop(id: StreamId): void {
    const part = this.#parts.get(id);
    if (part === undefined) return;
    this.#parts.delete(id);
    this.#leaveRoom(part);
    part.mouth?.release();
    part.detecting?.release();
    part.taps?.set([]);
    part.transcodes = undefined;
    this.#need(part, []);
  }

  /** It has something to do at every tick, not only when somebody speaks. */
  #runsAlways(part: Part): boolean {
    return (
      (part.programme !== undefined && part.stream.passing === 'nothing') ||
      part.detecting !== undefined ||
      part.taps !== undefined
    );
  }

  #tick(tick: number, dueMs: number): void {
    let busy = false;
    for (const [id, ear] of this.#ears) {
      if (ear.isAwake(dueMs)) {
        busy = true;
        this.#guard(() => ear.listen(tick, dueMs));
        const muteMs = ear.speaking && !ear.concealed ? ear.mute.listen(ear.frame, dueMs) : undefined;
        if (muteMs !== undefined) this.#options.event({ type: 'mute', stream: id, forMs: muteMs });
      } else ear.rest();
    }
    for (const room of this.#rooms.values()) room.listen(tick);
    const over: Stream[] = [];
    for (const part of this.#parts.values()) {
      busy ||= this.#runsAlways(part);
      this.#guard(() => this.#serve(part, tick, dueMs));
      if (part.playing?.over === true && part.stream.passing === 'nothing') over.push(part.stream);
    }
    for (const stream of over) this.#arrange(stream);
    if (!busy) this.#ticker.stop();
  }

  #serve(part: Part, tick: number, dueMs: number): void {
    const { stream, mouth, programme, detecting, taps } = part;
    const own = this.#ears.get(stream.id);
    if (detecting !== undefined && own !== undefined) detecting.listen(own, dueMs);
    if (mouth !== undefined && programme !== undefined) mouth.speak(programme, tick, dueMs);
    if (taps === undefined) return;
    taps.listen(tick, (direction) => {
      if (direction === 'sent' && stream.passing === 'nothing') {
        const pcm = programme?.frameAt(TAP_RATE_HZ);
        return pcm && { pcm, concealed: false };
      }
      const ear = direction === 'received' ? own : this.#ears.get(stream.source?.id ?? stream.id);
      if (ear?.speaking !== true || (direction === 'sent' && stream.source === undefined)) return undefined;
      return { pcm: ear.at(TAP_RATE_HZ), concealed: ear.concealed };
    });
  }

  /** A mistake of ours must cost a frame, not the calls of this process. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (this.#failures++ % 1000 === 0)
        this.#options.log.error({ error: String(error), count: this.#failures }, 'media.frame-failed');
    }
  }

  #loadVoiceDetectors(): void {
    if (this.#loadingVoice) return;
    this.#loadingVoice = true;
    loadVoiceDetectors().then(
      (open) => {
        this.#voiceDetectors = open;
      },
      (error) => this.#options.log.error({ error: String(error) }, 'media.no-voice-detection'),
    );
  }
}
