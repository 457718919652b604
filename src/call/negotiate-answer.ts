import { failed, ok, type Result } from '../base/index.ts';
import type { SrtpKey } from '../media/index.ts';
import { answerDirection, buildAnswer, type LocalAudio, serializeSdp } from '../sdp/index.ts';
import { keyToAnswer, mediaCan } from './media-can.ts';
import type { Leg } from './model.ts';
import { agree, agreeEndToEnd, agreeFax, localAudio, noteKeptKey, readOffer, revised } from './negotiate.ts';
import { packetTimes } from './packet-time.ts';
import { hasVoice, type MediaRefusal, relayed, type Terms } from './terms.ts';
import { answeredCodecs, withBitRate } from './transcoding.ts';
import { localTransport, takeOfferedTransport } from './webrtc.ts';
import type { Work } from './work.ts';

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
  const { fax } = read.value;
  if ((fax === undefined) !== (terms.fax === undefined)) return failed('no_fax');
  const isEndToEnd = terms.sframe !== undefined && audio.sframe !== undefined;
  const agreed = answeredCodecs(relayed(audio.codecs), terms.codecs, {
    // What is encrypted end to end nobody transcodes.
    transcodes: isEndToEnd ? undefined : media.opened?.transcodes,
    mapsPayloadTypes: mediaCan(work, 'payload-types'),
  });
  const codecs = isEndToEnd ? agreed : agreed.map((codec) => withBitRate(codec, terms));
  if (fax === undefined && !hasVoice(codecs)) return failed('no_common_codec');
  const direction = answerDirection(audio.direction, terms.direction);
  const local = localAudio(media, direction, codecs, terms);
  if (local === undefined) return failed('no_port');
  let crypto: ({ tag: number } & SrtpKey) | undefined;
  let transport: Pick<LocalAudio, 'ice' | 'dtls'> = {};
  if (protection.kind === 'dtls') {
    takeOfferedTransport(work, media, audio, protection.offered);
    const own = localTransport(media, media.dtls?.role ?? 'passive', media.dtls?.tlsId);
    if (!own.ok) return own;
    transport = own.value;
  } else {
    // It was made for a browser, which this is not.
    delete media.ice;
    delete media.dtls;
  }
  if (protection.kind === 'srtp') {
    const { tag, suite } = protection.taken;
    // Our key stays while the suite does: a phone that refreshes its session hears no break (RFC 4568 §7.1.4).
    const own: Result<{ tag: number } & SrtpKey, MediaRefusal> =
      media.sendKey?.suite === suite && media.renewal === undefined
        ? ok({ tag, ...media.sendKey })
        : keyToAnswer(work, media, protection.taken);
    if (!own.ok) return own;
    crypto = own.value;
    media.sendKey = { suite: crypto.suite, keySalt: crypto.keySalt };
    const keyBefore = media.receiveKey;
    media.receiveKey = { suite, keySalt: protection.taken.keySalt };
    noteKeptKey(media, keyBefore);
  }
  // After a fax they count on from the numbers of before.
  agree(media, audio, fax === undefined ? codecs : media.codecs, direction);
  agreeFax(media, terms.fax, fax);
  agreeEndToEnd(media, terms.sframe, audio.sframe);
  if (media.renewal?.ready === true) delete media.renewal;
  Object.assign(media, packetTimes(terms));
  if (leg.role === 'caller' && leg.state !== 'confirmed') media.answeredEarly = offerText;
  delete media.unanswered;
  const build = (version: string): string =>
    serializeSdp(
      buildAnswer(description, {
        ...local,
        ...transport,
        ...(terms.fax === undefined ? {} : { fax: terms.fax }),
        ...(media.endToEnd === undefined ? {} : { sframe: media.endToEnd.said }),
        version,
        audio,
        ...(crypto === undefined ? {} : { crypto }),
      }),
    );
  return ok(revised(media, build));
}
