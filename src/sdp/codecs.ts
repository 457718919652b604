import type { MediaDescription } from './description.ts';

export interface Codec {
  /** 0 to 127. */
  readonly payloadType: number;
  /** Lower case: `pcmu`, `pcma`, `g722`, `opus`, `telephone-event` … */
  readonly name: string;
  /** As in the rtpmap: G.722 says 8000 though it samples at 16000 (RFC 3551 §4.5.2). */
  readonly clockRateHz: number;
  readonly channels: number;
  /** What follows the payload type in `a=fmtp`. */
  readonly fmtp?: string;
}

/** RFC 3551 §6, the audio part: may be used without an rtpmap. */
const STATIC_CODECS: Readonly<
  Record<number, readonly [name: string, clockRateHz: number, channels: number]>
> = {
  0: ['pcmu', 8000, 1],
  3: ['gsm', 8000, 1],
  4: ['g723', 8000, 1],
  5: ['dvi4', 8000, 1],
  6: ['dvi4', 16000, 1],
  7: ['lpc', 8000, 1],
  8: ['pcma', 8000, 1],
  9: ['g722', 8000, 1],
  10: ['l16', 44100, 2],
  11: ['l16', 44100, 1],
  12: ['qcelp', 8000, 1],
  13: ['cn', 8000, 1],
  15: ['g728', 8000, 1],
  16: ['dvi4', 11025, 1],
  17: ['dvi4', 22050, 1],
  18: ['g729', 8000, 1],
};

/** The codecs of an m= line in its order of preference. Formats without a meaning are left out. */
export function codecsOf(media: MediaDescription): Codec[] {
  const rtpmaps = new Map<string, string>();
  const fmtps = new Map<string, string>();
  for (const { name, value } of media.attributes) {
    if (value === undefined || (name !== 'rtpmap' && name !== 'fmtp')) continue;
    const parts = /^(\d{1,3})[ \t]+(.*)$/.exec(value);
    if (!parts) continue;
    const map = name === 'rtpmap' ? rtpmaps : fmtps;
    const key = String(Number(parts[1]));
    if (!map.has(key)) map.set(key, parts[2]!);
  }
  const codecs: Codec[] = [];
  const seen = new Set<number>();
  for (const format of media.formats) {
    if (!/^\d{1,3}$/.test(format)) continue;
    const payloadType = Number(format);
    if (payloadType > 127 || seen.has(payloadType)) continue;
    seen.add(payloadType);
    const kind = readRtpmap(rtpmaps.get(String(payloadType))) ?? STATIC_CODECS[payloadType];
    if (!kind) continue;
    const fmtp = fmtps.get(String(payloadType));
    codecs.push({
      payloadType,
      name: kind[0],
      clockRateHz: kind[1],
      channels: kind[2],
      ...(fmtp !== undefined && { fmtp }),
    });
  }
  return codecs;
}

function readRtpmap(value: string | undefined): [string, number, number] | undefined {
  const parts = /^([^\s/]{1,64})\/(\d{1,6})(?:\/(\d{1,2}))?\s*$/.exec(value ?? '');
  if (!parts || Number(parts[2]) === 0) return undefined;
  return [parts[1]!.toLowerCase(), Number(parts[2]), Number(parts[3] ?? 1) || 1];
}

/** Not audio by themselves: an answer of these alone is no answer. */
export const isAuxiliary = (codec: Codec): boolean =>
  codec.name === 'telephone-event' || codec.name === 'cn' || codec.name === 'red';

/**
 * What both sides can do, in the order of the offer and with its payload types (RFC 3264 §6.1), each with our own
 * parameters. Telephone events and comfort noise come along when a chosen audio codec shares their clock (RFC 4733
 * §2.1). Empty: nothing to talk with, answer 488.
 */
export function selectCodecs(offered: readonly Codec[], ours: readonly Codec[]): Codec[] {
  const chosen: Codec[] = [];
  for (const theirs of offered) {
    const match = ours.find((mine) => sameCodec(theirs, mine));
    if (!match) continue;
    const { fmtp: _, ...kind } = theirs;
    const fmtp = match.fmtp ?? (sharedParameters.has(kind.name) ? theirs.fmtp : undefined);
    chosen.push({ ...kind, ...(fmtp !== undefined && { fmtp }) });
  }
  const clocks = new Set(chosen.filter((codec) => !isAuxiliary(codec)).map((codec) => codec.clockRateHz));
  return chosen.filter((codec) => clocks.has(codec.clockRateHz));
}

/** Their parameters describe the bit stream in both directions: the answer repeats the offer's. */
const sharedParameters = new Set(['amr', 'amr-wb', 'ilbc', 'g7221', 'evs']);

export function sameCodec(a: Codec, b: Codec): boolean {
  if (a.name !== b.name || a.clockRateHz !== b.clockRateHz || a.channels !== b.channels) return false;
  // RFC 4867 §8.3.1: octet-aligned and bandwidth-efficient packets are two different formats.
  if (a.name === 'amr' || a.name === 'amr-wb') return octetAligned(a) === octetAligned(b);
  return true;
}

const octetAligned = (codec: Codec): boolean => /(?:^|[; ])octet-align=1(?:[; ]|$)/i.test(codec.fmtp ?? '');
