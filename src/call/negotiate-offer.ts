import { failed, ok, type Result } from '../base/index.ts';
import {
  type AudioDescription,
  acceptCryptoAnswer,
  answerDirection,
  audiosOf,
  buildOffer,
  faxOf,
  isSecureProfile,
  isSframeTooLong,
  type OfferParameters,
  parseSdp,
  reverseDirection,
  serializeSdp,
  suiteOrder,
} from '../sdp/index.ts';
import { keysToOffer, mediaCan } from './media-can.ts';
import type { Leg, LegMedia, MediaPolicy, OwnOffer } from './model.ts';
import { agree, agreeEndToEnd, agreeFax, localAudio, noteKeptKey, revised } from './negotiate.ts';
import { packetTimes } from './packet-time.ts';
import { hasVoice, type MediaRefusal, payloadTypesOf, relayed, type Terms } from './terms.ts';
import { offeredCodecs, withBitRate } from './transcoding.ts';
import { localTransport, newIce, newTlsId, offersWebrtc, takeAnsweredTransport } from './webrtc.ts';
import type { Work } from './work.ts';

/** Whether our first offer to such a device says RTP/SAVP. */
export const offersSecureProfile = ({ profile, encryptionRequired }: MediaPolicy): boolean =>
  profile === 'app' || profile === 'trunk' || encryptionRequired;

/** Our offer on a leg, the first one or a later one. */
export function makeOffer(work: Work, leg: Leg, terms: Terms): Result<string, MediaRefusal> {
  const { media, mediaPolicy } = leg;
  const { sframe, fax } = terms;
  const isOwn = terms.own === true;
  // What is encrypted end to end nobody transcodes.
  const codecs =
    isOwn || sframe !== undefined ? terms.codecs : offeredCodecs(terms.codecs, media.opened?.transcodes);
  const said = sframe === undefined ? codecs.map((codec) => withBitRate(codec, terms)) : codecs;
  const local = localAudio(media, terms.direction, payloadTypesOf(media, said), terms);
  if (local === undefined) return failed('no_port');
  if (!media.agreed && mediaPolicy.profile === 'plain' && mediaPolicy.encryptionRequired) {
    return failed('encryption_required');
  }
  if (fax !== undefined && !mayFax(work, leg)) return failed('no_fax');
  const isWebrtc = media.agreed ? media.dtls !== undefined : offersWebrtc(leg);
  const protection =
    fax !== undefined ? ok(IN_CLEAR) : isWebrtc ? offeredTransport(work, media) : ok(offeredKeys(work, leg));
  if (!protection.ok) return protection;
  const { crypto, tlsId, ...transport } = protection.value;
  const previous = media.local === undefined ? undefined : parseSdp(media.local);
  const build = (version: string): string =>
    serializeSdp(
      buildOffer({
        ...local,
        ...transport,
        rtcpMux: !media.agreed || media.rtcpMux,
        version,
        crypto,
        ...(sframe === undefined ? {} : { sframe }),
        ...(fax === undefined ? {} : { fax }),
        ...(previous?.ok ? { previous: previous.value } : {}),
      }),
    );
  media.offered = {
    crypto,
    direction: terms.direction,
    ...(tlsId === undefined ? {} : { tlsId }),
    ...(sframe === undefined ? {} : { sframe }),
    ...(fax === undefined ? {} : { fax }),
    ...(isOwn ? { own: true } : {}),
    ...(media.renewal?.ready === true && media.stream !== undefined ? { renews: media.stream } : {}),
  };
  if (!media.agreed) media.firstOffer = media.offered;
  Object.assign(media, packetTimes(terms));
  return ok(revised(media, build));
}

const IN_CLEAR: Offered = { crypto: [], optionalSrtp: true };

/** UDPTL goes in clear: not to a leg that is encrypted, or has to be. */
const mayFax = (work: Work, leg: Leg): boolean =>
  mediaCan(work, 'udptl') &&
  leg.media.sendKey === undefined &&
  leg.media.dtls === undefined &&
  !leg.mediaPolicy.encryptionRequired &&
  (leg.media.agreed || !offersWebrtc(leg));

type Offered = Pick<OfferParameters, 'crypto' | 'optionalSrtp' | 'ice' | 'dtls' | 'profile'> & {
  readonly tlsId?: string;
};

