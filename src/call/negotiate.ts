import { isIP } from 'node:net';
import {
  BUNDLE_ID_LENGTH,
  type BundleId,
  failed,
  newStreamId,
  ok,
  type Result,
  randomBelow,
} from '../base/index.ts';
import type { SrtpKey, StreamCodec, StreamSpec } from '../media/index.ts';
import {
  type AudioDescription,
  acceptCryptoAnswer,
  answerCrypto,
  answerDirection,
  audiosOf,
  buildAnswer,
  buildOffer,
  type Codec,
  chooseProtection,
  type Direction,
  isAuxiliary,
  isSecureProfile,
  type LocalAudio,
  offerCrypto,
  type Protection,
  parseSdp,
  reverseDirection,
  type SessionDescription,
  sameCodec,
  serializeSdp,
  suiteOrder,
} from '../sdp/index.ts';
import type { Leg, LegMedia, MediaPolicy } from './model.ts';
import type { Work } from './work.ts';

/** Why there is no media under these terms; stands in Warning and in the record. */
export type MediaRefusal =
  | 'bad_sdp'
  | 'no_audio'
  | 'no_common_codec'
  | 'encryption_required'
  | 'no_common_suite'
  | 'dtls'
  | 'bad_answer'
  | 'no_port';

/** What the other leg shall hear of an offer or an answer; media goes through without transcoding, so codecs pass as they are. */
export interface Terms {
  readonly codecs: readonly StreamCodec[];
  readonly direction: Direction;
  readonly ptimeMs?: number;
}

export interface ReadOffer extends Terms {
  readonly description: SessionDescription;
  readonly audio: AudioDescription;
  readonly protection: Protection;
}

/** RED's and retransmission's parameters name payload types of their own leg: they cannot pass unread. */
const NOT_RELAYED: ReadonlySet<string> = new Set(['red', 'rtx', 'ulpfec', 'flexfec-03']);

const relayed = (codecs: readonly Codec[]): Codec[] => codecs.filter((codec) => !NOT_RELAYED.has(codec.name));

const hasVoice = (codecs: readonly Codec[]): boolean => codecs.some((codec) => !isAuxiliary(codec));

export function newMedia(work: Work, family: 4 | 6): LegMedia {
  return {
    stream: newStreamId(work.ctx.random),
    family,
    // Below 2^31, which the oldest phones still hold in an int.
    sdpId: String(1 + randomBelow(work.ctx.random, 2 ** 31 - 2)),
    sdpVersion: 1,
    agreed: false,
    direction: 'inactive',
    codecs: [],
    rtcpMux: false,
    secureProfile: false,
  };
}

export const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4);

/** An offer of the leg's peer, judged by what the leg's device and site ask (PH-SEC-04, PH-SEC-05, TR-MEDIA-06). */
export function readOffer(leg: Leg, text: string): Result<ReadOffer, MediaRefusal> {
  const parsed = parseSdp(text);
  if (!parsed.ok) return failed('bad_sdp');
  const { mediaPolicy, media } = leg;
  const order = suiteOrder(mediaPolicy.profile, mediaPolicy.prefer256);
  // Once encrypted a call stays so: a re-INVITE without keys is no way to listen in.
  const required = mediaPolicy.encryptionRequired || media.sendKey !== undefined;
  let refusal: MediaRefusal = 'no_audio';
  let plain: ReadOffer | undefined;
  for (const audio of audiosOf(parsed.value)) {
    if (audio.port === 0) continue;
    const codecs = relayed(audio.codecs);
    if (!hasVoice(codecs)) {
      refusal = 'no_common_codec';
      continue;
    }
    const protection = chooseProtection(audio, order, required);
    if (!protection.ok) {
      refusal = protection.error;
      continue;
    }
    const offer: ReadOffer = {
      description: parsed.value,
      audio,
      protection: protection.value,
      codecs,
      direction: audio.direction,
      ...(audio.ptimeMs === undefined ? {} : { ptimeMs: audio.ptimeMs }),
    };
    // Phones with optional encryption offer a plain and a secure line: the secure one is taken.
    if (protection.value.kind === 'srtp') return ok(offer);
    plain ??= offer;
  }
  return plain === undefined ? failed(refusal) : ok(plain);
}

