import {
  createEncoder,
  type Encoder,
  FRAME_MS,
  type PacketMs,
  type Pcm,
  type SampleRateHz,
  samplesPerFrame,
} from '../../audio/index.ts';
import type { StreamCodec } from '../protocol.ts';

const LONGEST_PAYLOAD = 1500;
/** Of 10 ms. */
const MOST_PACKETS_A_TICK = 2;

/** A packet's payload, lent until the next tick. */
export interface MadePacket {
  readonly payload: Buffer;
  /** Octets; 0: need not be sent. */
  length: number;
  /** When its first sample is, from the beginning of the present tick on: negative where a packet is longer than a tick. */
  fromMs: number;
}

/** One encoder for all that hear the same in the same codec, in packets of the same length. */
export interface SharedEncoder {
  readonly rateHz: SampleRateHz;
  /** Those that the present tick completed: the first `made` of them. */
  readonly packets: readonly MadePacket[];
  made: number;
  tick: number;
  /** Which content and codec. */
  readonly key: string;
}

interface Entry extends SharedEncoder {
  readonly encoder: Encoder;
  readonly packetMs: PacketMs;
  /** Frames until they fill a packet. */
  readonly row: Pcm;
  readonly packet: Pcm;
  waiting: number;
  users: number;
  /** Percent: what the encoder knows, and the worst that its users said since the tick began. */
  expected: number;
  said: number;
}

/** The encoders in use, by what is said and how. Hold native memory; end with their last user. */
export class Encoders {
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** Undefined when the codec cannot be encoded here. `release` it. */
  take(content: string, codec: StreamCodec, packetMs: PacketMs): SharedEncoder | undefined {
    const wants = codec.wants ?? codec.fmtp ?? '';
    const key = `${content}|${codec.name}|${wants}|${packetMs}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const encoder = createEncoder({ ...codec, fmtp: wants }, { packetMs });
      if (encoder === undefined) return undefined;
      entry = newEntry(key, encoder, packetMs);
      this.#entries.set(key, entry);
    }
    entry.users++;
    return entry;
  }

  release(shared: SharedEncoder | undefined): void {
    const entry = shared === undefined ? undefined : this.#entries.get(shared.key);
    if (entry === undefined || --entry.users > 0) return;
    entry.encoder.release();
    this.#entries.delete(entry.key);
  }

  /**
   * Makes this tick's packets, once for all. `frame` is asked only if it was not yet. `expectedLoss`, 0 to 1, is what this user's peer loses: who
   * loses most is heeded, from the next tick on where it is not the first that asks.
   */
  encode(shared: SharedEncoder, tick: number, expectedLoss: number, frame: () => Pcm | undefined): void {
    const entry = shared as Entry;
    const percent = Math.round(100 * expectedLoss);
    if (entry.tick === tick) {
      if (percent > entry.said) entry.said = percent;
      return;
    }
    const expected = Math.max(entry.said, percent);
    entry.said = percent;
    if (expected !== entry.expected) {
      entry.expected = expected;
      entry.encoder.expectLoss?.(expected / 100);
    }
    // Less than a packet that waits is no part of what is said after a pause.
    if (tick !== entry.tick + 1) entry.waiting = 0;
    entry.tick = tick;
    entry.made = 0;
    const pcm = frame();
    if (pcm === undefined) entry.waiting = 0;
    else fill(entry, pcm);
  }
}

function newEntry(key: string, encoder: Encoder, packetMs: PacketMs): Entry {
  const { rateHz } = encoder;
  const length = (rateHz * packetMs) / 1000;
  return {
    rateHz,
    key,
    packets: Array.from({ length: packetMs < FRAME_MS ? MOST_PACKETS_A_TICK : 1 }, () => ({
      payload: Buffer.allocUnsafeSlow(LONGEST_PAYLOAD),
      length: 0,
      fromMs: 0,
    })),
    made: 0,
    tick: -1,
    encoder,
    packetMs,
    row: new Int16Array(length + samplesPerFrame(rateHz)),
    packet: new Int16Array(length),
    waiting: 0,
    users: 0,
    expected: 0,
    said: 0,
  };
}

function fill(entry: Entry, pcm: Pcm): void {
  const { row, packet, packetMs } = entry;
  if (packetMs === FRAME_MS) {
    make(entry, pcm, 0);
    return;
  }
  const waitedMs = (entry.waiting * 1000) / entry.rateHz;
  row.set(pcm, entry.waiting);
  const end = entry.waiting + pcm.length;
  let at = 0;
  for (; end - at >= packet.length; at += packet.length) {
    packet.set(row.subarray(at, at + packet.length));
    make(entry, packet, (at * 1000) / entry.rateHz - waitedMs);
  }
  row.copyWithin(0, at, end);
  entry.waiting = end - at;
}

function make(entry: Entry, pcm: Pcm, fromMs: number): void {
  const made = entry.packets[entry.made++]!;
  made.length = entry.encoder.encode(pcm, made.payload, 0);
  made.fromMs = fromMs;
}
