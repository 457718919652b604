import { createEncoder, type Encoder, type Pcm, type SampleRateHz } from '../../audio/index.ts';
import type { StreamCodec } from '../protocol.ts';

const LONGEST_PAYLOAD = 1500;

/** One encoder for all that hear the same in the same codec. */
export interface SharedEncoder {
  readonly rateHz: SampleRateHz;
  /** Of the present tick, `length` octets; 0: nothing need be sent. */
  readonly payload: Buffer;
  length: number;
  tick: number;
  /** Which content and codec. */
  readonly key: string;
}

interface Entry extends SharedEncoder {
  readonly encoder: Encoder;
  users: number;
}

/** The encoders in use, by what is said and how. Hold native memory; end with their last user. */
export class Encoders {
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** Undefined when the codec cannot be encoded here. `release` it. */
  take(content: string, codec: StreamCodec): SharedEncoder | undefined {
    const key = `${content}|${codec.name}|${codec.fmtp ?? ''}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const encoder = createEncoder(codec);
      if (encoder === undefined) return undefined;
      const payload = Buffer.allocUnsafeSlow(LONGEST_PAYLOAD);
      entry = { rateHz: encoder.rateHz, payload, length: 0, tick: -1, key, encoder, users: 0 };
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

  /** What the frame of this tick is, encoded once for all. `frame` is asked only if it was not yet. */
  encode(shared: SharedEncoder, tick: number, frame: () => Pcm | undefined): void {
    if (shared.tick === tick) return;
    shared.tick = tick;
    const pcm = frame();
    shared.length = pcm === undefined ? 0 : (shared as Entry).encoder.encode(pcm, shared.payload, 0);
  }
}
