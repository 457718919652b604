import type { BundleId, CallId, MediaId, StreamId } from '../base/index.ts';
import type { MediaCapability } from './capabilities.ts';

/**
 * The control protocol of a media process. It knows streams, not calls. The protocol is declarative: `put` says what a stream
 * shall be, whole, so that saying it again (an adopter, a retry) is harmless.
 */
export interface SwitchToMedia {
  /**
   * Opens the stream or changes it to this. The reply comes after the twin (if any) could take the stream over. `opened`: where it
   * was opened before. A process that does not know it then opens it again just there (both of a pair had died), or says
   * `unknown_stream`: its keys must not be used again, the peer needs an offer with new ones (a `put` without `opened`).
   */
  put: { stream: StreamSpec; opened?: StreamPlace; reply: StreamOpened };
  /** Ends streams; their figures come back once, for the call's record. Unknown ids give nothing. */
  close: { bundle: BundleId; epoch: number; streams: StreamId[]; reply: { reports: StreamReport[] } };
  /** A switch greets first; the epochs let media refuse what a stale owner says. */
  greet: { version: number; switch: string };
  /**
   * These bundles are held under these epochs: what is said under a lower one is refused from now on, here and at the twin. An adopter
   * says so before it reads the calls.
   */
  own: { bundles: readonly BundleEpoch[]; reply: Record<string, never> };
  /** Which of these streams are carried here, which could be taken over from the twin, and which nobody here knows. */
  find: { streams: readonly StreamId[]; reply: StreamsFound };
}

export interface BundleEpoch {
  readonly bundle: BundleId;
  readonly epoch: number;
}

export interface StreamsFound {
  readonly here: readonly StreamId[];
  readonly standby: readonly StreamId[];
  readonly unknown: readonly StreamId[];
}

/** What a supervisor (or control) says to a media process: over its control socket, or by the functions of `MediaProcess`. */
export interface SupervisorToMedia {
  /**
   * `on`: new streams are refused (`draining`) while there is a twin, and all that are here are handed over to it, now and whenever
   * that becomes possible. They stay there. Off: new streams are taken again.
   */
  drain: { on: boolean; reply: HandedOver };
  /** Hands these streams, or all, over to the twin without a death: no packet lost, no index used twice. Those connected with them go too. */
  'hand-over': { streams?: readonly StreamId[]; reply: HandedOver };
}

export interface HandedOver {
  readonly handed: number;
  /** Streams that are still here. */
  readonly remaining: number;
  /** Why some remain: `twin_away`, `twin_busy`, `handshaking` (their DTLS is under way; asked again later they go) … */
  readonly reason?: string;
}

export interface MediaToSwitch {
  event: MediaEvent;
  /** The process takes no new streams for now (`drain`), or takes them again. Said at the greeting too, if it drains then. */
  draining: { on: boolean };
  /** Said at the greeting. A process of an older release does not say it, and has all. */
  capabilities: { has: readonly MediaCapability[] };
}

export type SrtpSuite =
  | 'AEAD_AES_256_GCM'
  | 'AEAD_AES_128_GCM'
  | 'AES_256_CM_HMAC_SHA1_80'
  | 'AES_CM_128_HMAC_SHA1_80';

/** Master key and salt, concatenated, in padded base64 as in `a=crypto` (RFC 4568, RFC 7714). */
export interface SrtpKey {
  readonly suite: SrtpSuite;
  readonly keySalt: string;
}

export interface StreamCodec {
  readonly payloadType: number;
  /** Lower case: `pcmu`, `pcma`, `g722`, `opus`, `telephone-event` … */
  readonly name: string;
  readonly clockRateHz: number;
  readonly channels: number;
  /** The fmtp line as negotiated, if any. */
  readonly fmtp?: string;
  /** What the peer's own fmtp line asks of what it is sent; empty: nothing. Absent: as `fmtp` says. */
  readonly wants?: string;
}

