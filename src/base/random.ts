import { encodeBase32 } from './base32.ts';

/** Chance as a port: the operating system's in production (`native`), a seeded one in tests and the simulator. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array;
}

/** `length` characters of [0-9a-hjkmnp-tv-z], 5 bits each: fit for SIP tokens, tags and file names. */
export function randomText(random: Random, length: number): string {
  return encodeBase32(random.bytes(Math.ceil((length * 5) / 8))).slice(0, length);
}

/** A whole number in [0, bound), evenly spread for bounds far below 2^32. */
export function randomBelow(random: Random, bound: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return Math.floor((((a << 24) | (b << 16) | (c << 8) | d) >>> 0) * (bound / 2 ** 32));
}

/** The same sequence for the same seed (sfc32). For tests and the simulator, never for secrets. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 + seed;
  let c = 0xb7e15162;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) next();
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      for (let i = 0; i < length; i += 4) {
        const word = next();
        for (let j = i; j < Math.min(length, i + 4); j++) out[j] = word >>> (8 * (j - i));
      }
      return out;
    },
  };
}
