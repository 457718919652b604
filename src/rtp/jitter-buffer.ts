import { JitterDelay } from './jitter-delay.ts';
import { sequenceDistance, timestampDistance } from './packet.ts';

/** What a receiver is to put into the next stretch of time. */
export type JitterPull =
  /** `payload` from 0 to `payloadLength`, of `payloadType`; say `took` how long it was. */
  | 'packet'
  /** A packet did not come: conceal `units`. `payload` is the packet behind it when `payloadLength` is not 0 (for Opus' FEC). */
  | 'lost'
  /** The sender paused: `units` of silence. */
  | 'pause'
  /** Nobody speaks: nothing has come yet, for long, or not enough. */
  | 'nothing';

export interface JitterCounts {
  /** Came after its time. */
  late: number;
  duplicate: number;
  /** Did not fit, or was left out to shorten a delay that had grown too long. */
  dropped: number;
  /** Times that a stretch was concealed, and its length. */
  concealments: number;
  concealedMs: number;
}

export interface JitterLimits {
  /** The shortest wait. One tick of the reader, so that a timer that is late costs nothing. */
  readonly leastMs: number;
  /** What waits longer is dropped. */
  readonly mostMs: number;
}

const DEFAULT_LIMITS: JitterLimits = { leastMs: 20, mostMs: 400 };
/** Packets at most: 640 ms of 10 ms each. A power of two. */
const SLOTS = 64;
/** No audio payload that we decode is longer. */
const LONGEST_PAYLOAD = 1500;
/** RFC 3550 A.1. */
const MAX_DROPOUT = 3000;
/** So far off the way's delay a timestamp belongs to another timeline, or what lay between is no delay any more. */
const JUMP_MS = 1000;
/** After so long without a packet nobody speaks. */
const QUIET_MS = 300;
/** How much a reader takes at a time. */
const FRAME_MS = 20;
const LONGEST_PACKET_MS = 120;

interface Slot {
  /** Extended sequence number; -1: free. */
  sequence: number;
  /** Extended timestamp. */
  timestamp: number;
  payloadType: number;
  /** 0: no audio (a telephone event). */
  length: number;
  payload: Buffer;
}

/**
 * An adaptive jitter buffer (RFC 3550 §6.4.1 says what jitter is; how long is waited for it is each receiver's own matter). Packets go in as they
 * come, in any order and more than once; whoever plays asks each time what belongs into the next stretch. It never asks for a
 * clock. The wait follows the 98th percentile of the packets' delays; it grows at once, as nothing can be played before it is there,
 * and is made shorter where the reader leaves audio out: `excessMs` says how much too long it is.
 *
 * Memory is bounded: 64 packets, each at most 1,500 octets.
 */
export class JitterBuffer {
  readonly counts: JitterCounts;
  /** Of the last `pull`. */
  payload: Buffer = EMPTY;
  payloadLength = 0;
  payloadType = -1;
  units = 0;
  clockRateHz = 0;
  /** A lost packet may be in the one behind it, which is worth a wait of one packet. */
  waitsForNext = false;
  readonly #limits: JitterLimits;
  readonly #delay: JitterDelay;
  readonly #slots: (Slot | undefined)[] = new Array(SLOTS).fill(undefined);
  #ssrc = -1;
  #waiting = 0;
  /** The newest packet's numbers on the wire and extended. */
  #lastSequence = 0;
  #lastTimestamp = 0;
  #highest = 0;
  #highestTimestamp = 0;
  #lastArrivalMs = 0;
  #lastWasTimed = false;
  #unitsPerPacket = 0;
  /** The next packet to play, and the next moment. */
  #next = 0;
  #playTimestamp = 0;
  #playing = false;
  #everPlayed = false;
  /** Concealed for want of a packet, in units: not taken from the timeline yet, as the packet may only be late. */
  #held = 0;
  #concealing = false;

