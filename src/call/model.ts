import type { AccountId, CallId, DeviceId, FlowId, LegId, StreamId, UserId } from '../base/index.ts';
import type { Binding, MediaProfileName } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import type {
  DtlsTerms,
  Fingerprint,
  IceCredentials,
  SrtpKey,
  SrtpSuite,
  StreamCodec,
  StreamReport,
} from '../media/index.ts';
import type { CryptoLine, Direction, RtpProfile, SdpAttribute } from '../sdp/index.ts';
import type {
  ClientTransaction,
  Dialog,
  ReliableReceiver,
  ReliableSender,
  Repetition,
  ServerTransaction,
  SessionTimer,
  SipHeader,
  SipMessage,
  SipRequest,
} from '../sip/index.ts';
import type { PacketTimes } from './packet-time.ts';
import type { Transfer } from './transfer.ts';

/**
 * A call as plain data: JSON in, JSON out. A step works on a copy of its own (`copyOf`), hence fields without `readonly` here and
 * read-only values below them. A deadline is `Clock.nowMs` of the machine.
 */
export const CALL_SCHEMA_VERSION = 1;

/** Every state of a call; a test adopts the call in each. */
export const callStates = [
  /** The callee's devices are being looked up. */
  'routing',
  /** INVITEs go out, or wait for a media port; no device has rung yet. */
  'calling',
  'ringing',
  /** A device has answered; the caller's ACK has not come. */
  'answered',
  'talking',
  /** Either side sends no audio by its own wish. */
  'held',
  /** BYE or CANCEL is under way, streams are being closed. */
  'ending',
  /** The record is written; transactions absorb what is sent again. */
  'ended',
] as const;

export type CallState = (typeof callStates)[number];

export interface Call {
  readonly v: typeof CALL_SCHEMA_VERSION;
  readonly id: CallId;
  readonly account: AccountId;
  readonly snapshotNumber: number;
  readonly createdUtcMs: number;
  state: CallState;
  readonly caller: Party;
  readonly dialled: string;
  target?: Party & { readonly inOrder: boolean; readonly maxWaitSec: number };
  /** Whom the phones that ring now see as the caller, where that is not `caller`: who waits after a transfer. */
  presented?: Party;
  /** Transfers that were asked for, for the record. The newest ones only. */
  transfers?: readonly TransferDone[];
  /** RFC 7989: the caller's UUID, or ours for a caller without one; with it logs, traces and the record find together. */
  readonly sessionId: string;
  /** Who waits for an answer, or did, is the first: the caller, or the party that was transferred. */
  legs: Leg[];
  /** Counts legs, so that no id is used twice. */
  legsMade: number;
  /** What the callee's INVITE takes over from the caller's, and its Max-Forwards less one. */
  readonly carried: readonly SipHeader[];
  readonly maxForwards: number;
  /** It came from another data centre: the call there. */
  readonly origin?: { readonly dataCentre: string; readonly call: CallId };
  /** An emergency number was dialled. */
  readonly emergency?: true;
  /** Other data centres where the callee may be, after the one that is asked. */
  ways?: readonly TrunkWay[];
  /** Devices that ring after the present one (`in-order`). */
  queue: Binding[];
  /** Nobody has answered by then: 480. */
  ringUntilMs?: number;
  lookups: Lookup[];
  answeredUtcMs?: number;
  /** The provisional response that the caller heard last, so that none is said twice. */
  told?: string;
  /** The caller's 2xx waits for the PRACK of a 1xx with SDP (RFC 3262 §3). */
  answerHeld?: boolean;
  /** Set once, by what ends the call first. */
  end?: CallEnd;
  /** The record waits for these streams' figures, but no longer than that. */
  closing?: { readonly untilMs: number; readonly streams: readonly StreamId[] };
  reports: StreamReport[];
  adoptions: number;
  /** The newest ones only. */
  appliedCommandIds: string[];
}

export interface TransferDone {
  readonly by: UserId;
  readonly to: UserId;
  readonly utcMs: number;
  /** As of a call; absent: nothing had come of it when the call ended. */
  readonly outcome?: string;
}