/**
 * First: the suites of the device's profile with fresh keys; RTP/SAVP to apps and trunks, which have SRTP, and where the site asks for
 * it; RTP/AVP with keys to desk phones, of which some have none and answer plain (PH-SEC-05). Later: what was agreed, with the same keys.
 */
function offeredKeys(work: Work, { media, mediaPolicy }: Leg): Offered {
  const crypto = media.agreed
    ? media.sendKey === undefined
      ? []
      : // TR-MEDIA-09: which indices the lost stream used under its key is not known any more.
        media.renewal !== undefined
        ? keysToOffer(work, media, [media.sendKey.suite])
        : [{ tag: 1, ...media.sendKey }]
    : keysToOffer(work, media, suiteOrder(mediaPolicy.profile, mediaPolicy.prefer256));
  const secure = media.agreed ? media.secureProfile : offersSecureProfile(mediaPolicy);
  return { crypto, optionalSrtp: !secure };
}

/** For a browser, or a phone that once asked for DTLS: later `actpass` again, and the same generation of ICE (RFC 9429 §5.2.2). */
function offeredTransport(work: Work, media: LegMedia): Result<Offered, MediaRefusal> {
  const isNew = !media.agreed || media.renewal !== undefined;
  if (isNew && (!media.agreed || media.ice !== undefined)) {
    media.ice = media.agreed ? newIce(work) : (media.ice ?? newIce(work));
  }
  const tlsId = isNew ? newTlsId(work) : (media.dtls?.tlsId ?? newTlsId(work));
  const own = localTransport(media, 'actpass', tlsId);
  if (!own.ok) return own;
  const profile = media.dtls?.profile;
  return ok({
    ...own.value,
    ...(profile === undefined ? {} : { profile }),
    crypto: [],
    optionalSrtp: false,
    tlsId,
  });
}

/** The answer to an offer of ours. It is the leg's state from now on. */
export function takeAnswer(leg: Leg, text: string): Result<Terms, MediaRefusal> {
  const { media } = leg;
  const parsed = parseSdp(text);
  if (!parsed.ok) return failed('bad_sdp');
  const offer = media.offered ?? media.firstOffer;
  const isFax = offer?.fax !== undefined;
  const fax = isFax ? faxOf(parsed.value) : undefined;
  const audio: AudioDescription | undefined = isFax ? fax : audiosOf(parsed.value)[0];
  if (audio === undefined || audio.port === 0) return failed(isFax ? 'no_fax' : 'no_audio');
  const codecs = relayed(audio.codecs);
  if (!isFax && !hasVoice(codecs)) return failed('no_common_codec');
  if (audio.sframe !== undefined && isSframeTooLong(audio.sframe)) return failed('e2ee_terms');
  const keyBefore = media.receiveKey;
  if (media.firstOffer !== undefined) {
    delete media.sendKey;
    delete media.receiveKey;
    delete media.dtls;
  }
  const taken =
    offer?.tlsId === undefined
      ? takeAnsweredKeys(leg, audio, offer)
      : takeAnsweredTransport(media, audio, offer.tlsId);
  if (!taken.ok) return taken;
  const offeredDirection = offer?.direction ?? media.direction;
  // What both descriptions allow, in our view.
  const direction = answerDirection(reverseDirection(offeredDirection), reverseDirection(audio.direction));
  agree(media, audio, isFax ? media.codecs : codecs, direction);
  agreeFax(media, offer?.fax, fax?.fax);
  noteKeptKey(media, keyBefore);
  // To what only says again what is agreed nothing else is an answer: the mode changes by the phones' own offers.
  const wasOwn = offer?.own === true;
  if (!wasOwn) agreeEndToEnd(media, offer?.sframe, audio.sframe);
  if (offer?.renews !== undefined && offer.renews === media.stream) delete media.renewal;
  delete media.offered;
  return ok({
    codecs,
    direction: audio.direction,
    ...packetTimes(audio),
    ...(fax === undefined ? {} : { fax: fax.fax }),
    ...(!wasOwn && media.endToEnd !== undefined ? { sframe: media.endToEnd.heard } : {}),
  });
}

function takeAnsweredKeys(
  { media, mediaPolicy }: Leg,
  audio: AudioDescription,
  offer: OwnOffer | undefined,
): Result<undefined, MediaRefusal> {
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
  return ok(undefined);
}
