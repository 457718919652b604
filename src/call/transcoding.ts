import { type Codec, isAuxiliary, sameCodec } from '../sdp/index.ts';
import { type PacketTimes, packetMsFor } from './packet-time.ts';
import { commonCodecs, freeDynamicType, hasVoice } from './terms.ts';

/*
 * Two legs keep one codec whenever they have one in common; media transcodes only what must be (PH-CALL-25). So a leg is offered what the
 * other one has, in its order, and behind that what media can make of it.
 */

/** In the order in which they are offered. The first one goes out under 111, as browsers have it. */
const OURS: readonly Codec[] = [
  { payloadType: 111, name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'useinbandfec=1' },
  { payloadType: 9, name: 'g722', clockRateHz: 8000, channels: 1 },
  { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 },
  { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 },
  { payloadType: 18, name: 'g729', clockRateHz: 8000, channels: 1, fmtp: 'annexb=no' },
];

const KEYS = 'telephone-event';
/** Digits, and nothing of modems (RFC 4733 §3.2). */
const DIGITS = '0-15';

/**
 * What a leg is offered of `codecs`, which the other leg has, where media can transcode between codecs of these names: those, and ours
 * behind them. Keypad events come along with each clock rate, if the other leg has any (RFC 4733 §2.1).
 */
export function offeredCodecs(
  codecs: readonly Codec[],
  transcodes: readonly string[] | undefined,
): readonly Codec[] {
  if (transcodes === undefined || !codecs.some(({ name }) => transcodes.includes(name))) return codecs;
  const added = OURS.filter(
    (ours) => transcodes.includes(ours.name) && !codecs.some((codec) => sameCodec(codec, ours)),
  );
  const all = [...codecs];
  const add = (codec: Codec): void => {
    const payloadType = freePayloadType(all, codec.payloadType);
    if (payloadType !== undefined) all.push({ ...codec, payloadType });
  };
  for (const codec of added) add(codec);
  if (!codecs.some(({ name }) => name === KEYS)) return all;
  for (const clockRateHz of new Set(added.map((codec) => codec.clockRateHz)))
    if (!all.some((codec) => codec.name === KEYS && codec.clockRateHz === clockRateHz))
      add({
        payloadType: clockRateHz === 8000 ? 101 : 110,
        name: KEYS,
        clockRateHz,
        channels: 1,
        fmtp: DIGITS,
      });
  return all;
}

/** What media can do about two legs that differ. */
export interface MediaMeans {
  /** Names of the codecs between which it transcodes; undefined: none. */
  readonly transcodes: readonly string[] | undefined;
  /** Default true: one codec may have another number on each leg. */
  readonly mapsPayloadTypes?: boolean;
}

/**
 * What of an offer is taken when the other leg has agreed to `answered`: what they have in common; failing that, all of it that media can
 * transcode. Without a voice among them there is nothing to talk with.
 */
export function answeredCodecs(
  offered: readonly Codec[],
  answered: readonly Codec[],
  { transcodes, mapsPayloadTypes = true }: MediaMeans,
): Codec[] {
  const common = commonCodecs(offered, answered).filter(
    ({ name, payloadType }) =>
      mapsPayloadTypes ||
      // What a packet says is what it is at both ends.
      answered.some((codec) => codec.name === name && codec.payloadType === payloadType),
  );
  const isOurs = ({ name }: Codec): boolean => transcodes?.includes(name) === true;
  if (hasVoice(common) || !answered.some(isOurs)) return common;
  const voices = offered.filter((codec) => !isAuxiliary(codec) && isOurs(codec));
  const clocks = new Set(voices.map(({ clockRateHz }) => clockRateHz));
  const keys = answered.some(({ name }) => name === KEYS)
    ? offered.filter(({ name, clockRateHz }) => name === KEYS && clocks.has(clockRateHz))
    : [];
  return [...voices.map(withOurParameters), ...keys];
}

/** By the length of packets, ms: as `audio/packet-time.ts` has it for what is encoded here. */
const OPUS_BITS_PER_SEC: Readonly<Record<number, number>> = {
  10: 38_000,
  20: 50_000,
  30: 50_000,
  40: 59_000,
  60: 61_500,
};

/**
 * What is said of Opus where nobody has asked for another rate: so that clients which by themselves speak at 32 kbit/s, or at 128, use 60 to 100 on
 * the wire (PH-QOS-05; RFC 7587 §6.1, which clients take as their target). `times`: what is said of the packets beside it.
 */
export function withBitRate(codec: Codec, times: PacketTimes): Codec {
  const { name, fmtp = '' } = codec;
  if (name !== 'opus' || /maxaveragebitrate\s*=/i.test(fmtp)) return codec;
  const bitsPerSec = OPUS_BITS_PER_SEC[packetMsFor(times)];
  return { ...codec, fmtp: `${fmtp}${fmtp === '' ? '' : ';'}maxaveragebitrate=${bitsPerSec}` };
}

/** What `a=fmtp` says is what its sender wants to get. */
function withOurParameters({ fmtp: _, ...codec }: Codec): Codec {
  const fmtp = OURS.find((ours) => sameCodec(ours, codec))?.fmtp;
  return fmtp === undefined ? codec : { ...codec, fmtp };
}

function freePayloadType(taken: readonly Codec[], wanted: number): number | undefined {
  const isFree = (type: number): boolean => !taken.some(({ payloadType }) => payloadType === type);
  return isFree(wanted) ? wanted : freeDynamicType(isFree);
}
