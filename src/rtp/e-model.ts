/**
 * How good a call sounds, from what was measured of it: the E-model of ITU-T G.107 (narrow band), G.107.1 (wide band) and G.107.2 (full
 * band), with planning values for everything that a server cannot know (loudness, rooms, echo: the defaults of G.107 table 3).
 */
export interface CodecImpairment {
  /** Whose scale of R counts: its best is 93.2, 129 or 148. */
  readonly band: 'narrow' | 'wide' | 'full';
  /** Equipment impairment factor Ie: what coding alone costs. */
  readonly ie: number;
  /** Packet-loss robustness factor. */
  readonly bpl: number;
  /** Ie of a frame that was rebuilt from redundancy at a lower rate, where the codec has that. */
  readonly rebuiltIe?: number;
}

export interface CallMeasures {
  readonly codec: CodecImpairment;
  /** Mouth to ear: network, jitter buffer, frame and codec. */
  readonly oneWayDelayMs: number;
  /** Packets whose sound did not come, 0 to 1: lost or too late, and not rebuilt. */
  readonly lostFraction: number;
  /** Packets that were lost and rebuilt from redundancy (Opus FEC), 0 to 1. Default 0. */
  readonly rebuiltFraction?: number;
  /** Of `burstRatio`; default 1. */
  readonly burstRatio?: number;
}

export interface CallQuality {
  /** On the scale of the codec's band. */
  readonly r: number;
  /** 1 to 4.5, conversational, comparable between the bands. */
  readonly mos: number;
}

/**
 * Values of G.113 appendix I (narrow band, G.711 with the concealment of its appendix I) and appendix IV (wide band, provisional). ITU-T has
 * none for Opus: those for 40 kbit/s and, for what FEC carries, 16 kbit/s were found by listening tests and POLQA (Alahmadi, Počta,
 * Melvin, ACM TOMM 17, 2021).
 */
const IMPAIRMENTS: Readonly<Record<string, CodecImpairment>> = {
  pcmu: { band: 'narrow', ie: 0, bpl: 25.1 },
  pcma: { band: 'narrow', ie: 0, bpl: 25.1 },
  l16: { band: 'narrow', ie: 0, bpl: 25.1 },
  g729: { band: 'narrow', ie: 11, bpl: 19 },
  g722: { band: 'wide', ie: 13, bpl: 4.9 },
  opus: { band: 'full', ie: 10.67, bpl: 9.79, rebuiltIe: 30.16 },
};

/** By the name in SDP, lower case. A codec unknown here is taken for G.711 without concealment. */
export const impairmentOf = (name: string): CodecImpairment =>
  (Object.hasOwn(IMPAIRMENTS, name) ? IMPAIRMENTS[name] : undefined) ?? { band: 'narrow', ie: 0, bpl: 4.3 };

/** The best R of each band. */
const BEST_R = { narrow: 93.2, wide: 129, full: 148 } as const;
/** How much longer than the narrow band's 100 the scale of a band is. */
const SCALE = { narrow: 1, wide: 1.29, full: 1.48 } as const;
/** What loss can cost at most (G.107 7-29, G.107.1, G.107.2). */
const MOST_LOSS_IMPAIRMENT = { narrow: 95, wide: 95, full: 132 } as const;

export function callQuality(measures: CallMeasures): CallQuality {
  const { codec } = measures;
  const { band } = codec;
  const r = Math.max(
    0,
    (band === 'narrow' ? NARROW_BASE_R : BEST_R[band]) -
      SCALE[band] * delayImpairment(measures.oneWayDelayMs) -
      lossImpairment(measures),
  );
  return { r, mos: mosOf(r / SCALE[band]) };
}

/** Ie-eff, G.107 7-29: coding and loss together, of frames that were lost and frames that were rebuilt. */
function lossImpairment(measures: CallMeasures): number {
  const { codec, lostFraction, rebuiltFraction = 0, burstRatio = 1 } = measures;
  const rebuilt = fraction(rebuiltFraction);
  const ie = codec.ie + rebuilt * ((codec.rebuiltIe ?? codec.ie) - codec.ie);
  const lostPercent = 100 * fraction(lostFraction);
  const most = MOST_LOSS_IMPAIRMENT[codec.band];
  return ie + ((most - ie) * lostPercent) / (lostPercent / Math.max(1, burstRatio || 1) + codec.bpl);
}

