import type {
  AccountId,
  BundleId,
  CallId,
  EdgeId,
  FlowId,
  MediaId,
  SwitchId,
  ZoneId,
} from '../base/index.ts';

/**
 * What our processes say to each other, by pair. Media's own control protocol stands in `media/protocol.ts`. Each entry maps a frame's
 * `kind` to its `data`; entries with `reply` are requests.
 */

export const PROTOCOL_VERSION = 1;

/**
 * Owner in the state of the `call-index` entries: an edge that was started anew reads a message's Call-ID and From tag (id
 * `Call-ID From-tag`, value the bundle) but cannot know the account.
 */
export const CALL_INDEX_ACCOUNT = '_calls' as AccountId;

export type TransportName = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

/** A client's connection at one edge, or for UDP its address pair. All requests to a device go over its flow (RFC 5626). */
export interface Flow {
  /**
   * For connections a random id of the edge. For UDP `u:<edge>:<listener index>:<address>:<port>`, so that it means the same
   * after the edge was started anew. For a door `d:<address>:<port>` of the proxy, for another data centre `i:<id>`: they mean the same at every edge.
   */
  readonly id: FlowId;
  readonly edge: EdgeId;
  readonly transport: TransportName;
  /** The address that the client reached us at, to be advertised in Via, Contact and Record-Route. */
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
  /** It came by a plain-SIP door: `remote` is a trusted proxy, behind which stand many clients; any edge's door reaches it. */
  readonly door?: true;
  /** It leads to that other data centre by mutual TLS: what comes over it is believed, and any edge's trunk leads there. */
  readonly dataCentre?: string;
}

export interface BundleEpoch {
  readonly bundle: BundleId;
  readonly epoch: number;
}

/** Edge → switch. `sip` carries the raw message as the frame's body. */
export interface EdgeToSwitch {
  /** `bundle` when a token or the transaction map named it; absent: a new call, a registration or another request out of dialog. */
  sip: { flow: Flow; bundle?: BundleId };
  /** A client's connection ended. */
  'flow-closed': { flow: FlowId };
  /** What the switch said under this bundle is refused: another owner holds it with a higher epoch. */
  stale: BundleEpoch;
}

/** Switch → edge. A switch connects to every edge and greets first. */
export interface SwitchToEdge {
  greet: {
    version: number;
    zone: ZoneId;
    switch: SwitchId;
    owns: BundleEpoch[];
    /** What share of the whole zone's capacity this switch stands for, and its present load 0..1, see `load`. */
    load: number;
    draining: boolean;
  };
  /** The switch holds these from now on (grant or adoption). A request; the empty reply says that the edge routes by it. */
  own: { bundles: BundleEpoch[]; reply: Record<string, never> };
  /** These bundles are empty and given up for good. */
  release: { bundles: BundleId[] };
  /** A message for a client. `bundle`/`epoch` absent for answers outside any call (REGISTER, OPTIONS, 401). */
  sip: {
    flow: FlowId;
    /** UDP only: where to send when it is not the flow's own remote (RFC 3261 §18.2.2 without rport). */
    remote?: { address: string; port: number };
    bundle?: BundleId;
    epoch?: number;
  };
  /** The zone's load as the largest ratio of calls, calls per second and media ports to their capacity, sent when it changes by 1 %. */
  load: { load: number; draining: boolean };
  /** A message that belongs to this bundle, which another switch holds by now: the edge passes it there. The frame's body is the message. */
  return: { flow: Flow; bundle: BundleId };
  /** That edge's process ended: its phones come to the others, with messages of transactions that only it knew. */
  'edge-lost': { edge: EdgeId };
  /** Drop this client's connection (too many failures). */
  'close-flow': { flow: FlowId; reason: string };
}

/** Supervisor → switch. A switch connects to its supervisor (the address is in its arguments) and greets. */
export interface ZoneToSwitch {
  /** Leases granted in the state: adopt what lives in these bundles. Empty `from` marks new bundles. */
  grant: { bundles: (BundleEpoch & { from?: ZoneId })[]; reply: { calls: number } };
  /** Take no new work; with `on: false` take it again. */
  drain: { on: boolean };
  /**
   * First half of a hand-over: stop where you are. The reply says which bundles are quiet: everything of their calls is written and sent, and
   * what comes for them waits unacknowledged. The others could not be settled and go on here.
   */
  'let-go': { bundles: BundleId[]; reply: { bundles: BundleId[]; calls: number } };
  /** Second half: others own these now. What waited for them has reached their owners by way of the edge. */
  'gone-over': { bundles: BundleId[]; reply: Record<string, never> };
  ping: { reply: Record<string, never> };
  /** Load of the whole zone and whether the twin is up, for the switch's own 503 decisions and metrics. */
  zone: {
    load: number;
    twinUp: boolean;
    /** The newest form of stored calls that every switch of the pair reads. Absent from releases that knew but one. */
    writeForm?: number;
  };
}

/** Media process → supervisor: greeting as `MediaToZone.greet`, then it answers `ping` with its figures. */
export interface MediaToZone {
  greet: { version: number; media: MediaId; zone: ZoneId };
  /** `addresses`: by which there are streams here. */
  stats: { streams: number; addresses?: readonly string[]; cpuPercent: number; rssKib: number };
}

