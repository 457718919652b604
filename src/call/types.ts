import type { CallId, EdgeId, LegId, Random, StreamId, UserId } from '../base/index.ts';
import type { Binding, Device, DirectorySnapshot, User } from '../directory/index.ts';
import type { Flow, LadderEntry } from '../link/index.ts';
import type {
  MediaCapability,
  MediaEvent,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
} from '../media/index.ts';
import type { SipMessage, VqReport } from '../sip/index.ts';
import type { TransferDone, TrunkWay } from './model.ts';
import type { RecordedQuality } from './quality.ts';
import type { TrunkCall } from './trunk.ts';

/**
 * The seam between `call` and the switch that drives it. `step` is a pure function: the switch commits the new call together with
 * the commands in one record, and only then carries the commands out. An adopter carries the last commands out again, so each must
 * be harmless the second time.
 */
export type CallEvent =
  | { readonly type: 'message'; readonly message: SipMessage; readonly flow: Flow }
  /** `elsewhere`: data centres where a user without bindings may be, in the order to be tried. */
  | {
      readonly type: 'bindings';
      readonly user: UserId;
      readonly bindings: readonly Binding[];
      readonly elsewhere?: readonly TrunkWay[];
    }
  | { readonly type: 'media-opened'; readonly opened: StreamOpened }
  | { readonly type: 'media-failed'; readonly stream: StreamId; readonly code: string }
  /** No media process knows these streams any more: whoever had them died, and so did its twin. */
  | { readonly type: 'media-lost'; readonly streams: readonly StreamId[] }
  | { readonly type: 'media-closed'; readonly reports: readonly StreamReport[] }
  | { readonly type: 'media-event'; readonly event: MediaEvent }
  /** A deadline of the call has passed (`Step.wakeAtMs`). Waking early or late is harmless. */
  | { readonly type: 'wake' }
  /** A client's connection ended. */
  | { readonly type: 'flow-closed'; readonly flow: string }
  /** An edge process ended, with all of its connections, or is there again. */
  | { readonly type: 'edge'; readonly edge: EdgeId; readonly up: boolean }
  /** Another switch owns the call from now on. */
  | { readonly type: 'adopted' }
  | { readonly type: 'hangup'; readonly commandId: string; readonly actor: string };

export type CallCommand =
  /** A serialized SIP message, as a byte string. `remote` only for UDP answers without rport (RFC 3261 §18.2.2). */
  | {
      readonly type: 'send';
      readonly leg: LegId;
      readonly flow: Flow;
      readonly remote?: { readonly address: string; readonly port: number };
      readonly text: string;
    }
  | { readonly type: 'find-bindings'; readonly user: UserId }
  /** `opened`: where its peer was told to send. */
  | { readonly type: 'media-put'; readonly stream: StreamSpec; readonly opened?: StreamPlace }
  | { readonly type: 'media-close'; readonly streams: readonly StreamId[] }
  /** The call is over: its record goes to the durable log, keyed by the call's id. */
  | { readonly type: 'record'; readonly record: CallRecord };

/** What a step may know beside the call. */
export interface CallContext {
  readonly nowMs: number;
  readonly utcMs: number;
  readonly random: Random;
  /** The snapshot that the call began with. */
  readonly snapshot: DirectorySnapshot;
  /** The bundle's token: starts every local tag and every branch (behind the cookie), and is every Contact's user. */
  readonly token: string;
  readonly serverName: string;
  /** What media can do where a stream would be opened now; absent: everything. */
  readonly mediaCapabilities?: readonly MediaCapability[];
  /** How long an established call waits for a phone that no flow leads to; absent: 60 s. */
  readonly keepLostPhoneMs?: number;
}

export interface NewCall {
  readonly id: CallId;
  readonly invite: import('../sip/index.ts').SipRequest;
  readonly flow: Flow;
  readonly caller: User;
  readonly callerDevice: Pick<Device, 'id' | 'mediaProfile'>;
  /** Another data centre's, over its trunk. */
  readonly from?: { readonly dataCentre: string } & TrunkCall;
}

/** The result of a step: `call` undefined when nothing of it is left to remember. */
export interface Step<Call> {
  readonly call: Call | undefined;
  readonly commands: readonly CallCommand[];
  /** When to wake the call, by `nowMs`'s clock; undefined: only an event wakes it. */
  readonly wakeAtMs: number | undefined;
}

/** One per call (`id` is its key), completed by an adopter if need be. */
export interface CallRecord {
  readonly v: 1;
  readonly id: CallId;
  readonly account: string;
  readonly sessionId: string;
  readonly from: { readonly user: string; readonly display: string };
  readonly to: { readonly dialled: string; readonly user?: string };
  /** Between users; to and from carriers once there are any. */
  readonly direction: 'internal';
  readonly startedUtcMs: number;
  readonly answeredUtcMs?: number;
  readonly endedUtcMs: number;
  /** How it ended: `answered`, `busy`, `no-answer`, `declined`, `cancelled`, `failed` … with SIP's status. */
  readonly outcome: string;
  readonly status: number;
  readonly endedBy: 'caller' | 'callee' | 'system';
  /** Why, in words, when it was not a person who ended it. */
  readonly reason?: string;
  readonly directoryNumber: number;
  /** It came from another data centre, where this call has a record too. */
  readonly origin?: { readonly dataCentre: string; readonly call: CallId };
  /** Transfers that were asked for, in order, and what came of each. */
  readonly transfers?: readonly TransferDone[];
  readonly adoptions: number;
  readonly legs: readonly CallRecordLeg[];
  /** From the answer to the end; absent: nobody answered. */
  readonly talkMs?: number;
  /** Absent: media told no figures. */
  readonly quality?: RecordedQuality;
}

export interface CallRecordLeg {
  readonly role: 'caller' | 'callee';
  readonly user?: string;
  readonly device: string;
  /** What the device calls itself, and where its signalling came from. */
  readonly userAgent?: string;
  readonly address: string;
  /** Under which the phone knows the call. */
  readonly sipCallId: string;
  /** What the phone says of it by its own measuring, with its headset, microphone and provider; put in when it comes (RFC 6035, PH-QOS-02). */
  readonly phone?: Omit<VqReport, 'sipCallId'> & { readonly userAgent?: string; readonly utcMs: number };
  readonly transport: string;
  /** The other data centre that it led to or came from. */
  readonly dataCentre?: string;
  /** PH-ZONE-14: the region that it led to from one to which the account is locked; empty where its region is not known. */
  readonly leftRegion?: string;
  /** TR-MEDIA-08: `AEAD_AES_256_GCM` …, `DTLS` where a handshake never came to an end, or `plain`; absent when there was no media. */
  readonly srtp?: string;
  readonly codec?: string;
  /** When the call ended a fax by T.38 was in the audio's place (PH-TRUNK-27). */
  readonly fax?: 't38';
  /** Its media was encrypted end to end when the call ended (PH-SEC-07). */
  readonly endToEnd?: true;
  /** Loss, jitter, bit rate, delay and what they come to, both ways (PH-QOS-02). */
  readonly media?: StreamReport;
  readonly quality?: RecordedQuality;
  /** The longest time in which nothing came from the leg, as media told. */
  readonly silentForMs?: number;
  /** One-way audio: so long since the answer nothing at all had come from it, though the other leg was heard. */
  readonly unheardForMs?: number;
  /** The same in the middle of the call: its audio came no more, its RTCP and the other leg's audio did. */
  readonly lostAudioForMs?: number;
  /** Its packets held nothing but silence for so long; known of what was decoded here. */
  readonly muteForMs?: number;
}

export type { LadderEntry, TrunkWay };
