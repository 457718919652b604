import type { Codec, Direction, SrtpSuite } from '../../src/sdp/index.ts';
import type { Impairment } from './impairer.ts';
import type { EarStats } from './phone-media-ear.ts';

export interface PhoneMediaOptions {
  readonly address: string;
  /** SRTP suites that the phone can do, in the order that it offers them; empty: plain RTP alone. */
  readonly srtp?: readonly SrtpSuite[];
  /** Offers its keys under RTP/AVP, to be left aside by who has no SRTP. */
  readonly optionalSrtp?: boolean;
  readonly rtcpMux?: boolean;
  readonly codecs?: readonly Codec[];
  /** 65,500: the sequence number wraps after 0.7 s. */
  readonly startSequence?: number;
  readonly ssrc?: number;
  /** What the phone says; phones that are told apart by ear need different ones. Default: by its number, 400 to 1,500 Hz. */
  readonly toneHz?: number;
  /** Sends as soon as an offer is answered. Default true. */
  readonly autoStart?: boolean;
  readonly rtcpEveryMs?: number;
  /** A bad network on the phone's line. */
  readonly network?: { readonly seed: number; readonly up?: Impairment; readonly down?: Impairment };
}

export interface PhoneMediaStats extends EarStats {
  readonly port: number;
  readonly rtcpPort: number;
  readonly remote: { readonly address: string; readonly port: number; readonly rtcpPort: number } | undefined;
  readonly closed: boolean;
  /** As agreed, of this phone. */
  readonly direction: Direction | undefined;
  readonly protection: SrtpSuite | 'plain' | undefined;
  readonly codec: string | undefined;
  /** The number in this phone's marks. */
  readonly sender: number;
  /** Packets by the number of the phone that said them. */
  readonly heardFrom: Readonly<Record<number, number>>;
  readonly toneHz: number | undefined;
  /** Root mean square of what was heard last, in steps of a 16-bit sample. */
  readonly level: number;
  readonly digits: string;
  readonly ssrcs: readonly number[];
  readonly packetsSent: number;
  readonly rtcpSent: number;
  /** Since `resetGap`. */
  readonly longestGapMs: number;
  /** The longest time between two packets that this phone itself sent: 20 when the test's own process kept pace. */
  readonly longestSendGapMs: number;
  readonly delayMs: { readonly median: number; readonly worst: number } | undefined;
  /** Datagrams from another address than the SDP said. */
  readonly fromElsewhere: number;
  /** Came before anything was agreed on. */
  readonly early: number;
  readonly unprotectable: number;
}

export const PCMU: Codec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
export const PCMA: Codec = { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 };
export const KEYPAD: Codec = {
  payloadType: 101,
  name: 'telephone-event',
  clockRateHz: 8000,
  channels: 1,
  fmtp: '0-16',
};