/** Whether our first offer to such a device says RTP/SAVP. */
export const offersSecureProfile = ({ profile, encryptionRequired }: MediaPolicy): boolean =>
  profile === 'app' || profile === 'trunk' || encryptionRequired;

/**
 * Our offer on a leg. First: the suites of its profile with fresh keys; RTP/SAVP to apps and trunks, which have SRTP, and where the site
 * asks for it; RTP/AVP with keys to desk phones, of which some have none and answer plain (PH-SEC-05). Later: what was agreed, with
 * the same keys.
 */
export function makeOffer(work: Work, leg: Leg, terms: Terms): Result<string, MediaRefusal> {
  const { media, mediaPolicy } = leg;
  const local = localAudio(media, terms.direction, payloadTypesOf(media, terms.codecs), terms.ptimeMs);
  if (local === undefined) return failed('no_port');
  const rtcpMux = !media.agreed || media.rtcpMux;
  if (!media.agreed && mediaPolicy.profile === 'plain' && mediaPolicy.encryptionRequired) {
    return failed('encryption_required');
  }
  const crypto = media.agreed
    ? media.sendKey === undefined
      ? []
      : // TR-MEDIA-09: which indices the lost stream used under its key is not known any more.
        media.renewal !== undefined
        ? offerCrypto([media.sendKey.suite], work.ctx.random)
        : [{ tag: 1, ...media.sendKey }]
    : offerCrypto(suiteOrder(mediaPolicy.profile, mediaPolicy.prefer256), work.ctx.random);
  const secure = media.agreed ? media.secureProfile : offersSecureProfile(mediaPolicy);
  const previous = media.local === undefined ? undefined : parseSdp(media.local);
  const build = (version: string): string =>
    serializeSdp(
      buildOffer({
        ...local,
        rtcpMux,
        version,
        crypto,
        optionalSrtp: !secure,
        ...(previous?.ok ? { previous: previous.value } : {}),
      }),
    );
  media.offered = {
    crypto,
    direction: terms.direction,
    ...(media.renewal?.ready === true && media.stream !== undefined ? { renews: media.stream } : {}),
  };
  if (!media.agreed) media.firstOffer = media.offered;
  if (terms.ptimeMs !== undefined) media.ptimeMs = terms.ptimeMs;
  return ok(revised(media, build));
}

/** The answer to an offer of ours. It is the leg's state from now on. */
export function takeAnswer(leg: Leg, text: string): Result<Terms, MediaRefusal> {
  const { media, mediaPolicy } = leg;
  const parsed = parseSdp(text);
  if (!parsed.ok) return failed('bad_sdp');
  const audio = audiosOf(parsed.value)[0];
  if (audio === undefined || audio.port === 0) return failed('no_audio');
  const codecs = relayed(audio.codecs);
  if (!hasVoice(codecs)) return failed('no_common_codec');
  const offer = media.offered ?? media.firstOffer;
  const keyBefore = media.receiveKey;
  if (media.firstOffer !== undefined) {
    delete media.sendKey;
    delete media.receiveKey;
  }
  const crypto = offer?.crypto ?? (media.sendKey === undefined ? [] : [{ tag: 1, ...media.sendKey }]);
  const pair = acceptCryptoAnswer(crypto, audio.crypto);
  if (pair.ok) {
    media.sendKey = { suite: pair.value.suite, keySalt: pair.value.sendKeySalt };
    media.receiveKey = { suite: pair.value.suite, keySalt: pair.value.receiveKeySalt };
  } else {
    if (pair.error === 'bad_answer') return failed('bad_answer');
    if (mediaPolicy.encryptionRequired || isSecureProfile(audio.profile) || media.sendKey !== undefined) {
      return failed('encryption_required');
    }
  }
  const offeredDirection = offer?.direction ?? media.direction;
  // What both descriptions allow, in our view.
  const direction = answerDirection(reverseDirection(offeredDirection), reverseDirection(audio.direction));
  agree(media, audio, codecs, direction);
  noteKeptKey(media, keyBefore);
  if (offer?.renews !== undefined && offer.renews === media.stream) delete media.renewal;
  delete media.offered;
  return ok({
    codecs,
    direction: audio.direction,
    ...(audio.ptimeMs === undefined ? {} : { ptimeMs: audio.ptimeMs }),
  });
}

