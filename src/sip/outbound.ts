import { type Random, randomBelow } from '../base/index.ts';

/** RFC 5626 §3.5.1: a client's ping on a stream, between messages. */
export const KEEP_ALIVE_PING = '\r\n\r\n';
/** The server's answer to it; the client closes the flow when it does not come within 10 s (§4.4.1). */
export const KEEP_ALIVE_PONG = '\r\n';
export const PONG_WAIT_MS = 10_000;
/** §4.4.1: the default intervals when no `Flow-Timer` came: streams (with power supply) and UDP. */
const DEFAULT_STREAM_SEC = 120;
const DEFAULT_UDP_SEC = 29;

/** What a Contact's parameters say of outbound (RFC 5626 §4.1, §4.2). */
export interface OutboundContact {
  /** `<urn:uuid:…>` as it came but without quotes; compared by bytes after lower-casing the URN. */
  readonly instanceId?: string;
  /** 1 … 2^31 - 1; only with an instance. */
  readonly regId?: number;
}

/**
 * Reads `+sip.instance` and `reg-id` from a Contact's parameters (names in lower case, values as they came, quotes or not).
 * A `reg-id` without an instance or out of range is as if it were not there (§6).
 */
export function outboundOf(params: Readonly<Record<string, string | true | undefined>>): OutboundContact {
  const raw = params['+sip.instance'];
  if (typeof raw !== 'string') return {};
  const match = /^"?(<[^<>"]{1,255}>)"?$/.exec(raw.trim());
  if (match === null) return {};
  const instanceId = match[1]!.toLowerCase();
  const rawRegId = params['reg-id'];
  const regId = typeof rawRegId === 'string' && /^\d{1,10}$/.test(rawRegId) ? Number(rawRegId) : 0;
  return regId >= 1 && regId < 2 ** 31 ? { instanceId, regId } : { instanceId };
}

/** The number of a `Flow-Timer` header in a REGISTER's 200 (RFC 5626 §10). */
export function parseFlowTimer(value: string | undefined): number | undefined {
  const match = /^\s*(\d{1,9})\s*$/.exec(value ?? '');
  const seconds = match === null ? 0 : Number(match[1]);
  return seconds > 0 ? seconds : undefined;
}

/** How long a client waits until its next keep-alive: 80 … 100 % of the interval, by chance (§4.4.1). */
export function keepAliveDelayMs(
  transport: 'udp' | 'stream',
  flowTimerSec: number | undefined,
  random: Random,
): number {
  const intervalSec = flowTimerSec ?? (transport === 'udp' ? DEFAULT_UDP_SEC : DEFAULT_STREAM_SEC);
  return intervalSec * (800 + randomBelow(random, 201));
}

/** How long a server waits for any byte of a client after `Flow-Timer` (§5.4: with some grace for the network). */
export const flowIdleLimitMs = (flowTimerSec: number): number => flowTimerSec * 1000 + 15_000;

/** How long a client waits before it opens a flow anew (§4.5): base 30 s if all flows failed, 90 s if some stand; at most 30 min. */
export function flowRecoveryDelayMs(consecutiveFailures: number, allFailed: boolean, random: Random): number {
  const baseSec = allFailed ? 30 : 90;
  const upperSec = Math.min(1800, baseSec * 2 ** Math.min(consecutiveFailures, 16));
  return upperSec * (500 + randomBelow(random, 501));
}
