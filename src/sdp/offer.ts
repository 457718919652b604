import type { AudioDescription, RtpProfile } from './audio.ts';
import { answerGroups, bundleAttribute, midOf } from './bundle.ts';
import type { Codec } from './codecs.ts';
import type { CryptoLine } from './crypto.ts';
import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';
import type { Direction } from './direction.ts';
import { dtlsAttributes, type Fingerprint, type Setup } from './dtls.ts';
import { iceAttributes } from './ice.ts';

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
  readonly maxptimeMs?: number;
  /** We ask for VoIP metrics (RFC 3611 §5), in an answer if the offer speaks of extended reports. */
  readonly voipMetrics?: boolean;
  /** A fax by T.38 in place of audio: what the other end said of it. `codecs` is empty then. */
  readonly fax?: readonly SdpAttribute[];
  /** What the other end said of its encryption from end to end. */
  readonly sframe?: readonly SdpAttribute[];
  /** Our half of ICE, as a lite agent with this address alone. */
  readonly ice?: { readonly ufrag: string; readonly password: string };
  /** Keys come from DTLS: `crypto` is empty then. */
  readonly dtls?: { readonly fingerprint: Fingerprint; readonly setup: Setup; readonly tlsId?: string };
}

export interface OfferParameters extends LocalAudio {
  /** Empty: plain RTP. */
  readonly crypto: readonly CryptoLine[];
  /** Keys under RTP/AVP: a phone without SRTP may answer plain (PH-SEC-05). Else RTP/SAVP. */
  readonly optionalSrtp: boolean;
  /** What was agreed on before, or what the peer is known to want; absent: as keys and `optionalSrtp` say. */
  readonly profile?: RtpProfile;
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
  const { crypto, optionalSrtp, previous, ice, dtls } = parameters;
  const keyed = crypto.length > 0 && !optionalSrtp ? 'RTP/SAVP' : 'RTP/AVP';
  const profile = parameters.profile ?? (dtls ? 'UDP/TLS/RTP/SAVPF' : keyed);
  const before = previous && ownLineOf(previous);
  const mid = before === undefined ? undefined : midOf(before);
  const audio = audioLine(parameters, profile, crypto);
  // A browser knows lines by their names (RFC 9429 §5.2.1), also the only one.
  const name = mid ?? (ice ? '0' : undefined);
  const named =
    name === undefined
      ? audio
      : { ...audio, attributes: [...audio.attributes, { name: 'mid', value: name }] };
  return session(
    parameters,
    previous ? inPlaceOf(previous, named) : [named],
    ice && name !== undefined ? [bundleAttribute([name])] : [],
  );
}

/** Answers line by line in the offer's order, refusing by port 0 all but the audio taken (RFC 3264 §6). */
export function buildAnswer(offer: SessionDescription, parameters: AnswerParameters): SessionDescription {
  const { audio, crypto } = parameters;
  const media = offer.media.map((offered, at) =>
    at === audio.index
      ? audioLine(
          { ...parameters, voipMetrics: parameters.voipMetrics === true && audio.voipMetrics !== undefined },
          offered.protocol,
          crypto ? [crypto] : [],
          offered,
        )
      : refuse(offered),
  );
  return session(parameters, media, audio.mid === undefined ? [] : answerGroups(offer, [audio.mid]));
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

function session(
  local: LocalAudio,
  media: readonly MediaDescription[],
  groups: readonly SdpAttribute[],
): SessionDescription {
  const { sessionId, version, address, family } = local;
  return {
    origin: { username: '-', sessionId, version, family, address },
    sessionName: '-',
    connection: { family, address },
    fields: [{ type: 't', value: '0 0' }],
    attributes: [...(local.ice ? [{ name: 'ice-lite' }] : []), ...groups],
    media,
  };
}

function audioLine(
  local: LocalAudio,
  protocol: string,
  crypto: readonly CryptoLine[],
  offered?: MediaDescription,
): MediaDescription {
  if (local.fax) return faxLine(local.port, offered?.protocol ?? 'udptl', local.fax);
  const attributes: SdpAttribute[] = [];
  if (local.ice) attributes.push(...iceAttributes(local.ice, local));
  if (local.dtls)
    attributes.push(...dtlsAttributes(local.dtls.fingerprint, local.dtls.setup, local.dtls.tlsId));
  for (const { payloadType, name, clockRateHz, channels, fmtp } of local.codecs) {
    const kind = `${displayName(name)}/${clockRateHz}${channels > 1 ? `/${channels}` : ''}`;
    attributes.push({ name: 'rtpmap', value: `${payloadType} ${kind}` });
    if (fmtp !== undefined) attributes.push({ name: 'fmtp', value: `${payloadType} ${fmtp}` });
  }
  for (const { tag, suite, keySalt } of crypto) {
    attributes.push({ name: 'crypto', value: `${tag} ${suite} inline:${keySalt}` });
  }
  if (local.ptimeMs !== undefined) attributes.push({ name: 'ptime', value: String(local.ptimeMs) });
  if (local.maxptimeMs !== undefined) attributes.push({ name: 'maxptime', value: String(local.maxptimeMs) });
  if (local.voipMetrics === true) attributes.push({ name: 'rtcp-xr', value: 'voip-metrics' });
  // An answer may agree to one port only when the offer asked for it (RFC 5761 §5.1.1).
  const mux = local.rtcpMux && (offered === undefined || attributeOf(offered, 'rtcp-mux') !== undefined);
  if (mux) attributes.push({ name: 'rtcp-mux' });
  // Our one candidate is for both (RFC 8858 §3).
  if (mux && local.ice && !offered) attributes.push({ name: 'rtcp-mux-only' });
  else if (local.rtcpPort !== local.port + 1 && !(mux && offered)) {
    attributes.push({ name: 'rtcp', value: String(local.rtcpPort) });
  }
  attributes.push({ name: local.direction });
  if (local.sframe) attributes.push(...local.sframe);
  // Applications look for the peer's stream, which a browser makes of this (RFC 8830 §2).
  if (local.ice) attributes.push({ name: 'msid', value: 'twinline audio' });
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

const faxLine = (port: number, protocol: string, attributes: readonly SdpAttribute[]): MediaDescription => ({
  kind: 'image',
  port,
  protocol,
  formats: ['t38'],
  fields: [],
  attributes,
});

/** Names are case-insensitive (RFC 8866 §6.6), yet old phones compare them with the spelling of RFC 3551. */
function displayName(name: string): string {
  return name === 'opus' || name === 'telephone-event' || name === 'speex' ? name : name.toUpperCase();
}

/** Its name stays (RFC 5888 §9.2): browsers match lines by it. */
function refuse(refused: MediaDescription): MediaDescription {
  const { kind, protocol, formats } = refused;
  const mid = midOf(refused);
  return {
    kind,
    port: 0,
    protocol,
    formats: formats.length > 0 ? formats : ['0'],
    fields: [],
    attributes: mid === undefined ? [] : [{ name: 'mid', value: mid }],
  };
}

function inPlaceOf(previous: SessionDescription, audio: MediaDescription): MediaDescription[] {
  const before = ownLineOf(previous);
  if (before === undefined) return [...previous.media.map(refuse), audio];
  return previous.media.map((media) => (media === before ? audio : refuse(media)));
}

/** Ours: audio, or the fax that took its place (RFC 3264 §8.3.3). */
function ownLineOf({ media }: SessionDescription): MediaDescription | undefined {
  const lines = media.filter(({ kind, port }) => kind === 'audio' || (kind === 'image' && port !== 0));
  return lines.find(({ port }) => port !== 0) ?? lines[0];
}
