import type { Clock, SwitchId, ZoneId } from '../base/index.ts';
import type { Channel } from '../link/index.ts';
import type { EdgeLimits } from './limits.ts';
import type { Unanswered } from './pace.ts';
import { Slices } from './slices.ts';

/** A live switch, from its greeting to the end of its channel. */
export interface Place {
  readonly id: SwitchId;
  readonly zone: ZoneId;
  readonly channel: Channel;
  /** The load of its whole zone as it last said, 0..1 and above. */
  load: number;
  draining: boolean;
  newCalls: number;
  /** New calls that it has not said anything about. */
  readonly unanswered: Unanswered;
}

interface Zone {
  readonly id: ZoneId;
  readonly places: Place[];
  /** Where the next new call goes. */
  turn: number;
}

/** `busy`: switches live, but none may take it now. `nobody`: no switch lives. */
export type Spreading = 'sent' | 'busy' | 'nobody';

/**
 * Spreads new work. New calls go round robin over the zones that are open to them, and inside a zone over its switches
 * (PH-ZONE-02, 03): strict turns, so that the evenness is not left to chance. Everything else goes by a hash of its key
 * (rendezvous hashing), which is even over many phones, leaves the turns of the calls alone, and brings a retransmission,
 * a request with credentials and a refresh to the switch that knows the first one, without a table. Any switch can serve them: where many
 * come, the switches take turns by slices of time instead.
 */
export class Spread {
  readonly #zones: Zone[] = [];
  readonly #limits: Pick<EdgeLimits, 'pairedLoad' | 'aloneLoad'>;
  readonly #slices: Slices;
  #turn = 0;

  constructor(limits: Pick<EdgeLimits, 'pairedLoad' | 'aloneLoad'>, clock: Clock) {
    this.#limits = limits;
    this.#slices = new Slices(clock);
  }

  get zones(): readonly Zone[] {
    return this.#zones;
  }

  add(place: Place): void {
    let zone = this.#zones.find((one) => one.id === place.zone);
    if (!zone) {
      zone = { id: place.zone, places: [], turn: 0 };
      this.#zones.push(zone);
      // The same order whoever connected first, so that the same seed gives the same run.
      this.#zones.sort((a, b) => (a.id < b.id ? -1 : 1));
    }
    zone.places.push(place);
    zone.places.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  remove(place: Place): void {
    const zone = this.#zones.find((one) => one.id === place.zone);
    if (!zone?.places.includes(place)) return;
    zone.places.splice(zone.places.indexOf(place), 1);
    if (zone.places.length === 0) this.#zones.splice(this.#zones.indexOf(zone), 1);
  }

  /** Gives a new call to `send`, which returns false where the link is full. A switch that is behind with its calls gets no more. */
  newCall(send: (place: Place) => boolean): Spreading {
    return this.#inTurn(
      (zone) => this.isOpen(zone),
      (place) => !place.draining && place.unanswered.isOpen,
      send,
    );
  }

  /** Like `newCall`, but over the load line and to switches that are behind; a draining switch serves where no other lives. */
  emergencyCall(send: (place: Place) => boolean): Spreading {
    const anyZone = (): boolean => true;
    const first = this.#inTurn(anyZone, (place) => !place.draining, send);
    return first === 'busy' ? this.#inTurn(anyZone, (place) => place.draining, send) : first;
  }

  /** Registrations and other requests out of any call: never refused below 100 % load. */
  other(key: string, send: (place: Place) => boolean): Spreading {
    if (this.#zones.length === 0) return 'nobody';
    const turn = this.#slices.next();
    const inTurn = turn === undefined ? undefined : this.#placeOf(turn);
    if (inTurn !== undefined && send(inTurn)) return 'sent';
    const hash = hashText(key);
    const ranked: { place: Place; rank: number }[] = [];
    for (const zone of this.#zones) {
      if (loadOf(zone) >= this.#limits.aloneLoad) continue;
      for (const place of zone.places) {
        // A draining switch still answers a phone that has nobody else.
        const rank = mix(hash ^ hashText(place.id)) + (place.draining ? 0 : 2 ** 32);
        ranked.push({ place, rank });
      }
    }
    ranked.sort((a, b) => b.rank - a.rank);
    return ranked.some(({ place }) => send(place)) ? 'sent' : 'busy';
  }

  #placeOf(turn: number): Place | undefined {
    // Zone by zone, so that neither has two slices in a row.
    const serving = this.#zones.filter((zone) => inService(zone) && loadOf(zone) < this.#limits.aloneLoad);
    const zone = serving[turn % serving.length];
    const places = zone?.places.filter(({ draining }) => !draining) ?? [];
    return places[Math.floor(turn / serving.length) % places.length];
  }

  /** Whether a new call would find a switch. */
  get takesCalls(): boolean {
    return this.#zones.some(
      (zone) => this.isOpen(zone) && zone.places.some((place) => !place.draining && place.unanswered.isOpen),
    );
  }

  /** Whether other requests would. */
  get servesOthers(): boolean {
    return this.#zones.some((zone) => loadOf(zone) < this.#limits.aloneLoad);
  }

  /** Whether the zone takes new calls: up to half of its capacity, so that its twin's calls find room (PH-ZONE-07). */
  isOpen(zone: Zone): boolean {
    if (!inService(zone)) return false;
    const paired = this.#zones.some((other) => other !== zone && inService(other));
    const load = loadOf(zone);
    return paired ? load <= this.#limits.pairedLoad : load < this.#limits.aloneLoad;
  }

  #inTurn(
    zoneServes: (zone: Zone) => boolean,
    placeServes: (place: Place) => boolean,
    send: (place: Place) => boolean,
  ): Spreading {
    const zones = this.#zones;
    if (zones.length === 0) return 'nobody';
    for (let step = 0; step < zones.length; step++) {
      const zoneAt = (this.#turn + step) % zones.length;
      const zone = zones[zoneAt]!;
      if (!zoneServes(zone)) continue;
      for (let inner = 0; inner < zone.places.length; inner++) {
        const placeAt = (zone.turn + inner) % zone.places.length;
        const place = zone.places[placeAt]!;
        if (!placeServes(place) || !send(place)) continue;
        place.newCalls++;
        this.#turn = zoneAt + 1;
        zone.turn = placeAt + 1;
        return 'sent';
      }
    }
    return 'busy';
  }
}

/** Each switch reports its zone's load; the highest is the newest while it rises, and cautious while it falls. */
export const loadOf = (zone: Zone): number =>
  zone.places.reduce((most, place) => Math.max(most, place.load), 0);

const inService = (zone: Zone): boolean => zone.places.some((place) => !place.draining);

/** FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** The finalizer of MurmurHash3: FNV alone leaves neighbours together. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
