import type { BundleId, CallId, MediaId, StreamId } from '../base/index.ts';

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
  /** Why some remain: `twin_away`, `twin_busy` … */
  readonly reason?: string;
}

export interface MediaToSwitch {
  event: MediaEvent;
  /** The process takes no new streams for now (`drain`), or takes them again. Said at the greeting too, if it drains then. */
  draining: { on: boolean };
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
  /** As negotiated with this peer: what it may send us and wants to get. Empty until known. */
  readonly codecs: readonly StreamCodec[];
  /** The stream whose audio this one sends out. Payload types are mapped by codec. Absent: silence. */
  readonly source?: StreamId;
  /**
   * One end of an internal link, by which streams of two media processes hear each other: its `remote` is the other end's
   * `StreamOpened`, an address of ours that is never learned anew. AES-256-GCM always: the end that is put without keys makes
   * them and says them in `StreamOpened.keys`; the other is given them crosswise. A link tells of no keypad digits and no silence:
   * the phones' own streams do.
   */
  readonly link?: { readonly peer: StreamId };
  /** The call was migrated: until now the stream belonged to that bundle, which we hold under that epoch. */
  readonly movedFrom?: BundleEpoch;
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

/**
 * Error codes in replies: `no_ports` (503 with Retry-After), `stale_epoch`, `bad_spec`; `standby` (the stream is the twin's: ask there or
 * again shortly), `draining` (ask the twin), `unknown_stream` (see `put`).
 */
export type MediaEvent =
  | { readonly type: 'dtmf'; readonly stream: StreamId; readonly digit: string; readonly durationMs: number }
  /** Nothing came for this long. */
  | { readonly type: 'silent'; readonly stream: StreamId; readonly forMs: number }
  /** This media process took these streams over from another, which died or handed them over. */
  | { readonly type: 'adopted'; readonly from: MediaId; readonly streams: readonly StreamId[] };