export interface Party {
  readonly user: UserId;
  readonly extension: string;
  readonly display: string;
}

/** Bindings asked for: to ring them, to judge a request over a strange flow, to find a way to a leg whose flow ended. */
export type Lookup =
  | { readonly why: 'ring'; readonly user: UserId }
  | {
      readonly why: 'judge-flow';
      readonly user: UserId;
      readonly leg: LegId;
      readonly message: SipMessage;
      readonly flow: Flow;
    }
  /** `refused`: a proxy before the phone said that this flow is dead (430), the INVITE is over. */
  | { readonly why: 'find-flow'; readonly user: UserId; readonly leg: LegId; readonly refused?: true };

/** The way to another data centre, and the region that it is in. */
export interface TrunkWay {
  readonly dataCentre: string;
  readonly region?: string;
  readonly flow: Flow;
}

/** A leg that leads to another data centre. `leftRegion`: it is in another region than the account is locked to (PH-ZONE-14). */
export interface TrunkEnd {
  readonly dataCentre: string;
  readonly leftRegion?: string;
}

export interface CallEnd {
  readonly outcome: string;
  readonly status: number;
  readonly by: 'caller' | 'callee' | 'system';
  readonly reason?: string;
  readonly utcMs: number;
}

export type LegState =
  /** Waits for a media port. */
  | 'new'
  | 'calling'
  | 'ringing'
  /** 2xx sent (caller) or received (callee), ACK outstanding. */
  | 'answered'
  | 'confirmed'
  /** CANCEL or BYE is under way. */
  | 'ending'
  | 'ended';

export interface Leg {
  readonly id: LegId;
  /** Who began the dialog: the phone, or we. */
  readonly role: 'caller' | 'callee';
  readonly user: UserId;
  readonly device: DeviceId;
  readonly mediaPolicy: MediaPolicy;
  flow: Flow;
  /** The flow before it: requests to our Contact of then may still come that way. */
  formerFlow?: Flow;
  /** Flows of the phone that were found dead, and when: they count again once it has registered over them later. */
  leftFlows?: readonly { readonly flow: FlowId; readonly utcMs: number }[];
  /** No flow leads to the phone. It is looked for at `nextMs`, and given up at `untilMs`. */
  lost?: {
    /** All of its edge is gone, the phone may be well. */
    readonly byEdge: boolean;
    readonly sinceUtcMs: number;
    readonly untilMs: number;
    readonly nextMs: number;
    readonly pauseMs: number;
  };
  /** Tell the phone then that our Contact is at another edge. */
  newContactAtMs?: number;
  /** It leads to another data centre, not to a phone. */
  readonly trunk?: TrunkEnd;
  /** `+sip.instance` of the binding, to know the phone again on another flow. */
  readonly instanceId?: string;
  state: LegState;
  readonly sipCallId: string;
  readonly localTag: string;
  /** The caller's From tag; empty on a callee leg until it answers. */
  readonly remoteTag: string;
  /** The CSeq of the caller's first INVITE. */
  readonly inviteCseq?: number;
  /** Where the first INVITE of a callee leg goes. */
  readonly target?: { readonly contact: string; readonly path: readonly string[] };
  dialog?: Dialog;
  /** RFC 7989: the UUID of the endpoint on this leg. */
  sessionId: string;
  clients: ClientRequest[];
  servers: ServerRequest[];
  /** The caller's side of 100rel (we send) and the callee's (we receive). */
  reliableSender?: ReliableSender;
  reliableReceiver?: ReliableReceiver;
  /** Our 2xx to an INVITE, until its ACK. */
  answer?: Repetition & { readonly cseq: number };
  /** To which 2xx our last ACK was; its text is the INVITE's (`ClientRequest.ack`). */
  ack?: { readonly cseq: number };
  /** A 2xx with an offer came; its ACK waits for the other side's answer. */
  ackOwed?: { readonly cseq: number };
  sessionTimer?: SessionTimer;
  /** Send our refresh again then: it collided (RFC 3261 §14.1). */
  refreshAgainAtMs?: number;
  /** What the peer said it allows and supports. */
  peer: {
    readonly update: boolean;
    readonly timer: boolean;
    readonly endToEnd?: true;
    readonly userAgent?: string;
  };
  ringUntilMs?: number;
  /** CANCEL as soon as a provisional response came (RFC 3261 §9.1). */
  cancelWanted?: boolean;
  /** How a callee leg failed. */
  failure?: { readonly status: number; readonly reason: string };
  /** It has asked for a transfer, and stands aside until something came of it. */
  transfer?: Transfer;
  /** It was held when it was transferred: to be offered audio both ways then. */
  takeUp?: { readonly tries: number; readonly atMs: number };
  media: LegMedia;
  /** The longest time in which media got nothing from the leg. */
  silentForMs?: number;
  /** So long since the answer nothing at all had come from the leg, though the other one was heard. */
  unheardForMs?: number;
  /** The longest time in which its audio did not come any more though its RTCP and the other leg's audio did. */
  lostAudioForMs?: number;
  /** The longest time in which its audio was nothing but silence, where it was decoded. */
  muteForMs?: number;
}