export interface StreamSpec {
  readonly id: StreamId;
  readonly call: CallId;
  /** Who may command this stream: an owner of the bundle with at least this epoch. */
  readonly bundle: BundleId;
  readonly epoch: number;
  /** 4 or 6; the media process picks an address and an even port of its range (odd + 1 for RTCP). */
  readonly family: 4 | 6;
  /** Where the peer said it listens. Absent until its SDP is known. Sending starts here and follows PH-EDGE-08. */
  readonly remote?: { readonly address: string; readonly port: number; readonly rtcpPort: number };
  /** RTCP on the RTP port (RFC 5761). */
  readonly rtcpMux: boolean;
  /** What the peer may do, seen from us. `inactive` and `recvonly`: we send it nothing. */
  readonly direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** Key for what we send. Absent with `receiveKey`: plain RTP. Both present or both absent once media flows. */
  readonly sendKey?: SrtpKey;
  readonly receiveKey?: SrtpKey;
  /** The peer has sent under `receiveKey` before, to a stream that was lost: its rollover counter has to be found (RFC 3711 §3.3.1). */
  readonly receiveKeyKept?: boolean;
  /** As negotiated with this peer: what it may send us and wants to get. Empty until known. */
  readonly codecs: readonly StreamCodec[];
  /** How much audio a packet holds that is made here for this peer: 10, 20 (the default), 30, 40 or 60 ms (`a=ptime`, `a=maxptime`). */
  readonly packetMs?: number;
  /** The peer asked for VoIP metrics (`a=rtcp-xr`, RFC 3611 §5.1). */
  readonly voipMetrics?: boolean;
  /** The stream whose audio this one sends out. Payload types are mapped by codec. Absent: silence. */
  readonly source?: StreamId;
  /**
   * One end of an internal link, by which streams of two media processes hear each other: its `remote` is the other end's
   * `StreamOpened`, an address of ours that is never learned anew. AES-256-GCM always: the end that is put without keys makes
   * them and says them in `StreamOpened.keys`; the other is given them crosswise. A link tells of no keypad digits and no silence:
   * the phones' own streams do.
   */
  readonly link?: { readonly peer: StreamId };
  /**
   * ICE-lite (RFC 8445 §2.5) towards this peer: we answer its checks and follow its authenticated nomination; it learns no other way
   * where to send. The switch makes our half, so that it stands in the call and an adopter answers with it too.
   */
  readonly ice?: IceCredentials;
  /** Keys come from a DTLS handshake (RFC 5764) in place of `sendKey` and `receiveKey`. */
  readonly dtls?: DtlsTerms;
  /**
   * Other streams whose audio this peer hears, mixed, in place of `source`: listening, whispering and barging are matrices of these.
   * Paging is one stream that many hear.
   */
  readonly hears?: readonly Hearing[];
  /** A conference: every member hears the loudest of the others. */
  readonly room?: RoomMembership;
  /** Played to this peer, over what it hears else (which falls silent meanwhile unless `mixes`). */
  readonly plays?: Playback;
  /** Listened for in what this peer sends, where somebody wants to know; each costs decoding. */
  readonly detects?: { readonly dtmfInAudio?: boolean; readonly voice?: boolean };
  /** Copies of what is heard and said here go to these consumers (recording, transcription). */
  readonly taps?: readonly TapSpec[];
  /**
   * Encrypted end to end (PH-SEC-07): payload passes byte by byte, and whatever would decode it (`hears`, `room`, `plays`, `detects`,
   * `taps`, other codecs) is refused with `e2ee_active`.
   */
  readonly opaque?: boolean;
  /** Fax by T.38: datagrams of UDPTL pass between two such streams as they are (PH-TRUNK-27). No keys, no codecs. */
  readonly udptl?: boolean;
  /** The call was migrated: until now the stream belonged to that bundle, which we hold under that epoch. */
  readonly movedFrom?: BundleEpoch;
}

/** User fragment and password of both sides (RFC 8839 §5.4); the peer's are absent until its SDP is known. */
export interface IceCredentials {
  readonly localUfrag: string;
  readonly localPassword: string;
  readonly remoteUfrag?: string;
  readonly remotePassword?: string;
}

/** RFC 8842. `role` is ours: `active` sends the ClientHello. */
export interface DtlsTerms {
  readonly role: 'active' | 'passive';
  /** `a=fingerprint` of the peer; one of them must match its certificate. Absent until its SDP is known: no handshake before. */
  readonly fingerprints: readonly Fingerprint[];
  /**
   * Counts the stream's handshakes, default 0: another number asks for a new association though the peer's certificate is the same (after
   * `transport failed`). `StreamOpened.fingerprint` is another then, which is what makes browsers begin anew (RFC 8842 §4).
   */
  readonly association?: number;
}

