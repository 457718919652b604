/** G.711 by table: 256 entries to linear, 16,384 (the upper 14 bits of a sample) to code. */
export interface CompandingLaw {
  readonly toLinear: Int16Array;
  /** By `sample >> 2 & 0x3fff`. */
  readonly toCode: Uint8Array;
  /** The code of silence. */
  readonly silence: number;
}

/** µ-law by the segments of G.711 table 2: bias 33 in 14 bits, here 132 in 16. */
function muLinear(code: number): number {
  const value = ~code & 0xff;
  const magnitude = ((((value & 0x0f) << 3) + 0x84) << ((value & 0x70) >> 4)) - 0x84;
  return value & 0x80 ? -magnitude : magnitude;
}

/** A-law, even bits inverted (G.711 table 1). */
function aLinear(code: number): number {
  const value = code ^ 0x55;
  const segment = (value & 0x70) >> 4;
  const step = ((value & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? step : (step + 0x100) << (segment - 1);
  return value & 0x80 ? magnitude : -magnitude;
}

function law(linear: (code: number) => number, silence: number): CompandingLaw {
  const toLinear = Int16Array.from({ length: 256 }, (_, code) => linear(code));
  const byValue = [...toLinear.keys()].sort((a, b) => (toLinear[a] as number) - (toLinear[b] as number));
  const toCode = new Uint8Array(16_384);
  let nearest = 0;
  for (let quarter = -8192; quarter < 8192; quarter++) {
    const sample = quarter * 4 + 2;
    while (nearest < 255 && distance(nearest + 1, sample) <= distance(nearest, sample)) nearest++;
    toCode[quarter & 0x3fff] = byValue[nearest] as number;
  }
  return { toLinear, toCode, silence };

  function distance(index: number, sample: number): number {
    return Math.abs((toLinear[byValue[index] as number] as number) - sample);
  }
}

export const MU_LAW = law(muLinear, 0xff);
export const A_LAW = law(aLinear, 0xd5);
