import type { Pcm, SampleRateHz } from './pcm.ts';

/** Turns frames into payloads. Holds native memory: `release` it. */
export interface Encoder {
  readonly rateHz: SampleRateHz;
  /** Writes the payload of one packet's samples into `out` from `at` on; the octets written, 0 for what need not be sent (DTX). */
  encode(frame: Pcm, out: Uint8Array, at: number): number;
  /** Loss that the peer reports, 0 to 1: Opus adapts its FEC to it. Others ignore it. */
  expectLoss?(fraction: number): void;
  release(): void;
}

/** Turns payloads into samples. Never throws for any payload: what cannot be decoded is concealed. Holds native memory: `release` it. */
export interface Decoder {
  readonly rateHz: SampleRateHz;
  /** The samples of a payload (any whole number of the codec's frames up to 120 ms), in a buffer lent until the next call. */
  decode(payload: Uint8Array, from: number, to: number): Pcm;
  /**
   * What probably was in a frame of 20 ms that did not come. `next`: the payload after it, if that is here already (Opus may carry the
   * lost frame in it, RFC 6716 §2.1.7).
   */
  conceal(next?: Uint8Array): Pcm;
  release(): void;
}
