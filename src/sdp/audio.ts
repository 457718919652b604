import { failed, ok, type Result } from '../base/index.ts';
import { isBundleOnly, midOf, taggedLineOf } from './bundle.ts';
import { type Codec, codecsOf } from './codecs.ts';
import { type CryptoLine, chooseCrypto, cryptosOf, type OfferedCrypto, type SrtpSuite } from './crypto.ts';
import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';
import { DIRECTIONS, type Direction, directionOf, mayReceive, maySend } from './direction.ts';
import { type DtlsDescription, dtlsOf } from './dtls.ts';
import { type IceDescription, iceOf } from './ice.ts';
import { sframeOf } from './sframe.ts';

/** Transport of RTP (RFC 3551, 3711, 4585, 5124, 5764). The last two take their keys from DTLS, the others from SDES. */
export type RtpProfile =
  | 'RTP/AVP'
  | 'RTP/AVPF'
  | 'RTP/SAVP'
  | 'RTP/SAVPF'
  | 'UDP/TLS/RTP/SAVP'
  | 'UDP/TLS/RTP/SAVPF';

const PROFILES: readonly string[] = [
  'RTP/AVP',
  'RTP/AVPF',
  'RTP/SAVP',
  'RTP/SAVPF',
  'UDP/TLS/RTP/SAVP',
  'UDP/TLS/RTP/SAVPF',
];

/** An audio m= line, with what the session level adds. */
export interface AudioDescription {
  /** Which of the description's m= lines, from 0. */
  readonly index: number;
  readonly profile: RtpProfile;
  /** 0: refused. */
  readonly port: number;
  /** `a=mid` (RFC 5888). */
  readonly mid?: string;
  /** RFC 8839. With it `address` and `port` say little: where the peer is follows from its checks. */
  readonly ice?: IceDescription;
  /** RFC 5763. */
  readonly dtls?: DtlsDescription;
  /** From the medium's or the session's `c=`; never resolved. Undefined where there is none. */
  readonly address: string | undefined;
  readonly family: 4 | 6;
  /** `a=rtcp` (RFC 3605), the same port with rtcp-mux, else the next one. */
  readonly rtcpPort: number;
  /** RFC 5761. */
  readonly rtcpMux: boolean;
  /** Of the description's author. The old hold, `c=0.0.0.0` (RFC 3264 §8.4), reads as not receiving. */
  readonly direction: Direction;
  readonly codecs: readonly Codec[];
  readonly crypto: readonly OfferedCrypto[];
  readonly ptimeMs?: number;
  readonly maxptimeMs?: number;
  /** Whether it asks for VoIP metrics (`a=rtcp-xr`, RFC 3611 §5.1); absent: it does not speak of extended reports. */
  readonly voipMetrics?: boolean;
  /** Its author wants frames that are encrypted end to end: `a=sframe` and what belongs to it. */
  readonly sframe?: readonly SdpAttribute[];
}

/** The audio to talk about: the first audio line in use over RTP, else the first refused one, else undefined. */
export function audioOf(sd: SessionDescription): AudioDescription | undefined {
  const all = audiosOf(sd);
  return all.find((audio) => audio.port !== 0) ?? all[0];
}

/** Every audio line over RTP. Phones with optional encryption may offer a secure and a plain one. */
export function audiosOf(sd: SessionDescription): AudioDescription[] {
  const found: AudioDescription[] = [];
  for (const [index, media] of sd.media.entries()) {
    const profile = media.protocol.toUpperCase();
    if (media.kind === 'audio' && PROFILES.includes(profile)) {
      found.push(describeAudio(sd, media, index, profile as RtpProfile));
    }
  }
  return found;
}

function describeAudio(
  sd: SessionDescription,
  media: MediaDescription,
  index: number,
  profile: RtpProfile,
): AudioDescription {
  const connection = media.connection ?? sd.connection;
  const rtcpMux = attributeOf(media, 'rtcp-mux') !== undefined;
  const tagged = taggedLineOf(sd, media);
  const mid = midOf(media);
  const ice = iceOf(sd, media, tagged);
  const dtls = dtlsOf(sd, media, tagged);
  // The discard port (RFC 8839 §4.2.5.3): in the bundle, and nowhere by itself.
  const port = isBundleOnly(sd, media) ? 9 : media.port;
  const ptimeMs = millisecondsOf(attributeOf(media, 'ptime')?.value);
  const maxptimeMs = millisecondsOf(attributeOf(media, 'maxptime')?.value);
  const voipMetrics = asksForVoipMetrics(media) ?? asksForVoipMetrics(sd);
  const sframe = sframeOf(media);
  return {
    index,
    profile,
    port,
    ...(mid !== undefined && { mid }),
    ...(ice !== undefined && { ice }),
    ...(dtls !== undefined && { dtls }),
    address: connection?.address,
    family: connection?.family ?? sd.origin.family,
    rtcpPort: rtcpMux ? port : (rtcpPortOf(media) ?? Math.min(port + 1, 65_535)),
    rtcpMux,
    direction: effectiveDirection(sd, media, ice === undefined ? connection?.address : undefined),
    codecs: codecsOf(media),
    crypto: cryptosOf(media),
    ...(ptimeMs !== undefined && { ptimeMs }),
    ...(maxptimeMs !== undefined && { maxptimeMs }),
    ...(voipMetrics !== undefined && { voipMetrics }),
    ...(sframe !== undefined && { sframe }),
  };
}