/** Answers an offer of the leg's peer with what the other side agreed to. It is the leg's state from now on. */
export function giveAnswer(
  work: Work,
  leg: Leg,
  offerText: string,
  terms: Terms,
): Result<string, MediaRefusal> {
  const { media } = leg;
  const read = readOffer(leg, offerText);
  if (!read.ok) return read;
  const { description, audio, protection } = read.value;
  const codecs = commonCodecs(audio.codecs, terms.codecs);
  if (!hasVoice(codecs)) return failed('no_common_codec');
  const direction = answerDirection(audio.direction, terms.direction);
  const local = localAudio(media, direction, codecs, terms.ptimeMs);
  if (local === undefined) return failed('no_port');
  let crypto: ({ tag: number } & SrtpKey) | undefined;
  if (protection.kind === 'srtp') {
    const { tag, suite } = protection.taken;
    // Our key stays while the suite does: a phone that refreshes its session hears no break (RFC 4568 §7.1.4).
    crypto =
      media.sendKey?.suite === suite && media.renewal === undefined
        ? { tag, ...media.sendKey }
        : answerCrypto(protection.taken, work.ctx.random);
    media.sendKey = { suite: crypto.suite, keySalt: crypto.keySalt };
    const keyBefore = media.receiveKey;
    media.receiveKey = { suite, keySalt: protection.taken.keySalt };
    noteKeptKey(media, keyBefore);
  }
  agree(media, audio, codecs, direction);
  if (media.renewal?.ready === true) delete media.renewal;
  if (terms.ptimeMs !== undefined) media.ptimeMs = terms.ptimeMs;
  if (leg.role === 'caller' && leg.state !== 'confirmed') media.answeredEarly = offerText;
  delete media.unanswered;
  const build = (version: string): string =>
    serializeSdp(
      buildAnswer(description, { ...local, version, audio, ...(crypto === undefined ? {} : { crypto }) }),
    );
  return ok(revised(media, build));
}

/** What was agreed on a leg, told to the other: for an answer that came in a reliable 1xx and is due in the other's 2xx. */
export const agreedTerms = (leg: Leg): Terms => ({
  codecs: leg.media.codecs,
  direction: reverseDirection(leg.media.direction),
});

/** What our own refresh of a session offers: what is agreed. */
export const ownTerms = ({ media }: Leg): Terms => ({
  codecs: media.codecs,
  direction: media.direction,
  ...(media.ptimeMs === undefined ? {} : { ptimeMs: media.ptimeMs }),
});

/** Whether an offer changes nothing for the other side: a refresh, a new address or new keys stay on their leg. */
export function changesNothing(leg: Leg, offer: ReadOffer): boolean {
  const { media } = leg;
  if (!media.agreed || offer.direction !== reverseDirection(media.direction)) return false;
  const agreedInOrder = media.codecs.filter((codec) => !isAuxiliary(codec));
  const offered = offer.codecs.filter((codec) => !isAuxiliary(codec));
  const first = offered[0];
  return (
    first !== undefined &&
    agreedInOrder[0] !== undefined &&
    agreedInOrder.every((codec) => offered.some((other) => sameCodec(codec, other)))
  );
}

/** RFC 4568 §7.1.4 leaves it to the peer whether it takes a new key when we do. */
function noteKeptKey(media: LegMedia, before: SrtpKey | undefined): void {
  const { receiveKey, renewal } = media;
  if (before?.keySalt !== receiveKey?.keySalt) delete media.receiveKeyKept;
  else if (renewal !== undefined && receiveKey !== undefined) media.receiveKeyKept = true;
}

function agree(
  media: LegMedia,
  audio: AudioDescription,
  codecs: readonly Codec[],
  direction: Direction,
): void {
  media.agreed = true;
  media.codecs = codecs;
  media.direction = direction;
  media.rtcpMux = audio.rtcpMux;
  media.secureProfile = isSecureProfile(audio.profile);
  // A host name is never resolved: media then learns the address from the packets (PH-EDGE-08).
  if (audio.address !== undefined && isIP(audio.address) !== 0) {
    media.remoteAddress = { address: audio.address, port: audio.port, rtcpPort: audio.rtcpPort };
  }
}

function localAudio(
  media: LegMedia,
  direction: Direction,
  codecs: readonly Codec[],
  ptimeMs: number | undefined,
): Omit<LocalAudio, 'version'> | undefined {
  if (media.opened === undefined) return undefined;
  return {
    sessionId: media.sdpId,
    address: media.opened.address,
    family: media.family,
    port: media.opened.port,
    rtcpPort: media.opened.rtcpPort,
    rtcpMux: true,
    direction,
    codecs,
    ...(ptimeMs === undefined ? {} : { ptimeMs }),
  };
}