/** RFC 8122 §5: `sha-256`, octets in upper-case hexadecimal with colons. */
export interface Fingerprint {
  readonly hash: string;
  readonly value: string;
}

export interface Hearing {
  readonly stream: StreamId;
  /** Default 0. */
  readonly gainDb?: number;
}

export interface RoomMembership {
  readonly id: string;
  /** What it says is heard. */
  readonly speaks: boolean;
  /** It hears the others. */
  readonly hears: boolean;
}

/** One thing after another without a gap. Data alone: where it is follows from when it began, and an adopter goes on from there. */
export interface Playback {
  /** Another id begins anew; the same one said again goes on where it is. */
  readonly id: string;
  readonly items: readonly PlayItem[];
  /** How often all of it is played; 0: until it is replaced. */
  readonly times: number;
  readonly gainDb?: number;
  readonly paused?: boolean;
  /** Where to begin, from the beginning of the first item. */
  readonly fromMs?: number;
  /** Over what the stream hears else, in place of it. */
  readonly mixes?: boolean;
}

export type PlayItem =
  /** A file that the media process may read (WAV, MP3, Ogg Opus), named below its folder of assets. */
  | { readonly asset: string }
  /** A tone of a country's plan (ITU-T E.180), for so long, or for ever if it is the last item. */
  | { readonly tone: ToneName; readonly country?: string; readonly forMs?: number }
  | { readonly digits: string; readonly digitMs?: number; readonly pauseMs?: number }
  | { readonly speech: string; readonly language?: string; readonly voice?: string }
  | { readonly silenceMs: number };

export type ToneName = 'dial' | 'ringback' | 'busy' | 'reorder' | 'call-waiting' | 'beep';

export interface TapSpec {
  readonly id: string;
  /** `received`: what the peer says; `sent`: what it hears. Both: two channels, aligned by sample. */
  readonly directions: readonly ('received' | 'sent')[];
}

/** Where a stream's peer may send to. */
export interface StreamPlace {
  readonly address: string;
  readonly port: number;
}

export interface StreamOpened {
  readonly stream: StreamId;
  readonly media: MediaId;
  readonly address: string;
  readonly port: number;
  readonly rtcpPort: number;
  /** Of our DTLS certificate, which both of a pair have (`a=fingerprint`, SHA-256), where the process has one. */
  readonly fingerprint?: { readonly hash: 'sha-256'; readonly value: string };
  /** Names of the codecs that this process transcodes between; absent: none. */
  readonly transcodes?: readonly string[];
  /** Without `given-keys`: what it sends under, by suite, in the order in which they are offered. Another offer may bring others. */
  readonly sendKeys?: readonly SrtpKey[];
  /** Of a link's end: what it sends and receives under. */
  readonly keys?: { readonly sendKey: SrtpKey; readonly receiveKey: SrtpKey };
}

export interface StreamReport {
  readonly stream: StreamId;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly octetsReceived: number;
  readonly octetsSent: number;
  /** By sequence numbers (RFC 3550 A.3). */
  readonly packetsLost: number;
  /** Interarrival jitter, RFC 3550 §6.4.1, worst over the stream. */
  readonly jitterMs: number;
  /** What came, by our own receiver. Absent: no audio did, or a media process of an older release reports. */
  readonly received?: ReceivedFigures;
  /** What the peer's RTCP says of what it was sent (SR, RR, XR), and how that sounded. */
  readonly heard?: HeardFigures;
  /** From us to the peer and back (RFC 3550 §6.4.1). Absent: the peer quoted no sender report. */
  readonly roundTripMs?: { readonly average: number; readonly worst: number };
  /** Of what was decoded here: absent where all was passed on. */
  readonly playOut?: PlayOutFigures;
  /** Failed authentication, replayed, from strangers, undecodable payload type. */
  readonly packetsRefused: {
    auth: number;
    replay: number;
    stranger: number;
    malformed: number;
    unmapped: number;
  };
  readonly takenOver: number;
}

