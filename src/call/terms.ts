import type { StreamCodec } from '../media/index.ts';
import {
  type Codec,
  type Direction,
  isAuxiliary,
  reverseDirection,
  type SdpAttribute,
  sameCodec,
  sameSframe,
} from '../sdp/index.ts';
import type { EndToEndRefusal } from './end-to-end-rules.ts';
import type { Leg, LegMedia } from './model.ts';
import { packetTimes } from './packet-time.ts';

/** Why there is no media under these terms; stands in Warning and in the record. */
export type MediaRefusal =
  | 'bad_sdp'
  | 'no_audio'
  | 'no_common_codec'
  | 'encryption_required'
  | 'no_common_suite'
  | 'dtls'
  | 'protection_changed'
  | 'bad_answer'
  | 'no_port'
  | 'no_fax'
  | EndToEndRefusal;

/** What the other leg shall hear of an offer or an answer. */
export interface Terms {
  readonly codecs: readonly StreamCodec[];
  readonly direction: Direction;
  readonly ptimeMs?: number;
  readonly maxptimeMs?: number;
  /** The medium is encrypted end to end, and this belongs to it. */
  readonly sframe?: readonly SdpAttribute[];
  /** A fax by T.38 in place of audio, and what is said of it; `codecs` say nothing then. */
  readonly fax?: readonly SdpAttribute[];
  /** What is agreed on the leg itself: nothing else is to be offered with it. */
  readonly own?: true;
}

const FIRST_DYNAMIC = 96;
const LAST_DYNAMIC = 127;
/** RED's and retransmission's parameters name payload types of their own leg: they cannot pass unread. */
const NOT_RELAYED: ReadonlySet<string> = new Set(['red', 'rtx', 'ulpfec', 'flexfec-03']);

export const relayed = (codecs: readonly Codec[]): Codec[] =>
  codecs.filter((codec) => !NOT_RELAYED.has(codec.name));

export const hasVoice = (codecs: readonly Codec[]): boolean => codecs.some((codec) => !isAuxiliary(codec));

/** What was agreed on a leg, told to the other: for an answer that came in a reliable 1xx and is due in the other's 2xx. */
export const agreedTerms = (leg: Leg): Terms => ({
  codecs: leg.media.codecs,
  direction: reverseDirection(leg.media.direction),
  ...leg.media.packetTimes,
  ...sframeTerms(leg.media.endToEnd?.heard),
  ...faxTerms(leg.media.fax?.heard),
});

const sframeTerms = (sframe: Terms['sframe']): Pick<Terms, 'sframe'> =>
  sframe === undefined ? {} : { sframe };

const faxTerms = (fax: Terms['fax']): Pick<Terms, 'fax'> => (fax === undefined ? {} : { fax });

/** An answer to the leg's own peer by what is agreed already. */
export const standingTerms = ({ media }: Leg): Terms => ({
  codecs: media.codecs,
  direction: media.direction,
  ...packetTimes(media),
  ...sframeTerms(media.endToEnd?.said),
  ...faxTerms(media.fax?.said),
});

/** What our own refresh of a session offers: what is agreed. */
export const ownTerms = (leg: Leg): Terms => ({
  ...standingTerms(leg),
  own: true,
});

/** Whether an offer changes nothing for the other side: a refresh, a new address or new keys stay on their leg. */
export function changesNothing(leg: Leg, offer: Terms): boolean {
  const { media } = leg;
  if (!media.agreed || offer.direction !== reverseDirection(media.direction)) return false;
  if (!sameSframe(media.endToEnd?.heard, offer.sframe)) return false;
  if (media.fax !== undefined || offer.fax !== undefined) return sameSframe(media.fax?.heard, offer.fax);
  const agreedInOrder = media.codecs.filter((codec) => !isAuxiliary(codec));
  const offered = offer.codecs.filter((codec) => !isAuxiliary(codec));
  const first = offered[0];
  return (
    first !== undefined &&
    agreedInOrder[0] !== undefined &&
    agreedInOrder.every((codec) => offered.some((other) => sameCodec(codec, other)))
  );
}

/** The answered codecs under the offer's payload types, in the answerer's order, with the answerer's parameters. */
export function commonCodecs(offered: readonly Codec[], answered: readonly Codec[]): Codec[] {
  const common: Codec[] = [];
  for (const codec of answered) {
    const match = offered.find((other) => sameCodec(other, codec));
    if (match === undefined || common.some(({ payloadType }) => payloadType === match.payloadType)) continue;
    common.push({ ...codec, payloadType: match.payloadType });
  }
  return common;
}

/** The first of the numbers that mean nothing by themselves (RFC 3551 §6) for which `isFree`. */
export function freeDynamicType(isFree: (payloadType: number) => boolean): number | undefined {
  for (let type = FIRST_DYNAMIC; type <= LAST_DYNAMIC; type++) if (isFree(type)) return type;
  return undefined;
}

/** RFC 3264 §8.3.2: within a session a payload type keeps its codec, so what the leg knows keeps its number. */
export function payloadTypesOf(media: LegMedia, codecs: readonly Codec[]): Codec[] {
  if (!media.agreed) return [...codecs];
  const taken = new Set(media.codecs.map(({ payloadType }) => payloadType));
  const used = new Set<number>();
  const numbered: Codec[] = [];
  for (const codec of codecs) {
    const known = media.codecs.find((other) => sameCodec(other, codec));
    let payloadType = known?.payloadType ?? codec.payloadType;
    if (known === undefined && taken.has(payloadType)) {
      const free = freeDynamicType((type) => !taken.has(type) && !used.has(type));
      if (free === undefined) continue;
      payloadType = free;
    }
    if (used.has(payloadType)) continue;
    used.add(payloadType);
    numbered.push({ ...codec, payloadType });
  }
  return numbered;
}