/** What the leg's device and site ask of its media. */
export interface MediaPolicy {
  readonly profile: MediaProfileName;
  readonly prefer256: boolean;
  readonly encryptionRequired: boolean;
  /** Our first offer is for a browser, or is not, whatever the device looks like: it has refused the other kind. */
  readonly webrtc?: boolean;
}

export interface LegMedia {
  /** Absent until the leg has anything to do with media. */
  stream?: StreamId;
  /** The leg has left a call that goes on, and its stream is no more. */
  closed?: true;
  readonly family: 4 | 6;
  opened?: {
    readonly address: string;
    readonly port: number;
    readonly rtcpPort: number;
    /** Of the certificate that media has there. */
    readonly fingerprint?: Fingerprint;
    /** Names of the codecs that media transcodes between there. */
    readonly transcodes?: readonly string[];
    /** What media sends under there, where it makes the keys. */
    readonly sendKeys?: readonly SrtpKey[];
  };
  /** Of our `o=` line on this leg. */
  readonly sdpId: string;
  sdpVersion: number;
  /** Our description as sent last: the next one counts its version on. */
  local?: string;
  /** The caller's offer, answered in early media; its 2xx says the answer again. */
  answeredEarly?: string;
  /** Our offer that is not yet answered. */
  offered?: OwnOffer;
  /** What the first INVITE offered, until its 2xx: each fork behind a proxy answers it anew (RFC 3261 §13.2.2.4). */
  firstOffer?: OwnOffer;
  /** The peer's offer that is not yet answered. */
  unanswered?: string;
  /** An answer to the first offer has been given or taken. */
  agreed: boolean;
  /** Ours, as in our last agreed description. */
  direction: Direction;
  /** The peer wants to hear nothing for now, which it did before: it holds the other end. */
  holds?: true;
  codecs: readonly StreamCodec[];
  /** As in our last description. */
  ptimeMs?: number;
  maxptimeMs?: number;
  /** What the peer's `a=fmtp` lines ask of what it is sent, by payload type. */
  wants?: Readonly<Record<number, string>>;
  /** How much audio it wants in a packet. */
  packetTimes?: PacketTimes;
  /** It asked for VoIP metrics. */
  voipMetrics?: true;
  sendKey?: SrtpKey;
  receiveKey?: SrtpKey;
  /** In place of the keys: they come from a handshake, over a path that ICE finds where the peer has that. */
  dtls?: DtlsMedia;
  /** Ours is made once for each generation; the peer's is absent until it is known. */
  ice?: IceCredentials;
  /** How often a handshake had to be asked for anew: media shows another certificate then, or browsers would keep the one that they have. */
  association?: number;
  /** What the handshake agreed on, as media told. */
  suite?: SrtpSuite;
  /** The peer took a new port of ours and kept its key: nobody knows how often its sequence numbers have wrapped. */
  receiveKeyKept?: true;
  remoteAddress?: { readonly address: string; readonly port: number; readonly rtcpPort: number };
  rtcpMux: boolean;
  /** RTP/SAVP rather than RTP/AVP. */
  secureProfile: boolean;
  /** Frames are encrypted end to end: what we say of it for the other end, and what this end has said. */
  endToEnd?: { readonly said: readonly SdpAttribute[]; readonly heard: readonly SdpAttribute[] };
  /** A fax by T.38 has taken the audio's place: what we say of it for the other end, and what this end has said. */
  fax?: { readonly said: readonly SdpAttribute[]; readonly heard: readonly SdpAttribute[] };
  /** The stream whose audio this leg hears. */
  source?: StreamId;
  renewal?: MediaRenewal;
  /** An UPDATE of ours was agreed to while the phone rang: what it or we said in the INVITE's own answer counts no more. */
  updatedEarly?: true;
}