/** Shares from 0 to 1; `worst` of the intervals of five seconds. */
export interface LossShares {
  readonly average: number;
  readonly worst: number;
}

export interface JitterFigures {
  readonly average: number;
  readonly worst: number;
}

export interface ReceivedFigures {
  /** While the peer spoke, IP, UDP and RTP headers counted in (PH-QOS-05). */
  readonly bitsPerSecond: number;
  readonly lost: LossShares;
  /** Interarrival jitter (RFC 3550 A.8), per packet. */
  readonly jitterMs: JitterFigures;
  /** The longest time between two packets, pauses of the peer too. */
  readonly longestGapMs: number;
  /** 1 to 5, by the E-model: the leg alone (PH-QOS-01). */
  readonly mos: number;
}

export interface HeardFigures {
  /** How many report blocks came; 0: `mos` goes by what reached us. */
  readonly reports: number;
  readonly lost?: LossShares;
  readonly jitterMs?: JitterFigures;
  /** From mouth to ear, so with the other leg's loss and delay. */
  readonly mos: number;
  /** As the peer itself reckons (RFC 3611 §4.7), where it does. */
  readonly voip?: {
    readonly rFactor?: number;
    readonly mosLq?: number;
    readonly mosCq?: number;
    readonly discarded: number;
    readonly jitterBufferMs: number;
  };
}

export interface PlayOutFigures {
  /** Packets that came after their time, and that were left out to shorten the wait. */
  readonly late: number;
  readonly dropped: number;
  /** Stretches that were made up, and their length. */
  readonly concealments: number;
  readonly concealedMs: number;
  /** Packets that were rebuilt from the next one (Opus FEC). */
  readonly rebuilt: number;
  /** What was added and left out to fit the wait. */
  readonly lengthenedMs: number;
  readonly shortenedMs: number;
}

/**
 * Error codes in replies: `no_ports` (503 with Retry-After), `stale_epoch`, `bad_spec`; `standby` (the stream is the twin's: ask there or
 * again shortly), `draining` (ask the twin), `unknown_stream` (see `put`), `unsupported` (see `MediaCapability`), `engine_away` (what carries
 * the streams does not answer the process that steers it).
 */
export type MediaEvent =
  | { readonly type: 'dtmf'; readonly stream: StreamId; readonly digit: string; readonly durationMs: number }
  /** A playback ended: all was played, another replaced it, or an item could not be played (`problem` says which and why). */
  | {
      readonly type: 'played';
      readonly stream: StreamId;
      readonly playback: string;
      readonly outcome: 'finished' | 'replaced' | 'failed';
      readonly problem?: string;
    }
  /** `detects.voice`: the peer began to speak, or has stopped. */
  | { readonly type: 'voice'; readonly stream: StreamId; readonly speaking: boolean }
  /** ICE and DTLS: `connected` once media may flow; `failed` with the reason, which the call's record wants. */
  | {
      readonly type: 'transport';
      readonly stream: StreamId;
      readonly state: 'connected' | 'failed';
      readonly suite?: SrtpSuite;
      readonly problem?: string;
    }
  /** Nothing came for this long. */
  | { readonly type: 'silent'; readonly stream: StreamId; readonly forMs: number }
  /** What carried these streams has forgotten them: each needs an offer with new keys. */
  | { readonly type: 'lost'; readonly streams: readonly StreamId[] }
  /**
   * Nothing ever came from this peer though the other side is heard and both may speak: since when. Told after five seconds, and again while it
   * lasts; a phone that only rings need not send, which is the call's to know. `inCall`: it was heard before, and its RTCP still comes; told
   * once two of its reports say that it sends (RFC 3550 §6.4.1), else after thirty seconds.
   */
  | { readonly type: 'one-way'; readonly stream: StreamId; readonly forMs: number; readonly inCall?: true }
  /** What comes from this peer was decoded and is nothing but silence: since when. Told after twenty seconds, and again while it lasts. */
  | { readonly type: 'mute'; readonly stream: StreamId; readonly forMs: number }
  /** This media process took these streams over from another, which died or handed them over. */
  | { readonly type: 'adopted'; readonly from: MediaId; readonly streams: readonly StreamId[] };
