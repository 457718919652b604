import { isIP } from 'node:net';
import { failed, newStreamId, ok, type Result, randomBelow } from '../base/index.ts';
import type { SrtpKey } from '../media/index.ts';
import {
  type AudioDescription,
  audiosOf,
  type Codec,
  chooseProtection,
  type Direction,
  type FaxDescription,
  faxOf,
  isSecureProfile,
  isSframeTooLong,
  type LocalAudio,
  type Protection,
  parseSdp,
  type SessionDescription,
  suiteOrder,
} from '../sdp/index.ts';
import type { Leg, LegMedia } from './model.ts';
import { type PacketTimes, packetTimes } from './packet-time.ts';
import { hasVoice, type MediaRefusal, relayed, type Terms } from './terms.ts';
import type { Work } from './work.ts';

export interface ReadOffer extends Terms {
  readonly description: SessionDescription;
  readonly audio: AudioDescription;
  readonly protection: Protection;
}

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
  const required = mediaPolicy.encryptionRequired || media.sendKey !== undefined || media.dtls !== undefined;
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
    if (audio.sframe !== undefined && isSframeTooLong(audio.sframe)) {
      refusal = 'e2ee_terms';
      continue;
    }
    const { kind } = protection.value;
    if (media.agreed && (kind === 'dtls') !== (media.dtls !== undefined)) {
      refusal = 'protection_changed';
      continue;
    }
    const offer: ReadOffer = {
      description: parsed.value,
      audio,
      protection: protection.value,
      codecs,
      direction: audio.direction,
      ...packetTimes(audio),
      ...(audio.sframe === undefined ? {} : { sframe: audio.sframe }),
    };
    // Phones with optional encryption offer a plain and a secure line: the secure one is taken.
    if (kind !== 'plain') return ok(offer);
    plain ??= offer;
  }
  if (plain !== undefined) return ok(plain);
  const fax = faxOf(parsed.value);
  // What is encrypted does not go on in clear, and UDPTL is.
  if (fax !== undefined && required) return failed('encryption_required');
  return fax === undefined ? failed(refusal) : ok(faxOffer(parsed.value, fax));
}

const faxOffer = (description: SessionDescription, fax: FaxDescription): ReadOffer => ({
  description,
  audio: fax,
  protection: { kind: 'plain' },
  codecs: [],
  direction: fax.direction,
  fax: fax.fax,
});

/** RFC 4568 §7.1.4 leaves it to the peer whether it takes a new key when we do. */
export function noteKeptKey(media: LegMedia, before: SrtpKey | undefined): void {
  const { receiveKey, renewal } = media;
  if (before?.keySalt !== receiveKey?.keySalt) delete media.receiveKeyKept;
  else if (renewal !== undefined && receiveKey !== undefined) media.receiveKeyKept = true;
}

/** Keeps what both said of encrypting end to end, or that they do not both say it. */
export function agreeEndToEnd(media: LegMedia, said: Terms['sframe'], heard: Terms['sframe']): void {
  if (said === undefined || heard === undefined) delete media.endToEnd;
  else media.endToEnd = { said, heard };
}

/** Keeps what both said of a fax, or that there is none. */
export function agreeFax(media: LegMedia, said: Terms['fax'], heard: Terms['fax']): void {
  if (said === undefined || heard === undefined) delete media.fax;
  else media.fax = { said, heard };
}

export function agree(
  media: LegMedia,
  audio: AudioDescription,
  codecs: readonly Codec[],
  direction: Direction,
): void {
  const listens = direction === 'sendrecv' || direction === 'sendonly';
  if (listens) delete media.holds;
  // Who has never listened, such as a machine that only speaks, does not hold by going on so.
  else if (media.agreed && media.direction !== direction) media.holds = true;
  media.agreed = true;
  media.codecs = codecs;
  media.direction = direction;
  media.rtcpMux = audio.rtcpMux;
  media.secureProfile = isSecureProfile(audio.profile);
  if (audio.codecs.length > 0) noteWishes(media, audio);
  // With ICE the peer is where its checks come from, and nowhere else.
  if (media.ice !== undefined) delete media.remoteAddress;
  // A host name is never resolved: media then learns the address from the packets (PH-EDGE-08).
  else if (audio.address !== undefined && isIP(audio.address) !== 0) {
    media.remoteAddress = { address: audio.address, port: audio.port, rtcpPort: audio.rtcpPort };
  }
}

/** What the peer asks of the packets that it is sent. */
function noteWishes(media: LegMedia, audio: AudioDescription): void {
  media.wants = Object.fromEntries(
    audio.codecs.flatMap(({ payloadType, fmtp }) => (fmtp === undefined ? [] : [[payloadType, fmtp]])),
  );
  media.packetTimes = packetTimes(audio);
  if (audio.voipMetrics === true) media.voipMetrics = true;
  else delete media.voipMetrics;
}

export function localAudio(
  media: LegMedia,
  direction: Direction,
  codecs: readonly Codec[],
  times: PacketTimes,
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
    ...packetTimes(times),
    voipMetrics: true,
  };
}

/** RFC 3264 §8: the version counts up by one when anything changed, else the description is the same to the letter. */
export function revised(media: LegMedia, build: (version: string) => string): string {
  const same = build(String(media.sdpVersion));
  if (media.local === undefined || media.local === same) {
    media.local = same;
    return same;
  }
  media.sdpVersion++;
  media.local = build(String(media.sdpVersion));
  return media.local;
}
