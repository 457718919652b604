import { isIPv6 } from 'node:net';
import { isUsableKey } from '../../rtp/index.ts';
import type { SrtpKey, StreamCodec, StreamPlace, StreamSpec } from '../protocol.ts';

/*
 * What rtpengine is told and tells in SDP. Only what it reads is written: it sees no phone's own description, so nothing of a phone can
 * be in it that it would stumble over.
 */

/** Where nobody listens (RFC 863), until somebody does. */
const DISCARD_PORT = 9;
const nowhere = (family: 4 | 6): StreamPlace => ({
  address: family === 6 ? '::1' : '127.0.0.1',
  port: DISCARD_PORT,
});
/** Before codecs are known. */
const ANY_CODEC: readonly StreamCodec[] = [{ payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 }];

/** What stands for the other end of a stream's hop to another stream: `place` is where that one receives. */
export function innerDescription(
  codecs: readonly StreamCodec[],
  family: 4 | 6,
  place: StreamPlace | undefined,
): string {
  return describe({ codecs, place: place ?? nowhere(family), direction: 'sendrecv' });
}

/** The stream's peer as it was negotiated; `tag`: of rtpengine's line for the suite. */
export function peerDescription(spec: StreamSpec, tag: number | undefined): string {
  const { remote, codecs, direction, receiveKey, rtcpMux, family } = spec;
  const known = codecs.length > 0;
  return describe({
    codecs,
    place: remote === undefined ? nowhere(family) : remote,
    ...(remote !== undefined &&
      remote.rtcpPort !== remote.port + 1 &&
      !rtcpMux && { rtcpPort: remote.rtcpPort }),
    rtcpMux,
    // The peer sends where we receive.
    direction: known
      ? directionOf(
          direction === 'sendrecv' || direction === 'recvonly',
          direction === 'sendrecv' || direction === 'sendonly',
        )
      : 'inactive',
    ...(tag !== undefined && receiveKey !== undefined && { crypto: { tag, ...receiveKey } }),
  });
}

const directionOf = (sends: boolean, receives: boolean): string =>
  sends ? (receives ? 'sendrecv' : 'sendonly') : receives ? 'recvonly' : 'inactive';

function describe(said: {
  readonly codecs: readonly StreamCodec[];
  readonly place: StreamPlace;
  readonly rtcpPort?: number;
  readonly rtcpMux?: boolean;
  readonly direction: string;
  readonly crypto?: SrtpKey & { readonly tag: number };
}): string {
  const { place, crypto, rtcpPort } = said;
  const codecs = said.codecs.length > 0 ? said.codecs : ANY_CODEC;
  const address = `IN IP${isIPv6(place.address) ? 6 : 4} ${place.address}`;
  const lines = [
    'v=0',
    `o=- 1 1 ${address}`,
    's=-',
    `c=${address}`,
    't=0 0',
    `m=audio ${place.port} RTP/${crypto === undefined ? 'AVP' : 'SAVP'} ${codecs.map(({ payloadType }) => payloadType).join(' ')}`,
    ...codecs.flatMap(({ payloadType, name, clockRateHz, channels, fmtp }) => [
      `a=rtpmap:${payloadType} ${name}/${clockRateHz}${channels > 1 ? `/${channels}` : ''}`,
      ...(fmtp === undefined ? [] : [`a=fmtp:${payloadType} ${fmtp}`]),
    ]),
    ...(rtcpPort === undefined ? [] : [`a=rtcp:${rtcpPort}`]),
    ...(said.rtcpMux ? ['a=rtcp-mux'] : []),
    ...(crypto === undefined ? [] : [`a=crypto:${crypto.tag} ${crypto.suite} inline:${crypto.keySalt}`]),
    `a=${said.direction}`,
  ];
  // A name or a parameter cannot begin a line of its own.
  return `${lines.map((line) => line.replace(/[\r\n\0]/g, ' ')).join('\r\n')}\r\n`;
}

/** Where rtpengine receives, and under which keys it would send there. */
export interface Described {
  readonly place: StreamPlace;
  readonly rtcpPort: number;
  readonly cryptos: readonly (SrtpKey & { readonly tag: number })[];
}

/** Reads a description of rtpengine's. Undefined when there is no audio in it that can be used. */
export function readDescription(sdp: unknown): Described | undefined {
  if (typeof sdp !== 'string') return undefined;
  const address = /^c=IN IP[46] ([0-9a-fA-F.:]{2,45})\r?$/m.exec(sdp)?.[1];
  const port = portIn(/^m=audio (\d{1,5}) /m.exec(sdp)?.[1]);
  if (address === undefined || port === undefined) return undefined;
  const cryptos = [...sdp.matchAll(/^a=crypto:(\d{1,9}) (\S+) inline:([A-Za-z0-9+/=]+)/gm)].flatMap(
    ([, tag, suite, key]) => {
      const one = { tag: Number(tag), suite: suite as SrtpKey['suite'], keySalt: padded(key!) };
      return isUsableKey(one) ? [one] : [];
    },
  );
  return {
    place: { address, port },
    rtcpPort: portIn(/^a=rtcp:(\d{1,5})/m.exec(sdp)?.[1]) ?? port + 1,
    cryptos,
  };
}

function portIn(text: string | undefined): number | undefined {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
}

const padded = (key: string): string => {
  const bare = key.replace(/=+$/, '');
  return bare + '='.repeat((4 - (bare.length % 4)) % 4);
};
