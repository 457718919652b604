import type { Clock, Random } from '../../src/base/index.ts';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import type { SessionTimerPolicy, SipMessage, TransactionTimes } from '../../src/sip/index.ts';
import type {
  DatagramFilter,
  Endpoint,
  FlowHandlers,
  PhoneSockets,
  PhoneTransportName,
  PhoneTransportOptions,
} from './phone-transport.ts';

/** What a call's media does for its signalling. One per call; SDP in, SDP out. */
export interface PhoneMedia {
  /** The present offer: codecs, port, keys, and the direction that `hold` set. */
  offer(options: MediaOptions): string;
  /** The answer to the peer's offer. Throws when nothing fits: the phone says 488. */
  answer(offerSdp: string): string;
  /** Takes the peer's answer to our last offer. */
  apply(answerSdp: string): void;
  /** Whether we hold the peer: the next `offer` says so. */
  hold(on: boolean): unknown;
  close(): void;
  stats(): unknown;
}

export interface MediaOptions {
  /** The SRTP suites to offer, in order; empty: plain RTP. */
  readonly srtp: readonly SrtpSuite[];
}

export type PhoneMediaFactory = (place: { readonly address: string } & MediaOptions) => Promise<PhoneMedia>;

/** What an INVITE offers: plain RTP, SRTP by these suites, or nothing (the answerer offers: late offer). */
export type Offer = 'plain' | 'none' | readonly SrtpSuite[];

export type AnswerMode =
  /** 180 at once, 200 after `afterMs` (default 0). */
  | { readonly mode: 'auto'; readonly afterMs?: number }
  /** 180 at once; the test says what comes then. */
  | { readonly mode: 'manual' }
  /** 183 with SDP, then 200 after `afterMs`, or never if absent. */
  | { readonly mode: 'early-media'; readonly afterMs?: number }
  | { readonly mode: 'busy' }
  | { readonly mode: 'decline' }
  | { readonly mode: 'status'; readonly status: number }
  /** Nothing at all but 100. */
  | { readonly mode: 'silent' };

export interface PhoneOptions {
  readonly user: string;
  readonly domain: string;
  readonly password?: string;
  readonly displayName?: string;
  readonly transport?: PhoneTransportName;
  /**
   * Where all requests go; with outbound one flow to each, without it to the first, and to the next when its connection ends
   * (`recoverAfterMs`). None: straight to the host of the URI.
   */
  readonly servers?: readonly Endpoint[];
  /** The address to bind, default 127.0.0.1. */
  readonly bind?: string;
  readonly port?: number;
  /** `urn:uuid:…`; with it REGISTER speaks RFC 5626 (`reg-id`, `+sip.instance`, `ob`). */
  readonly instanceId?: string;
  /** Feature tags of its Contacts (RFC 3840): `+g.twinline.e2ee`. */
  readonly features?: readonly string[];
  readonly answer?: AnswerMode;
  readonly media?: PhoneMediaFactory;
  /** What it offers when it answers a late offer, and by default in calls. */
  readonly offer?: Offer;
  /** As caller: lists 100rel in Supported or Require. As callee: sends 18x reliably where the caller allows it. */
  readonly reliable?: 'no' | 'supported' | 'required';
  readonly sessionTimer?: SessionTimerPolicy;
  readonly userAgent?: string;
  readonly times?: TransactionTimes;
  readonly clock?: Clock;
  readonly random?: Random;
  /** How long each wait lasts at most, default 5 s. */
  readonly waitMs?: number;
  readonly filter?: DatagramFilter;
  readonly ca?: string;
  readonly path?: string;
  /** Sockets of another kind than real ones: a simulator's. */
  readonly newTransport?: (options: PhoneTransportOptions, handlers: FlowHandlers) => PhoneSockets;
  /** A registered flow that ends is opened and registered anew after this time. Absent: never. */
  readonly recoverAfterMs?: number;
  /** The interval of keep-alives; absent: by `Flow-Timer`, else RFC 5626's defaults; 0: none. */
  readonly keepAliveMs?: number;
}

/** A message that came, in the order in which they came. */
export interface Received {
  readonly message: SipMessage;
  readonly transport: PhoneTransportName;
  readonly from: Endpoint;
  /** By the phone's clock. */
  readonly atMs: number;
}

export type CallEvent =
  | { readonly type: 'provisional'; readonly status: number }
  | { readonly type: 'answered' }
  /** The ACK for our 2xx came. */
  | { readonly type: 'acknowledged' }
  | { readonly type: 'held-by-peer' }
  | { readonly type: 'resumed-by-peer' }
  | { readonly type: 'updated' }
  | { readonly type: 'refreshed' }
  | { readonly type: 'dtmf'; readonly digit: string }
  | ({ readonly type: 'ended' } & CallEnd);

export interface CallEnd {
  readonly by: 'us' | 'peer';
  /** `bye`, `cancel`, `failed` with the INVITE's status, or what gave it up: `no-ack`, `session-expired`, `flow-lost`. */
  readonly how: 'bye' | 'cancel' | 'failed' | 'no-ack' | 'no-prack' | 'session-expired';
  readonly status?: number;
}

export function tellEvent(event: CallEvent): string {
  switch (event.type) {
    case 'provisional':
      return String(event.status);
    case 'dtmf':
      return `digit ${event.digit}`;
    case 'ended':
      return `ended by ${event.by}: ${event.how}${event.status === undefined ? '' : ` ${event.status}`}`;
    default:
      return event.type;
  }
}
