import type { DigitMerge } from '../audio/index.ts';
import type { MediaId, StreamId } from '../base/index.ts';
import type { UdpSocket } from '../native/index.ts';
import {
  newTelephoneEvents,
  type Reception,
  type SrtpReceiver,
  type SrtpSender,
  type TelephoneEventState,
} from '../rtp/index.ts';
import { Remote } from './address-rule.ts';
import { type DtlsRecord, newDtlsRecord } from './dtls-state.ts';
import type { IceAgent } from './ice.ts';
import type { DtlsTransport } from './negotiation.ts';
import { type Arrival, type Feed, newArrival, newFeed } from './numbering.ts';
import { newHearing } from './one-way.ts';
import { RtcpTimes } from './peer-reports.ts';
import type { StreamSpec } from './protocol.ts';
import { newQuality, type Quality } from './quality.ts';

export interface Local {
  readonly address: string;
  /** Even; RTCP is received on the next, odd port. */
  readonly port: number;
}

/** Whoever listens to what a peer says; see `plane/`. */
export interface PacketListener {
  /** By payload type: 1 for what it wants to hear. */
  readonly wants: Uint8Array;
  /** A genuine packet, opened; lent for the time of the call. */
  receive(packet: Buffer, headerLength: number, length: number, nowMs: number): void;
  /** How long what it hears waits at the moment. */
  readonly waitMs: number;
}

/** Where the packets come from that a stream sends. */
export type Passing =
  /** They are its source's. */
  | 'all'
  /** Its source's where both have the codec; the rest is transcoded. */
  | 'what-it-can'
  /** They are made here. */
  | 'nothing';

/** Where a playback stands: plain data. Its moments are of the clock that all processes of a machine share. */
export interface PlayState {
  readonly id: string;
  /** When its first sample was, or would have been, heard; undefined until it could begin. */
  readonly beganMs?: number;
  /** Where it was paused. */
  readonly pausedAtMs?: number;
  readonly ended?: boolean;
}

export interface Sockets {
  readonly rtp: UdpSocket;
  readonly rtcp: UdpSocket;
}

/** Counted from the stream's first packet on, whoever served it then. */
export interface Counts {
  packetsReceived: number;
  packetsSent: number;
  octetsReceived: number;
  octetsSent: number;
  refusedAuth: number;
  refusedReplay: number;
  refusedStranger: number;
  refusedMalformed: number;
  refusedUnmapped: number;
  takenOver: number;
}

/**
 * One peer's RTP session with us, in the shape that the packet path reads: numbers, and objects that are made once. What of it the
 * twin needs stands in `record.ts`.
 */
export class Stream {
  spec: StreamSpec;
  readonly local: Local;
  /** Absent in tests of the packet path. */
  readonly sockets: Sockets | undefined;
  /** The switch that said the last `put`. */
  owner = '';
  /** When that was last connected, or the stream was opened or taken over. */
  ownerSeenMs: number;
  readonly rtp = new Remote();
  readonly rtcp = new Remote();
  /** Keys were agreed on in one direction at least, or will be by DTLS: nothing plain is taken or sent. Follows from `spec`. */
  secured = false;
  /** It has ICE or DTLS: what is not RTP on its port is looked at. Follows from `spec`. */
  negotiates = false;
  /** What it passes is no RTP but UDPTL. Follows from `spec`. */
  udptl = false;
  ice: IceAgent | undefined;
  dtls: DtlsTransport | undefined;
  /** How far that has come. */
  readonly association: DtlsRecord = newDtlsRecord();
  sender: SrtpSender | undefined;
  receiver: SrtpReceiver | undefined;

  readonly arrival: Arrival = newArrival();
  readonly feed: Feed;
  /** The stream whose audio this one sends, if it is here, and those that send this one's. */
  source: Stream | undefined;
  sinks: Stream[] = [];

  /** By payload type of what this peer sends: its clock, 0 for one that was not negotiated; 1 for telephone-event. */
  readonly clockRates = new Int32Array(128);
  readonly isTelephoneEvent = new Uint8Array(128);
  /** 1 for what may carry the packet before it: Opus, in clear. */
  readonly mayCarryFec = new Uint8Array(128);
  /** By payload type of what the source sends: ours for the same codec, -1 for none. */
  readonly payloadTypes = new Int16Array(128).fill(-1);

  /** Set by the audio plane alone. */
  ear: PacketListener | undefined;
  passing: Passing = 'all';
  /** What it sends is made here at the moment, so that telephone events are too; and when something was passed on last. */
  speaksItself = false;
  passedMs = Number.NEGATIVE_INFINITY;
  playing: PlayState | undefined;
  /** Keys counted lately, where they are listened for in the audio too (CC-FLOW-22). */
  digits: DigitMerge | undefined;

  /** RTCP may leave with an index below this one: the twin knows that. */
  rtcpReserved = 0;
  /** The process that served it before this one took it over. */
  adoptedFrom: MediaId | undefined;
  /** After a take-over, until the first packet left: what came before it may have been sent by the dead process. */
  floorPending = false;
  /** How often this process had stood still when each socket was read last: see `SocketPort`. */
  readonly standstills = { rtp: 0, rtcp: 0 };
  /** Since the twin was told last. */
  changedSinceProgress = false;

  reception: Reception | undefined;
  readonly quality: Quality = newQuality();
  /** Since the twin was told of it last. */
  qualityChanged = false;
  readonly times = new RtcpTimes();
  /** Whether it is heard. Looked at anew by whoever takes the stream over. */
  readonly unheard = newHearing();
  readonly events: TelephoneEventState = newTelephoneEvents();
  readonly counts: Counts = newCounts();
  /** When the last genuine packet (RTP or RTCP) came; when the stream was opened, until then. */
  lastHeardMs: number;
  nextSilentEventMs: number;

  constructor(spec: StreamSpec, local: Local, sockets: Sockets | undefined, ssrc: number, nowMs: number) {
    this.spec = spec;
    this.local = local;
    this.sockets = sockets;
    this.feed = newFeed(ssrc);
    this.lastHeardMs = nowMs;
    this.ownerSeenMs = nowMs;
    this.nextSilentEventMs = Number.POSITIVE_INFINITY;
  }

  /** What we send bears this SSRC for the stream's whole life, but for a collision: see `numbering.ts`, `collision.ts`. */
  get ssrc(): number {
    return this.feed.ssrc;
  }

  get id(): StreamId {
    return this.spec.id;
  }

  /** The peer may be sent to (`direction` is seen from us). */
  get sends(): boolean {
    return this.spec.direction === 'sendrecv' || this.spec.direction === 'sendonly';
  }

  /** What the peer sends is passed on. */
  get receives(): boolean {
    return this.spec.direction === 'sendrecv' || this.spec.direction === 'recvonly';
  }
}

export const newCounts = (): Counts => ({
  packetsReceived: 0,
  packetsSent: 0,
  octetsReceived: 0,
  octetsSent: 0,
  refusedAuth: 0,
  refusedReplay: 0,
  refusedStranger: 0,
  refusedMalformed: 0,
  refusedUnmapped: 0,
  takenOver: 0,
});
