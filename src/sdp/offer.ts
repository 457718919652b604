import type { AudioDescription } from './audio.ts';
import type { Codec } from './codecs.ts';
import type { CryptoLine } from './crypto.ts';
import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';
import type { Direction } from './direction.ts';

/** What an offer and an answer of ours have in common: one audio line. */
export interface LocalAudio {
  /** Digits, the same for the whole of a dialog. */
  readonly sessionId: string;
  /** Digits, one more with each changed description (RFC 3264 §5); `reviseVersion` counts. */
  readonly version: string;
  readonly address: string;
  readonly family: 4 | 6;
  readonly port: number;
  readonly rtcpPort: number;
  readonly rtcpMux: boolean;
  readonly direction: Direction;
  readonly codecs: readonly Codec[];
  readonly ptimeMs?: number;
}

export interface OfferParameters extends LocalAudio {
  /** Empty: plain RTP. */
  readonly crypto: readonly CryptoLine[];
  /** Keys under RTP/AVP: a phone without SRTP may answer plain (PH-SEC-05). Else RTP/SAVP. */
  readonly optionalSrtp: boolean;
  /** With feedback (RFC 4585, 5124); for peers that offered it. */
  readonly feedback?: boolean;
  /** The description sent last in this dialog: its other m= lines stay in their places, refused (RFC 3264 §8). */
  readonly previous?: SessionDescription;
}

export interface AnswerParameters extends LocalAudio {
  /** The offer's audio line that is taken; all others are refused. */
  readonly audio: AudioDescription;
  /** Our key under the tag taken; absent for plain RTP. */
  readonly crypto?: CryptoLine;
}

export function buildOffer(parameters: OfferParameters): SessionDescription {
  const { crypto, optionalSrtp, feedback = false, previous } = parameters;
  const secure = crypto.length > 0 && !optionalSrtp;
  const audio = audioLine(parameters, `RTP/${secure ? 'S' : ''}AVP${feedback ? 'F' : ''}`, crypto);
  return session(parameters, previous ? inPlaceOf(previous, audio) : [audio]);
}

/** Answers line by line in the offer's order, refusing by port 0 all but the audio taken (RFC 3264 §6). */
export function buildAnswer(offer: SessionDescription, parameters: AnswerParameters): SessionDescription {
  const { audio, crypto } = parameters;
  const media = offer.media.map((offered, at) =>
    at === audio.index
      ? audioLine(parameters, offered.protocol, crypto ? [crypto] : [], offered)
      : refuse(offered),
  );
  return session(parameters, media);
}

/**
 * `next` with the version that it must have after `previous` (RFC 3264 §5, §8): the same when nothing else differs, one
 * more otherwise.
 */
export function reviseVersion(previous: SessionDescription, next: SessionDescription): SessionDescription {
  const { version } = previous.origin;
  const same = { ...next, origin: { ...next.origin, sessionId: previous.origin.sessionId, version } };
  if (JSON.stringify(same) === JSON.stringify(previous)) return same;
  return { ...same, origin: { ...same.origin, version: String(BigInt(version) + 1n) } };
}

function session(local: LocalAudio, media: readonly MediaDescription[]): SessionDescription {
  const { sessionId, version, address, family } = local;
  return {
    origin: { username: '-', sessionId, version, family, address },
    sessionName: '-',
    connection: { family, address },
    fields: [{ type: 't', value: '0 0' }],
    attributes: [],
    media,
  };
}

function audioLine(
  local: LocalAudio,
  protocol: string,
  crypto: readonly CryptoLine[],
  offered?: MediaDescription,
): MediaDescription {
  const attributes: SdpAttribute[] = [];
  for (const { payloadType, name, clockRateHz, channels, fmtp } of local.codecs) {
    const kind = `${displayName(name)}/${clockRateHz}${channels > 1 ? `/${channels}` : ''}`;
    attributes.push({ name: 'rtpmap', value: `${payloadType} ${kind}` });
    if (fmtp !== undefined) attributes.push({ name: 'fmtp', value: `${payloadType} ${fmtp}` });
  }
  for (const { tag, suite, keySalt } of crypto) {
    attributes.push({ name: 'crypto', value: `${tag} ${suite} inline:${keySalt}` });
  }
  if (local.ptimeMs !== undefined) attributes.push({ name: 'ptime', value: String(local.ptimeMs) });
  // An answer may agree to one port only when the offer asked for it (RFC 5761 §5.1.1).
  const mux = local.rtcpMux && (offered === undefined || attributeOf(offered, 'rtcp-mux') !== undefined);
  if (mux) attributes.push({ name: 'rtcp-mux' });
  if (local.rtcpPort !== local.port + 1 && !(mux && offered)) {
    attributes.push({ name: 'rtcp', value: String(local.rtcpPort) });
  }
  attributes.push({ name: local.direction });
  // RFC 5888 §9.2: an answer names the line as the offer did.
  const mid = offered && attributeOf(offered, 'mid');
  if (mid) attributes.push(mid);
  return {
    kind: 'audio',
    port: local.port,
    protocol,
    formats: local.codecs.map((codec) => String(codec.payloadType)),
    fields: [],
    attributes,
  };
}

/** Names are case-insensitive (RFC 8866 §6.6), yet old phones compare them with the spelling of RFC 3551. */
function displayName(name: string): string {
  return name === 'opus' || name === 'telephone-event' || name === 'speex' ? name : name.toUpperCase();
}

const refuse = ({ kind, protocol, formats }: MediaDescription): MediaDescription => ({
  kind,
  port: 0,
  protocol,
  formats: formats.length > 0 ? formats : ['0'],
  fields: [],
  attributes: [],
});

function inPlaceOf(previous: SessionDescription, audio: MediaDescription): MediaDescription[] {
  const used = previous.media.findIndex((media) => media.kind === 'audio' && media.port !== 0);
  const at = used >= 0 ? used : previous.media.findIndex((media) => media.kind === 'audio');
  if (at < 0) return [...previous.media.map(refuse), audio];
  return previous.media.map((media, index) => (index === at ? audio : refuse(media)));
}