const fraction = (value: number): number => (value > 0 ? Math.min(1, value) : 0);

/** G.107 B-4. */
export function mosOf(r: number): number {
  if (r <= 0) return 1;
  if (r >= 100) return 4.5;
  return Math.max(1, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

/**
 * How much longer bursts of loss are than chance would have them: 1 is random, 2 is bursts twice as long (G.107 §7.5). `bursts`: how many
 * runs of lost packets there were.
 */
export function burstRatio(lost: number, received: number, bursts: number): number {
  if (!(lost > 0 && bursts > 0 && received > 0)) return 1;
  return Math.max(1, (lost / bursts) * (received / (lost + received)));
}

// Defaults of G.107 table 3, in dB but for QDU.
const SLR = 8;
const RLR = 2;
const STMR = 15;
const LSTR = 18;
const DS = 3;
const TELR = 65;
const WEPL = 110;
const QDU = 1;
const NC = -70;
const NFOR = -64;
const PS = 35;
const PR = 35;

const OLR = SLR + RLR;
/** 7-3 to 7-7: the noise of everything, referred to the 0 dBr point. */
const NO = (() => {
  const nos = PS - SLR - DS - 100 + 0.004 * (PS - OLR - DS - 14) ** 2;
  const pre = PR + 10 * Math.log10(1 + 10 ** ((10 - LSTR) / 10));
  const nor = RLR - 121 + pre + 0.008 * (pre - 35) ** 2;
  return 10 * Math.log10([NC, nos, nor, NFOR + RLR].reduce((sum, noise) => sum + 10 ** (noise / 10), 0));
})();
/** 7-2. */
const RO = 15 - 1.5 * (SLR + NO);

/** 7-8 to 7-17: loudness, side tone and quantising, which come together with the voice. */
const IS = (() => {
  const xolr = OLR + 0.2 * (64 + NO - RLR);
  const iolr = 20 * ((1 + (xolr / 8) ** 8) ** (1 / 8) - xolr / 8);
  const stmro = -10 * Math.log10(10 ** (-STMR / 10) + 10 ** (-TELR / 10));
  const ist =
    12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8) -
    28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35) -
    13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13) +
    29;
  const q = 37 - 15 * Math.log10(QDU);
  const g = 1.07 + 0.258 * q + 0.0602 * q ** 2;
  const y = (RO - 100) / 15 + 46 / 8.4 - g / 9;
  const z = 46 / 30 - g / 40;
  return iolr + ist + 15 * Math.log10(1 + 10 ** y + 10 ** z);
})();

/** Id, 7-18 to 7-28: talker echo, listener echo and waiting, with T = Ta and Tr = 2 T. */
function delayImpairment(oneWayDelayMs: number): number {
  const t = Math.max(0, oneWayDelayMs || 0);
  const terv = TELR - 40 * Math.log10((1 + t / 10) / (1 + t / 150)) + 6 * Math.exp(-0.3 * t ** 2);
  const roe = -1.5 * (NO - RLR);
  const re = 80 + 2.5 * (terv - 14);
  const idte = ((roe - re) / 2 + Math.sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - Math.exp(-t));
  const rle = 10.5 * (WEPL + 7) * (2 * t + 1) ** -0.25;
  const idle = (RO - rle) / 2 + Math.sqrt((RO - rle) ** 2 / 4 + 169);
  return idte + idle + waiting(t);
}

/** Idd, 7-27: nobody minds 100 ms. */
function waiting(delayMs: number): number {
  if (delayMs <= 100) return 0;
  const x = Math.log2(delayMs / 100);
  return 25 * ((1 + x ** 6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2);
}

/** 94.8 less 1.4 and, taken off with the delay, some tenths of echo: 93.2. */
const NARROW_BASE_R = RO - IS;
