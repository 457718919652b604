import { readUint32, writeUint32 } from './packet.ts';

/** The VoIP Metrics Report Block of RTCP XR (RFC 3611 §4.7): one receiver's view of one source. */
export interface VoipMetrics {
  readonly ssrc: number;
  /** Of 256: lost on the way, and thrown away by the jitter buffer; lost within bursts and within gaps. */
  readonly lossRate: number;
  readonly discardRate: number;
  readonly burstDensity: number;
  readonly gapDensity: number;
  readonly burstMs: number;
  readonly gapMs: number;
  /** 0: not known. */
  readonly roundTripMs: number;
  readonly endSystemDelayMs: number;
  readonly gmin: number;
  /** 0 to 100; absent: not measured (127 on the wire). */
  readonly rFactor?: number;
  /** Of listening and of conversation, 1 to 5, in tenths. */
  readonly mosLq?: number;
  readonly mosCq?: number;
  /** Packet loss concealment and jitter buffer, as in §4.7.7. */
  readonly rxConfig: number;
  readonly jitterNominalMs: number;
  readonly jitterMaximumMs: number;
  readonly jitterAbsoluteMs: number;
}

export const XR = 207;
const VOIP_METRICS = 7;
/** Header and the SSRC of the reporter, then the block with its own header. */
const HEAD = 8;
const BLOCK = 36;
const NOT_MEASURED = 127;
/** §4.7.7: concealment is standard, the jitter buffer adapts. */
export const RX_CONCEALS_AND_ADAPTS = 0b1111_0000;

/** The VoIP metrics among the blocks from `at` to `end`, up to one that is cut off. Other blocks are skipped. */
export function readXrBlocks(bytes: Uint8Array, at: number, end: number): VoipMetrics[] {
  const found: VoipMetrics[] = [];
  let from = at;
  while (from + 4 <= end) {
    const next = from + 4 + 4 * uint16(bytes, from + 2);
    if (next > end) break;
    if (bytes[from] === VOIP_METRICS && next - from >= BLOCK) found.push(readBlock(bytes, from));
    from = next;
  }
  return found;
}

function readBlock(bytes: Uint8Array, at: number): VoipMetrics {
  const measured = (value: number): number | undefined => (value === NOT_MEASURED ? undefined : value);
  const rFactor = measured(bytes[at + 24]!);
  const mosLq = measured(bytes[at + 26]!);
  const mosCq = measured(bytes[at + 27]!);
  return {
    ssrc: readUint32(bytes, at + 4),
    lossRate: bytes[at + 8]!,
    discardRate: bytes[at + 9]!,
    burstDensity: bytes[at + 10]!,
    gapDensity: bytes[at + 11]!,
    burstMs: uint16(bytes, at + 12),
    gapMs: uint16(bytes, at + 14),
    roundTripMs: uint16(bytes, at + 16),
    endSystemDelayMs: uint16(bytes, at + 18),
    gmin: bytes[at + 23]!,
    ...(rFactor === undefined ? {} : { rFactor }),
    ...(mosLq === undefined ? {} : { mosLq: mosLq / 10 }),
    ...(mosCq === undefined ? {} : { mosCq: mosCq / 10 }),
    rxConfig: bytes[at + 28]!,
    jitterNominalMs: uint16(bytes, at + 30),
    jitterMaximumMs: uint16(bytes, at + 32),
    jitterAbsoluteMs: uint16(bytes, at + 34),
  };
}

export const sizeOfXr = (voip: readonly VoipMetrics[]): number => HEAD + BLOCK * voip.length;

/** Behind the packet's first four octets; what is written to is zero already. */
export function writeXr(into: Uint8Array, from: number, ssrc: number, voip: readonly VoipMetrics[]): void {
  writeUint32(into, from, ssrc);
  let at = from + 4;
  for (const metrics of voip) {
    into[at] = VOIP_METRICS;
    setUint16(into, at + 2, BLOCK / 4 - 1);
    writeUint32(into, at + 4, metrics.ssrc);
    into[at + 8] = metrics.lossRate;
    into[at + 9] = metrics.discardRate;
    into[at + 10] = metrics.burstDensity;
    into[at + 11] = metrics.gapDensity;
    setUint16(into, at + 12, metrics.burstMs);
    setUint16(into, at + 14, metrics.gapMs);
    setUint16(into, at + 16, metrics.roundTripMs);
    setUint16(into, at + 18, metrics.endSystemDelayMs);
    // Signal, noise and residual echo are not measured by who does not listen with ears.
    into[at + 20] = into[at + 21] = into[at + 22] = NOT_MEASURED;
    into[at + 23] = metrics.gmin;
    into[at + 24] = octet(metrics.rFactor);
    into[at + 25] = NOT_MEASURED;
    into[at + 26] = octet(metrics.mosLq, 10);
    into[at + 27] = octet(metrics.mosCq, 10);
    into[at + 28] = metrics.rxConfig;
    setUint16(into, at + 30, metrics.jitterNominalMs);
    setUint16(into, at + 32, metrics.jitterMaximumMs);
    setUint16(into, at + 34, metrics.jitterAbsoluteMs);
    at += BLOCK;
  }
}

const octet = (value: number | undefined, times = 1): number =>
  value === undefined ? NOT_MEASURED : Math.max(0, Math.min(126, Math.round(value * times)));
const uint16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

function setUint16(into: Uint8Array, at: number, value: number): void {
  const clipped = Math.max(0, Math.min(0xffff, Math.round(value)));
  into[at] = clipped >>> 8;
  into[at + 1] = clipped & 0xff;
}
