import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface BrowserSdpOptions {
  readonly generation?: string;
  /** Of its certificate, all octets alike. */
  readonly certificate?: string;
  readonly setup?: 'actpass' | 'active' | 'passive';
  readonly direction?: string;
  readonly version?: number;
  readonly codecs?: readonly string[];
  readonly video?: boolean;
  readonly tlsId?: string;
}

export const fingerprint = (octet: string): string => Array(32).fill(octet).join(':');

/** A description as a browser says it, with mDNS candidates. */
export function browserSdp(options: BrowserSdpOptions = {}): string {
  const { generation = 'one1', certificate = 'AB', setup = 'actpass', codecs = DEFAULT_CODECS } = options;
  const transport = [
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    'a=candidate:830243114 1 udp 2113937151 ca81b016-4bae-458e-b9e6-51871b9d1f22.local 47067 typ host generation 0',
    `a=ice-ufrag:${generation}`,
    `a=ice-pwd:${generation.padEnd(24, 'x')}`,
    'a=ice-options:trickle',
    `a=fingerprint:sha-256 ${fingerprint(certificate)}`,
    `a=setup:${setup}`,
    ...(options.tlsId === undefined ? [] : [`a=tls-id:${options.tlsId}`]),
  ];
  const lines = [
    'v=0',
    `o=- 4611686018427387904 ${options.version ?? 2} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE 0${options.video ? ' 1' : ''}`,
    'a=msid-semantic: WMS *',
    `m=audio 9 UDP/TLS/RTP/SAVPF ${codecs.map((codec) => codec.split(' ')[0]).join(' ')}`,
    ...transport,
    'a=mid:0',
    'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
    `a=${options.direction ?? 'sendrecv'}`,
    'a=msid:- 4a66037d-05e9-48ee-a45d-590cdc986981',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    ...codecs.map((codec) => `a=rtpmap:${codec}`),
    'a=ssrc:2997757712 cname:3lbvNOiyIlSlSR+z',
    ...(options.video
      ? ['m=video 9 UDP/TLS/RTP/SAVPF 96', ...transport, 'a=mid:1', 'a=rtpmap:96 VP8/90000', 'a=rtcp-mux']
      : []),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

const DEFAULT_CODECS = [
  '111 opus/48000/2',
  '63 red/48000/2',
  '9 G722/8000',
  '0 PCMU/8000',
  '8 PCMA/8000',
  '110 telephone-event/48000',
  '126 telephone-event/8000',
];

const DIRECTORY = path.join(import.meta.dirname, 'browser-offers');

/** Offers that browsers and WebRTC libraries made, by the names of their files. */
export const realOffers: readonly (readonly [name: string, sdp: string])[] = readdirSync(DIRECTORY).map(
  (file) => [file.replace(/\.sdp$/, ''), readFileSync(path.join(DIRECTORY, file), 'utf8')],
);