  /** `counts`: what it counts into. */
  constructor(
    limits: JitterLimits = DEFAULT_LIMITS,
    counts: JitterCounts = { late: 0, duplicate: 0, dropped: 0, concealments: 0, concealedMs: 0 },
  ) {
    this.#limits = limits;
    this.counts = counts;
    this.#delay = new JitterDelay(limits.leastMs, limits.mostMs);
  }

  /** How long is waited for packets at the moment. */
  get targetMs(): number {
    const { targetMs } = this.#delay;
    if (!this.waitsForNext || this.clockRateHz === 0) return targetMs;
    // The reader asks up to a frame before the time.
    const packetMs = (this.#unitsPerPacket * 1000) / this.clockRateHz;
    return Math.min(this.#limits.mostMs, targetMs + FRAME_MS + packetMs);
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** True between the first packet's play-out and a long quiet. */
  get playing(): boolean {
    return this.#playing;
  }

  /** A packet of audio; its payload at [from, to) is copied. */
  insert(
    ssrc: number,
    payloadType: number,
    clockRateHz: number,
    sequence: number,
    timestamp: number,
    packet: Uint8Array,
    from: number,
    to: number,
    nowMs: number,
  ): void {
    const length = to - from;
    if (length <= 0 || length > LONGEST_PAYLOAD || from < 0 || to > packet.length) {
      this.counts.dropped++;
      return;
    }
    const extended = this.#place(ssrc, clockRateHz, sequence, timestamp, true, nowMs);
    const slot = this.#slotFor(extended);
    if (slot === undefined) return;
    slot.timestamp = this.#placedTimestamp;
    slot.payloadType = payloadType;
    slot.length = length;
    if (slot.payload.length < length) slot.payload = Buffer.allocUnsafeSlow(Math.max(192, length));
    slot.payload.set(packet.subarray(from, to));
  }

  /** A packet that is no audio has this number: it is not lost. */
  skip(ssrc: number, clockRateHz: number, sequence: number, timestamp: number, nowMs: number): void {
    if (ssrc !== this.#ssrc || clockRateHz !== this.clockRateHz) return;
    const distance = sequenceDistance(this.#lastSequence, sequence);
    if (Math.abs(distance) > SLOTS) return;
    const slot = this.#slotFor(this.#place(ssrc, clockRateHz, sequence, timestamp, false, nowMs));
    if (slot !== undefined) slot.length = 0;
  }

  /**
   * What comes next, when audio for `aheadMs` from now is there already. After 'packet' say `took` before the next call.
   */
  pull(nowMs: number, aheadMs: number): JitterPull {
    this.payloadLength = 0;
    this.units = 0;
    if (this.clockRateHz === 0) return 'nothing';
    let shedding = false;
    let missing = false;
    let head: Slot | undefined;
    for (;;) {
      head = undefined;
      missing = false;
      if (this.#waiting > 0)
        for (let sequence = this.#next; sequence <= this.#highest; sequence++) {
          const slot = this.#slots[sequence & (SLOTS - 1)];
          if (slot?.sequence === sequence) {
            head = slot;
            break;
          }
          missing = true;
        }
      if (head === undefined) return this.#empty();
      if (!this.#playing) {
        if (head.length === 0) {
          this.#free(head);
          continue;
        }
        if (this.#delayOf(head.timestamp, nowMs, aheadMs) < this.targetMs) return 'nothing';
        this.#playing = this.#everPlayed = true;
        this.#next = head.sequence;
        this.#playTimestamp = head.timestamp;
        this.#held = 0;
        missing = false;
      }
      // Later than its time: concealed already, or left out to catch up.
      if (head.length > 0) {
        const end = head.timestamp + this.#unitsPerPacket;
        const isOver = end <= this.#playTimestamp;
        const delayMs = this.#delayOf(head.timestamp, nowMs, aheadMs);
        // Having waited too long, all is left out that is older than what would be waited for.
        const isTooOld =
          this.#waiting > 1 && delayMs > (shedding ? this.targetMs : this.#limits.mostMs) + FRAME_MS;
        if (!isOver && !isTooOld) break;
        if (isOver) this.counts.late++;
        else {
          shedding = true;
          this.counts.dropped++;
          this.#playTimestamp = end;
        }
      }
      this.#free(head);
    }
    let gap = head.timestamp - this.#playTimestamp;
    const frame = this.#unitsOf(FRAME_MS);
    if (gap > 0 && missing && this.#held > 0) {
      // What was concealed for want of it was this gap.
      const done = Math.min(gap, this.#held);
      this.#playTimestamp += done;
      gap -= done;
    }
    this.#held = 0;
    if (gap > 0 && !missing) {
      // Between two spurts the wait is what it should be, without anybody hearing it.
      if (this.#delayOf(head.timestamp, nowMs, aheadMs) < this.targetMs) {
        this.units = Math.min(gap, frame);
        this.#playTimestamp += this.units;
        this.#concealing = false;
        return 'pause';
      }
      gap = 0;
    }
    if (gap > this.#unitsOf(QUIET_MS)) gap = 0;
    if (gap > 0) {
      this.units = Math.min(gap, frame);
      this.#playTimestamp += this.units;
      if (gap <= frame) {
        this.payload = head.payload;
        this.payloadLength = head.length;
        this.payloadType = head.payloadType;
      }
      this.#conceal();
      return 'lost';
    }
    this.#concealing = false;
    this.#playTimestamp = head.timestamp;
    this.payload = head.payload;
    this.payloadLength = head.length;
    this.payloadType = head.payloadType;
    this.#free(head);
    return 'packet';
  }

  /** So long was the packet that was pulled last, in units of the RTP clock. */
  took(units: number): void {
    this.#playTimestamp += units;
  }

  /**
   * How much longer than needed what would be pulled next waits when audio for `aheadMs` is there already; below zero: less than needed. The reader
   * leaves so much out of what it pulled, or puts it in, where nobody hears it.
   */
  excessMs(nowMs: number, aheadMs: number): number {
    if (!this.#playing) return 0;
    // What was concealed may prove lost, and then no time was won.
    const heldMs = (this.#held * 1000) / this.clockRateHz;
    return this.#delayOf(this.#playTimestamp, nowMs, aheadMs) - heldMs - this.targetMs;
  }

  /** How long after the fastest packet would have come a sample is heard. */
  delayMs(nowMs: number, aheadMs: number): number {
    return this.#playing ? this.#delayOf(this.#playTimestamp, nowMs, aheadMs) : 0;
  }

  #delayOf(timestamp: number, nowMs: number, aheadMs: number): number {
    return nowMs + aheadMs - (timestamp * 1000) / this.clockRateHz - this.#delay.baseMs;
  }

  #empty(): JitterPull {
    this.#next = this.#highest + 1;
    if (!this.#playing) return 'nothing';
    const frame = this.#unitsOf(FRAME_MS);
    if (this.#held + frame > this.#unitsOf(QUIET_MS)) {
      this.#playing = false;
      this.#concealing = false;
      return 'nothing';
    }
    this.#held += frame;
    this.units = frame;
    this.#conceal();
    return 'lost';
  }

  #conceal(): void {
    if (!this.#concealing) this.counts.concealments++;
    this.#concealing = true;
    this.counts.concealedMs += (this.units * 1000) / this.clockRateHz;
  }

  #placedTimestamp = 0;

  /** The extended number of a packet; its extended timestamp in `#placedTimestamp`. */
  #place(
    ssrc: number,
    clockRateHz: number,
    sequence: number,
    timestamp: number,
    timed: boolean,
    nowMs: number,
  ): number {
    if (clockRateHz !== this.clockRateHz) this.#restart(clockRateHz);
    let distance = sequenceDistance(this.#lastSequence, sequence);
    const isFirst = this.#ssrc === -1;
    const isAnother = !isFirst && (ssrc !== this.#ssrc || Math.abs(distance) > MAX_DROPOUT);
    let ahead = timestampDistance(this.#lastTimestamp, timestamp);
    let newest = distance > 0;
    if (isFirst || isAnother) {
      // The same timeline goes on: what came from the one before is still played.
      distance = 1;
      newest = true;
      ahead = isFirst ? 0 : this.#elapsedUnits(nowMs);
    } else if (timed) {
      const transit = nowMs - ((this.#highestTimestamp + ahead) * 1000) / clockRateHz;
      if (Math.abs(transit - this.#delay.baseMs) > JUMP_MS && newest) ahead = this.#elapsedUnits(nowMs);
    }
    this.#ssrc = ssrc;
    const extended = this.#highest + distance;
    const extendedTimestamp = this.#highestTimestamp + ahead;
    if (newest) {
      if (
        timed &&
        this.#lastWasTimed &&
        distance === 1 &&
        !isFirst &&
        ahead > 0 &&
        ahead <= this.#unitsOf(LONGEST_PACKET_MS)
      )
        this.#unitsPerPacket = ahead;
      this.#highest = extended;
      this.#lastSequence = sequence;
      this.#lastWasTimed = timed;
      if (timed) {
        this.#highestTimestamp = extendedTimestamp;
        this.#lastTimestamp = timestamp;
        this.#lastArrivalMs = nowMs;
      }
    }
    this.#placedTimestamp = extendedTimestamp;
    if (timed && this.#isNew(extended))
      this.#delay.see(nowMs - (extendedTimestamp * 1000) / clockRateHz, nowMs);
    return extended;
  }

  /** Since the newest packet came, in whole packets, one at least. */
  #elapsedUnits(nowMs: number): number {
    const packet = this.#unitsPerPacket;
    return Math.max(1, Math.round(this.#unitsOf(nowMs - this.#lastArrivalMs) / packet)) * packet;
  }

  #isNew(extended: number): boolean {
    return this.#slots[extended & (SLOTS - 1)]?.sequence !== extended;
  }

  /** The slot to fill; undefined for a packet that came too late or twice. */
  #slotFor(extended: number): Slot | undefined {
    if (!this.#everPlayed && extended < this.#next && this.#next - extended < SLOTS) this.#next = extended;
    if (extended < this.#next) {
      this.counts.late++;
      return undefined;
    }
    if (extended - this.#next >= SLOTS) {
      const next = extended - SLOTS + 1;
      for (const slot of this.#slots)
        if (slot !== undefined && slot.sequence >= 0 && slot.sequence < next) {
          if (slot.length > 0) this.counts.dropped++;
          this.#free(slot);
        }
      this.#next = next;
    }
    const at = extended & (SLOTS - 1);
    let slot = this.#slots[at];
    if (slot === undefined) {
      slot = { sequence: -1, timestamp: 0, payloadType: 0, length: 0, payload: EMPTY };
      this.#slots[at] = slot;
    }
    if (slot.sequence === extended) {
      this.counts.duplicate++;
      return undefined;
    }
    slot.sequence = extended;
    this.#waiting++;
    return slot;
  }

  #free(slot: Slot): void {
    if (slot.sequence >= this.#next) this.#next = slot.sequence + 1;
    slot.sequence = -1;
    this.#waiting--;
  }

  /** Timestamps count in another clock: nothing of before can be placed among them. */
  #restart(clockRateHz: number): void {
    this.clockRateHz = clockRateHz;
    this.#delay.rebase();
    for (const slot of this.#slots) if (slot !== undefined) slot.sequence = -1;
    this.#waiting = 0;
    this.#ssrc = -1;
    this.#unitsPerPacket = this.#unitsOf(FRAME_MS);
    // Far from zero, so that a packet from before the first one has a number too.
    this.#highest = this.#next = MAX_DROPOUT;
    this.#next = this.#highest + 1;
    this.#playing = false;
    this.#everPlayed = false;
    this.#held = 0;
  }

  #unitsOf(ms: number): number {
    return Math.round((ms * this.clockRateHz) / 1000);
  }
}

const EMPTY = Buffer.alloc(0);