function effectiveDirection(
  sd: SessionDescription,
  media: MediaDescription,
  address: string | undefined,
): Direction {
  const said = directionAmong(media) ?? directionAmong(sd) ?? 'sendrecv';
  // Without ICE, which finds the address by checks (RFC 8839 §4.3.1), the peer listens nowhere.
  return isUnspecified(address) ? directionOf(maySend(said), false) : said;
}

function directionAmong(holder: Pick<MediaDescription, 'attributes'>): Direction | undefined {
  return DIRECTIONS.find((direction) => attributeOf(holder, direction) !== undefined);
}

/** `0.0.0.0` or `::`: an address to which nothing can be sent. */
export const isUnspecified = (address: string | undefined): boolean =>
  address !== undefined && /^(?:0{1,3}(?:\.0{1,3}){3}|[0:]{2,39})$/.test(address);

function rtcpPortOf(media: MediaDescription): number | undefined {
  const digits = /^(\d{1,5})(?:[ \t]|$)/.exec(attributeOf(media, 'rtcp')?.value ?? '')?.[1];
  const port = Number(digits ?? 0);
  return port > 0 && port <= 65_535 ? port : undefined;
}

/** RFC 3611 §5.1: a list of blocks that its author wants, which may be empty. */
function asksForVoipMetrics(holder: Pick<MediaDescription, 'attributes'>): boolean | undefined {
  const lines = holder.attributes.filter(({ name }) => name === 'rtcp-xr');
  if (lines.length === 0) return undefined;
  return lines.some(({ value = '' }) => /(?:^|\s)voip-metrics(?:\s|$)/i.test(value));
}

function millisecondsOf(value: string | undefined): number | undefined {
  // Some phones write ptime as a decimal fraction (`30.0`).
  const ms = Math.round(Number(/^\d{1,4}(?:\.\d{1,3})?/.exec(value ?? '')?.[0] ?? Number.NaN));
  return ms > 0 ? ms : undefined;
}

/** SRTP with keys in the SDP is demanded: plain RTP is no answer. */
export const isSecureProfile = (profile: RtpProfile): boolean => profile.includes('SAVP');
export const isDtlsProfile = (profile: RtpProfile): boolean => profile.startsWith('UDP/TLS/');

/** How a medium will be protected: by the line taken from the offer, by keys that a handshake makes, or not at all. */
export type Protection =
  | { readonly kind: 'srtp'; readonly taken: CryptoLine }
  | { readonly kind: 'dtls'; readonly offered: DtlsDescription }
  | { readonly kind: 'plain' };

/**
 * Decides on the protection of an offered audio (PH-SEC-03, PH-SEC-04, PH-SEC-05, TR-MEDIA-06). An offer under RTP/AVP with keys asks
 * for SRTP if possible, and one under RTP/SAVP with a fingerprint and no keys for DTLS (browsers and phones of before RFC 5764). Lines
 * that we cannot use (short tags among them) count as none. Failures are answered 488: `encryption_required` when the site forbids
 * plain RTP, `no_common_suite` when the offer does, `dtls` when DTLS-SRTP lacks a fingerprint that can be checked.
 */
export function chooseProtection(
  audio: AudioDescription,
  order: readonly SrtpSuite[],
  encryptionRequired: boolean,
): Result<Protection, 'encryption_required' | 'no_common_suite' | 'dtls'> {
  if (isDtlsProfile(audio.profile)) {
    return audio.dtls ? ok({ kind: 'dtls', offered: audio.dtls }) : failed('dtls');
  }
  const taken = chooseCrypto(audio.crypto, order);
  if (taken) return ok({ kind: 'srtp', taken });
  if (isSecureProfile(audio.profile) && audio.dtls) return ok({ kind: 'dtls', offered: audio.dtls });
  if (isSecureProfile(audio.profile)) return failed('no_common_suite');
  return encryptionRequired ? failed('encryption_required') : ok({ kind: 'plain' });
}

/** Whether the author of this audio wants to hear anything: false while it holds us or has refused the line. */
export const listens = (audio: AudioDescription): boolean => audio.port !== 0 && mayReceive(audio.direction);