/** RFC 3264 §8: the version counts up by one when anything changed, else the description is the same to the letter. */
function revised(media: LegMedia, build: (version: string) => string): string {
  const same = build(String(media.sdpVersion));
  if (media.local === undefined || media.local === same) {
    media.local = same;
    return same;
  }
  media.sdpVersion++;
  media.local = build(String(media.sdpVersion));
  return media.local;
}

/** The answered codecs under the offer's payload types, in the answerer's order, with the answerer's parameters. */
function commonCodecs(offered: readonly Codec[], answered: readonly Codec[]): Codec[] {
  const common: Codec[] = [];
  for (const codec of answered) {
    const match = offered.find((other) => sameCodec(other, codec));
    if (match === undefined || common.some(({ payloadType }) => payloadType === match.payloadType)) continue;
    common.push({ ...codec, payloadType: match.payloadType });
  }
  return common;
}

/** RFC 3264 §8.3.2: within a session a payload type keeps its codec, so what the leg knows keeps its number. */
function payloadTypesOf(media: LegMedia, codecs: readonly Codec[]): Codec[] {
  if (!media.agreed) return [...codecs];
  const taken = new Set(media.codecs.map(({ payloadType }) => payloadType));
  const used = new Set<number>();
  const numbered: Codec[] = [];
  for (const codec of codecs) {
    const known = media.codecs.find((other) => sameCodec(other, codec));
    let payloadType = known?.payloadType ?? codec.payloadType;
    if (known === undefined && taken.has(payloadType)) {
      payloadType = 96;
      while (payloadType < 128 && (taken.has(payloadType) || used.has(payloadType))) payloadType++;
      if (payloadType === 128) continue;
    }
    if (used.has(payloadType)) continue;
    used.add(payloadType);
    numbered.push({ ...codec, payloadType });
  }
  return numbered;
}

/** Asks media for what the leg's stream shall be now. */
export function putStream(work: Work, leg: Leg): void {
  const { media } = leg;
  if (media.stream === undefined) return;
  const at = work.commands.findIndex(
    (command) => command.type === 'media-put' && command.stream.id === media.stream,
  );
  if (at >= 0) work.commands.splice(at, 1);
  const { opened, renewal } = media;
  work.commands.push({
    type: 'media-put',
    stream: streamSpec(work, leg, media.stream),
    ...(opened === undefined || renewal?.ready === false
      ? {}
      : { opened: { address: opened.address, port: opened.port } }),
  });
}

function streamSpec(work: Work, leg: Leg, id: StreamSpec['id']): StreamSpec {
  // What takes a lost one's place is a bare port until the peer knows of it: the keys in the call are the lost one's.
  const media = leg.media.renewal === undefined ? leg.media : bare(leg.media);
  return {
    id,
    call: work.call.id,
    bundle: work.ctx.token.slice(0, BUNDLE_ID_LENGTH) as BundleId,
    // The switch writes the epoch under which it carries the command out: an adopter's is higher.
    epoch: 0,
    family: media.family,
    ...(media.remoteAddress === undefined ? {} : { remote: media.remoteAddress }),
    rtcpMux: media.rtcpMux,
    direction: media.direction,
    ...(media.sendKey === undefined ? {} : { sendKey: media.sendKey }),
    ...(media.receiveKey === undefined ? {} : { receiveKey: media.receiveKey }),
    ...(media.receiveKeyKept === undefined ? {} : { receiveKeyKept: true }),
    codecs: media.codecs,
    ...(media.source === undefined ? {} : { source: media.source }),
  };
}

const bare = ({ family, sdpId, sdpVersion }: LegMedia): LegMedia => ({
  family,
  sdpId,
  sdpVersion,
  agreed: false,
  direction: 'inactive',
  codecs: [],
  rtcpMux: false,
  secureProfile: false,
});

/** Each hears the other. */
export function connectStreams(work: Work, one: Leg, other: Leg): void {
  if (other.media.stream !== undefined) one.media.source = other.media.stream;
  if (one.media.stream !== undefined) other.media.source = one.media.stream;
  putStream(work, one);
  putStream(work, other);
}
