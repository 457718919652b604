import type { Pcm } from './pcm.ts';

/** The sum of several voices, wider than a sample; add with `mixInto`, take with `takeMix`. */
export type MixBus = Int32Array;

export const gainOf = (gainDb: number): number => 10 ** (gainDb / 20);

/** Adds a frame to the bus. `gain` is a factor; -1 removes a voice that was added with 1. */
export function mixInto(bus: MixBus, frame: Pcm, gain = 1): void {
  const length = Math.min(bus.length, frame.length);
  if (gain === 1) for (let i = 0; i < length; i++) bus[i] = (bus[i] as number) + (frame[i] as number);
  else for (let i = 0; i < length; i++) bus[i] = (bus[i] as number) + Math.round((frame[i] as number) * gain);
}

/** The bus as samples, less a voice of its own where one is given: nobody hears himself. */
export function takeMix(bus: MixBus, out: Pcm, own?: Pcm): void {
  const length = Math.min(bus.length, out.length);
  for (let i = 0; i < length; i++)
    out[i] = limit((bus[i] as number) - (own === undefined ? 0 : ((own[i] ?? 0) as number)));
}

const KNEE = 24_576;
const ABOVE_KNEE = 32_767 - KNEE;

/** Unchanged up to three quarters of full scale, above it bent smoothly so that full scale is approached and never passed: no clipping. */
export function limit(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude <= KNEE) return value;
  const over = (magnitude - KNEE) / ABOVE_KNEE;
  const bent = KNEE + Math.floor((ABOVE_KNEE * over) / (1 + over));
  return value < 0 ? -bent : bent;
}

export function applyGain(frame: Pcm, gain: number): void {
  for (let i = 0; i < frame.length; i++) frame[i] = limit(Math.round((frame[i] as number) * gain));
}

/** Root mean square in dBov (0: a full-scale square wave), -127 for silence, as RFC 6464 counts it. */
export function levelDbov(frame: Pcm): number {
  let sum = 0;
  for (let i = 0; i < frame.length; i++) sum += (frame[i] as number) ** 2;
  if (sum === 0) return -127;
  return Math.max(-127, 10 * Math.log10(sum / frame.length / 32_768 ** 2));
}

/** Who is heard in a conference, from frame to frame. */
export interface SpeakerSelection {
  /** Levels by voice, fading by 1 dB a frame so that a pause between words changes nobody. */
  readonly levels: Map<string, number>;
  chosen: readonly string[];
}

export const newSpeakerSelection = (): SpeakerSelection => ({ levels: new Map(), chosen: [] });

const FADE_DB_PER_FRAME = 1;
/** A newcomer must be this much louder than the quietest of those heard: two equal voices do not take turns within words. */
const HYSTERESIS_DB = 6;

/** The `most` loudest voices of a frame; the same array as before when nothing changed. A voice not in `now` has left. */
export function selectSpeakers(
  selection: SpeakerSelection,
  now: ReadonlyMap<string, number>,
  most: number,
): readonly string[] {
  const { levels } = selection;
  for (const id of levels.keys()) if (!now.has(id)) levels.delete(id);
  for (const [id, level] of now)
    levels.set(id, Math.max(level, (levels.get(id) ?? -127) - FADE_DB_PER_FRAME));
  if (standsStill(selection, most)) return selection.chosen;
  const rank = (id: string): number =>
    (levels.get(id) as number) + (selection.chosen.includes(id) ? HYSTERESIS_DB : 0);
  const next = [...levels.keys()].sort((a, b) => rank(b) - rank(a)).slice(0, Math.max(0, most));
  const same = next.length === selection.chosen.length && next.every((id) => selection.chosen.includes(id));
  if (!same) selection.chosen = next;
  return selection.chosen;
}

/** Nobody left out is louder than the quietest of those heard, the hysteresis counted: nearly every frame, so nothing is allocated here. */
function standsStill({ levels, chosen }: SpeakerSelection, most: number): boolean {
  if (chosen.length !== Math.min(Math.max(0, most), levels.size)) return false;
  let quietest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < chosen.length; i++) {
    const level = levels.get(chosen[i] as string);
    if (level === undefined) return false;
    quietest = Math.min(quietest, level + HYSTERESIS_DB);
  }
  for (const [id, level] of levels) if (level > quietest && !chosen.includes(id)) return false;
  return true;
}
