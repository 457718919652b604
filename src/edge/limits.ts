import { EMERGENCY_NUMBERS } from '../sip/index.ts';

/** Every bound of the edge. Durations in milliseconds, sizes in bytes. */
export interface EdgeLimits {
  /** A zone takes new calls up to this load while its twin is up too (PH-ZONE-07). */
  readonly pairedLoad: number;
  /** And up to this one while the twin is gone or draining. */
  readonly aloneLoad: number;
  /** What `Retry-After` says in a 503, seconds. */
  readonly retryAfterSec: number;

  /** A message whose bundle has no live owner waits this long for the next one. */
  readonly waitMs: number;
  readonly waitFramesPerBundle: number;
  readonly waitBytes: number;

  /** New work is given up by the switch when it comes to it later than this. */
  readonly newWorkDeadlineMs: number;

  /** INVITE transactions remembered. The oldest goes first when there are more. */
  readonly transactions: number;
  /** After the final response; 32 s is 64 × T1, the longest that retransmissions go on (RFC 3261 §17). */
  readonly transactionLingerMs: number;
  /** Without a final response: longer than Timer C (RFC 3261 §16.6, 3 minutes), renewed by provisional responses. */
  readonly transactionMs: number;
  /** So long after the start an INVITE that the map does not know is looked up in the state's call index. */
  readonly recoverMs: number;
  /** Bundles without an owner are remembered for their epoch, at most so many. */
  readonly bundles: number;

  /** New work per source address: a token bucket. Messages with a genuine token never count. */
  readonly newWorkPerSec: number;
  readonly newWorkBurst: number;
  /** Refusals (400, 503) that one source is answered with; beyond that it meets silence. */
  readonly refusalsPerSec: number;
  readonly refusalBurst: number;
  /** After so many unreadable messages in a row and none that could be read, a source meets silence for `muteMs`. */
  readonly muteAfterBad: number;
  readonly muteMs: number;
  readonly sources: number;
  /** Addresses on which no rate is enforced; `loopback` stands for 127.0.0.0/8 and ::1. */
  readonly unlimitedSources: readonly string[];
  /** User-Agents that begin with one of these meet silence. Lower case. */
  readonly scanners: readonly string[];

  /** Users and URNs of the Request-URI that make an emergency call. */
  readonly emergency: readonly string[];
  /** Emergency calls that pass over the load line, in total and per source; beyond that they count as ordinary calls. */
  readonly emergencyPerSec: number;
  readonly emergencyPerSourcePerMinute: number;

  /** Connections: the first complete header must come so soon, and one that never said anything is closed then. */
  readonly headerMs: number;
  readonly silentMs: number;
  /** A connection over which nothing at all passed for so long is closed. */
  readonly idleMs: number;
  readonly unsentBytes: number;
  readonly connections: number;
  readonly connectionsPerSource: number;
  readonly messageBytes: number;
}

export const DEFAULT_LIMITS: EdgeLimits = {
  pairedLoad: 0.5,
  aloneLoad: 1,
  retryAfterSec: 5,
  waitMs: 5_000,
  waitFramesPerBundle: 256,
  waitBytes: 32 * 1024 * 1024,
  newWorkDeadlineMs: 10_000,
  transactions: 100_000,
  transactionLingerMs: 32_000,
  transactionMs: 210_000,
  recoverMs: 40_000,
  bundles: 65_536,
  newWorkPerSec: 200,
  newWorkBurst: 1_000,
  refusalsPerSec: 20,
  refusalBurst: 100,
  muteAfterBad: 50,
  muteMs: 60_000,
  sources: 50_000,
  unlimitedSources: ['loopback'],
  scanners: [
    'friendly-scanner',
    'friendly-request',
    'sipvicious',
    'sipcli',
    'sip-scan',
    'sundayddr',
    'vaxsipuseragent',
    'pplsip',
    'iwar',
    'smap',
  ],
  emergency: EMERGENCY_NUMBERS,
  emergencyPerSec: 50,
  emergencyPerSourcePerMinute: 12,
  headerMs: 10_000,
  silentMs: 30_000,
  idleMs: 3_700_000,
  unsentBytes: 256 * 1024,
  connections: 20_000,
  connectionsPerSource: 500,
  messageBytes: 256 * 1024,
};