/** Switch → supervisor. */
export interface SwitchToZone {
  greet: { version: number; switch: SwitchId; zone: ZoneId };
  /** Migration (PH-ZONE-19): the bundle and every call in it goes over to that switch of either zone. */
  migrate: { bundle: BundleId; to: SwitchId; reply: HandedOver };
  /** Once a second and when it changes much. */
  stats: {
    calls: number;
    callsPerSecond: number;
    /** Of the share of the zone that this switch stands for: 0 … 1 and above. */
    load: number;
    bundles: BundleId[];
    /** The newest form of stored calls that this switch reads. Absent from releases that knew but one. */
    readsForm?: number;
    cpuPercent: number;
    rssKib: number;
  };
}

/** Control (and through it the CLI and the API) → switch. Commands carry an id: applying one again is harmless. */
export interface ControlToSwitch {
  calls: { reply: { calls: CallSummary[] } };
  ladder: { call: CallId; reply: { entries: LadderEntry[] } };
  hangup: { commandId: string; call: CallId; actor: string; reply: { applied: boolean } };
  /** Moves the call, with its bundle, to another switch. `undefined`: the call is not here. */
  migrate: { call: CallId; to: SwitchId; reply: HandedOver | undefined };
}

/** What a hand-over moved. */
export interface HandedOver {
  readonly bundles: number;
  readonly calls: number;
}

/** Control → supervisor. */
export interface ControlToZone {
  status: { reply: ZoneStatus };
  /** No new work for the target, and its calls go over to others: to its siblings, or to the twin zone. Replies when they have. */
  drain: { target: string; on: boolean; reply: HandedOver };
  /** Ends one drained switch and waits until its successor serves. */
  restart: { target: string; reply: { pid: number } };
}

/** Supervisor ↔ supervisor of the twin zone: greeting, heartbeat and what the other needs to fence and adopt. */
export interface ZoneToZone {
  greet: { version: number; zone: ZoneId };
  /** Every process of the zone, so that the twin can end them all before it adopts. Sent when it changes. */
  processes: {
    processes: ProcessRef[];
    /** What every switch of the sender's zone reads, see `SwitchToZone.stats`. */
    readsForm?: number;
  };
  ping: { reply: Record<string, never> };
  /** The sender's zone does not hold these any longer: the receiver grants them to its own switches, or to the one that is named. */
  adopt: { bundles: BundleId[]; from: ZoneId; to?: SwitchId; reply: { granted: number } };
  /** Between machines: do not adopt from this life of mine for a term. The sender may speak meanwhile. */
  promise: { holder: string; reply: { promised: boolean } };
  /** Between machines: which media addresses of the receiver's zone are at the sender's machine. */
  holds: { addresses: readonly string[] };
  /** Between machines: that media process of the sender is dead, and the addresses by which it had streams are free. */
  'media-died': { media: string; addresses: readonly string[] };
  /** Between machines: the sender's last word. Its processes have ended, its lease will not be renewed. */
  leaves: { lease: { readonly holder: string; readonly count: number } };
}

/** Supervisor → switch or media process, where the twin is on another machine. */
export interface ZoneToChild {
  /** The zone may speak until then (`Clock.nowMs` of this machine); absent: without end. */
  term: { untilMs?: number };
}

/** Supervisor → media process, where the twin is on another machine. */
export interface ZoneToMedia {
  /** The address of that process is at this machine, or not yet: without it no new streams are opened. */
  address: { media: string; here: boolean };
  /** These media processes of the twin speak no more, the last word of any was said by then, and their addresses are here. */
  'take-over': { media: readonly string[]; spokeUntilMs: number };
}

export interface ProcessRef {
  readonly role: string;
  readonly id: string;
  readonly pid: number;
  readonly startTime: number;
}

export interface CallSummary {
  readonly id: CallId;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  readonly zone: ZoneId;
  readonly switch: SwitchId;
  /** UTC milliseconds. */
  readonly since: number;
}

/** One message of a call, masked when it was captured (TR-MEDIA-11): keys, credentials and keypad digits are gone. */
export interface LadderEntry {
  readonly utcMs: number;
  readonly leg: string;
  readonly direction: 'in' | 'out';
  readonly peer: string;
  readonly transport: TransportName;
  /** The first line, then what a reader asks next: CSeq, SDP's media line. */
  readonly summary: string;
  readonly text: string;
  readonly switch: SwitchId;
}

export interface ZoneStatus {
  readonly id: ZoneId;
  readonly state: 'up' | 'draining' | 'starting';
  readonly loadPercent: number;
  readonly switches: {
    id: SwitchId;
    pid: number;
    state: string;
    calls: number;
    cpuPercent: number;
    rssKib: number;
  }[];
  readonly media: {
    id: MediaId;
    pid: number;
    state: string;
    streams: number;
    cpuPercent: number;
    rssKib: number;
  }[];
  readonly calls: number;
  readonly twinUp: boolean;
}
