import type { Clock, EdgeId, FlowId, Logger, Random, SwitchId, Tokens, ZoneId } from '../base/index.ts';
import type { Flow, RemoteDoor, TransportName } from '../link/index.ts';
import type { SipHeader, SipRequest } from '../sip/index.ts';
import type { StatePort } from '../state/index.ts';
import type { DoorOptions } from './door.ts';
import type { EdgeLimits } from './limits.ts';
import type { TrunkOptions } from './trunks.ts';

export interface Address {
  readonly address: string;
  readonly port: number;
}

/** What the core needs of the sockets; the simulator gives its own network instead. Neither call may throw. */
export interface Transports {
  /**
   * Sends one SIP message over a client's flow; for UDP to `remote` when that is given. False: the flow is unknown or had
   * more unsent than allowed and is closed.
   */
  send(flow: FlowId, bytes: Uint8Array, remote?: Address): boolean;
  close(flow: FlowId, reason: string): void;
}

/** The answer that asks for credentials; undefined where a switch is to judge. Must not throw. */
export type Challenge = (
  request: SipRequest,
  flow: Flow,
) => { readonly status: number; readonly headers: readonly SipHeader[] } | undefined;

export interface EdgeCoreOptions {
  readonly id: EdgeId;
  readonly transports: Transports;
  readonly tokens: Tokens;
  /** For the Call-ID + From-tag index, asked only when the transaction map was lost with an edge. */
  readonly state?: Pick<StatePort, 'get'>;
  /** Absent: switches ask for credentials themselves. */
  readonly challenge?: Challenge | undefined;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<EdgeLimits>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface EdgeOptions extends Omit<EdgeCoreOptions, 'transports'> {
  /** In a fixed order: a UDP flow's id names its listener by the place in this list. */
  readonly listeners: readonly ListenerOptions[];
  /** The way to other data centres. */
  readonly trunks?: TrunkOptions;
  /** How datagrams are read. Default: by our own calls of the kernel on Linux, by node:dgram elsewhere. */
  readonly udp?: 'kernel' | 'dgram';
  /** Path of the Unix socket that switches and control connect to. */
  readonly linkPath: string;
  /** And where those of another machine do. */
  readonly remoteDoor?: RemoteDoor | undefined;
}

export interface ListenerOptions {
  readonly transport: TransportName;
  /** The address to bind. */
  readonly address: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Host and port that clients reach us by, where a load balancer or NAT stands before us. Default: what is bound. */
  readonly advertise?: { readonly host: string; readonly port?: number };
  /** Needed for `tls` and `wss`. */
  readonly tls?: TlsOptions;
  /** For `ws` and `wss`: the Origins that may connect. Default: any. */
  readonly origins?: readonly string[];
  /** What leaves is marked with this code point (RFC 2474, PH-QOS-03). Default: not marked. */
  readonly dscp?: number;
  /** For `udp`: it is a door for these proxies, and for nobody else. */
  readonly door?: DoorOptions;
}

export interface TlsOptions {
  /** PEM files. They are looked at every `TLS_RELOAD_MS` and taken over when they changed; connections stay. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Certificates of those whose client certificates we believe. With it a client is asked for one, but need not have it. */
  readonly clientCaFile?: string;
  /** Default: the AES-256 suites of TLS 1.2 and 1.3 (PH-SEC-01, TR-MEDIA-01). OpenSSL's names, joined by colons. */
  readonly ciphers?: string;
}

export interface EdgeStatus {
  readonly id: EdgeId;
  readonly uptimeMs: number;
  readonly listeners: readonly ListenerStatus[];
  /** Open connections per transport. UDP has none: its flows are address pairs and cost us nothing. */
  readonly flows: Readonly<Partial<Record<TransportName, number>>>;
  readonly zones: readonly EdgeZoneStatus[];
  readonly bundles: number;
  readonly transactions: number;
  /** Messages that wait for a bundle's next owner. */
  readonly waiting: number;
  /** Every counter by name and labels, as in the Prometheus text. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface ListenerStatus extends Address {
  readonly transport: TransportName;
}

export interface EdgeZoneStatus {
  readonly id: ZoneId;
  readonly load: number;
  /** It gets new calls now. */
  readonly open: boolean;
  readonly switches: readonly {
    readonly id: SwitchId;
    readonly draining: boolean;
    /** New calls given to it since it connected. */
    readonly newCalls: number;
    readonly bundles: number;
  }[];
}
