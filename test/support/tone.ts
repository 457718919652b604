/** Sound that can be recognised: a sine in G.711, found again by Goertzel's filter, and a mark that says who sent it and when. */
export const SAMPLE_RATE_HZ = 8000;
export const SAMPLES = 160;
const MARK = 0x544c;
export const MARK_LENGTH = 18;

export interface Mark {
  readonly sender: number;
  /** Counts the sender's packets from 0. */
  readonly count: number;
  /** When it was sent: milliseconds since the Unix epoch, with a fraction. */
  readonly sentMs: number;
}

export function writeMark(packet: Buffer, at: number, { sender, count, sentMs }: Mark): void {
  packet.writeUInt16BE(MARK, at);
  packet.writeUInt32BE(sender, at + 2);
  packet.writeUInt32BE(count, at + 6);
  packet.writeDoubleBE(sentMs, at + 10);
}

export function readMark(packet: Buffer, at: number, end: number): Mark | undefined {
  if (end - at < MARK_LENGTH || packet.readUInt16BE(at) !== MARK) return undefined;
  return {
    sender: packet.readUInt32BE(at + 2),
    count: packet.readUInt32BE(at + 6),
    sentMs: packet.readDoubleBE(at + 10),
  };
}

export type Law = 'pcmu' | 'pcma';

/** Fills [at, at + 160) with 20 ms of a sine that goes on where the sample count says. */
export function writeTone(packet: Buffer, at: number, law: Law, toneHz: number, firstSample: number): void {
  const encode = law === 'pcmu' ? encodeMu : encodeA;
  for (let i = 0; i < SAMPLES; i++) {
    packet[at + i] = encode(
      Math.round(8000 * Math.sin((2 * Math.PI * toneHz * (firstSample + i)) / SAMPLE_RATE_HZ)),
    );
  }
}

/** The strongest tone of some payloads in a row, in steps of 25 Hz; undefined when no tone stands out. */
export const strongestTone = (payloads: readonly Buffer[], law: Law): number | undefined =>
  toneOf(samplesOf(payloads, law));

/** Root mean square of some payloads; 0 of none. */
export function levelOf(payloads: readonly Buffer[], law: Law): number {
  const samples = samplesOf(payloads, law);
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0);
  return samples.length === 0 ? 0 : Math.sqrt(energy / samples.length);
}

/** The mark is no sound. */
const samplesOf = (payloads: readonly Buffer[], law: Law): number[] =>
  payloads.flatMap((payload) => [...payload].map((code, at) => (at < MARK_LENGTH ? 0 : DECODE[law](code))));

/** The same of samples at 8 kHz. */
export function toneOf(samples: readonly number[]): number | undefined {
  if (samples.length === 0) return undefined;
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0);
  let best = 0;
  let bestPower = 0;
  for (let hz = 200; hz <= 3600; hz += 25) {
    const power = goertzel(samples, hz);
    if (power > bestPower) {
      best = hz;
      bestPower = power;
    }
  }
  // A pure sine of n samples has power n × energy / 2.
  return energy > samples.length * 100 && bestPower > (0.3 * samples.length * energy) / 2 ? best : undefined;
}

function goertzel(samples: readonly number[], hz: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / SAMPLE_RATE_HZ);
  let before = 0;
  let beforeThat = 0;
  for (const sample of samples) {
    const next = sample + coefficient * before - beforeThat;
    beforeThat = before;
    before = next;
  }
  return before * before + beforeThat * beforeThat - coefficient * before * beforeThat;
}

/** ITU-T G.711 µ-law of a 14-bit-scaled 16-bit sample. */
export function encodeMu(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(32_635, Math.abs(sample)) + 132;
  let exponent = 7;
  while (exponent > 0 && (magnitude & (0x80 << exponent)) === 0) exponent--;
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 15)) & 0xff;
}

export function decodeMu(code: number): number {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 15) << 3) + 132) << ((bits >> 4) & 7)) - 132;
  return (bits & 0x80) !== 0 ? -magnitude : magnitude;
}

/** ITU-T G.711 A-law. */
export function encodeA(sample: number): number {
  const sign = sample < 0 ? 0 : 0x80;
  const magnitude = Math.min(32_767, sample < 0 ? -sample - 1 : sample) >> 3;
  let exponent = 7;
  while (exponent > 0 && magnitude < 16 << exponent) exponent--;
  const mantissa = exponent === 0 ? (magnitude >> 1) & 15 : (magnitude >> exponent) & 15;
  return (sign | (exponent << 4) | mantissa) ^ 0x55;
}

export function decodeA(code: number): number {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = ((bits & 15) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 256) << (exponent - 1);
  return (bits & 0x80) !== 0 ? magnitude : -magnitude;
}

const DECODE = { pcmu: decodeMu, pcma: decodeA } as const;