export interface OwnOffer {
  readonly crypto: readonly CryptoLine[];
  readonly direction: Direction;
  /** It says where this stream is, which took a lost one's place. */
  readonly renews?: StreamId;
  /** It asks for DTLS, under this `a=tls-id`. */
  readonly tlsId?: string;
  /** It marks the medium as encrypted end to end. */
  readonly sframe?: readonly SdpAttribute[];
  /** It is for a fax in place of audio. */
  readonly fax?: readonly SdpAttribute[];
  /** It says again what is agreed, and asks for nothing that the other end would have to know of. */
  readonly own?: true;
}

/** As agreed with the peer (RFC 8842). */
export interface DtlsMedia extends DtlsTerms {
  readonly profile: RtpProfile;
  /** `a=tls-id` of either side, where it says one: another one of the peer is another association. */
  readonly tlsId?: string;
  readonly peerTlsId?: string;
}

/**
 * The stream was lost with its indices, and `stream` names the one that takes its place. Until the peer has been told where that is,
 * nothing goes over it, and `opened` is the lost one's place until the new one is `ready`.
 */
export interface MediaRenewal {
  readonly ready: boolean;
  /** How often opening it, or the offer, has failed. */
  readonly tries: number;
  /** To be opened or offered again then. */
  readonly againAtMs?: number;
}

/** Why we sent a request: what its response means. */
export type Purpose =
  | { readonly kind: 'invite' }
  /** On behalf of the request that `server` (a transaction's key) names on the other leg. */
  | { readonly kind: 'relay'; readonly server: string }
  /** `renews`: its offer tells of a stream that took a lost one's place. */
  | { readonly kind: 'refresh'; readonly renews?: true }
  /** Audio both ways for who was held when it was transferred. */
  | { readonly kind: 'take-up'; readonly tries: number }
  | { readonly kind: 'bye' }
  /** CANCEL, PRACK: nothing follows from the response. */
  | { readonly kind: 'done' };

export interface ClientRequest {
  tx: ClientTransaction;
  readonly method: string;
  readonly cseq: number;
  readonly purpose: Purpose;
  /** What its CANCEL and its dialog are made from (RFC 3261 §9.1, §12.1.2). */
  readonly invite?: SipRequest;
  /** Our ACK to its 2xx, sent again with each repetition of that 2xx. */
  ack?: string;
  /** Nothing has come back by then: the flow may be dead. */
  doubtAtMs?: number;
  /** An INVITE has no timer once a 1xx came: without a final response by then it counts as 408 (RFC 3261 §9.1, §16.8). */
  giveUpAtMs?: number;
}

export interface ServerRequest {
  tx: ServerTransaction;
  readonly method: string;
  readonly cseq: number;
  /** What a response copies; gone once the final one is sent. */
  request?: SipRequest;
  /** The final status once given. */
  status?: number;
  /** RFC 3261 §18.2.2: a client without rport hears at the port of its Via. */
  readonly remote?: { readonly address: string; readonly port: number };
}
