import { hasOption, header } from './headers.ts';
import type { SipHeader, SipRequest, SipResponse } from './message.ts';

/** RFC 4028 §5: nobody may ask for less than 90 s. */
export const MIN_SE_FLOOR_SEC = 90;
/** RFC 4028 §4 recommends 1,800 s. */
export const DEFAULT_SESSION_SEC = 1800;

/** A running session timer (RFC 4028) as plain data. Deadlines by `Clock.nowMs`. */
export interface SessionTimer {
  readonly intervalSec: number;
  /** Who sends the refreshing re-INVITE or UPDATE. */
  readonly refresher: 'us' | 'them';
  /** When we refresh (half the interval, §10); only if we are the refresher. */
  readonly refreshAtMs?: number;
  /** When the session is given up with a BYE: the interval's end, or before it if the peer had to refresh (§10). */
  readonly endsAtMs: number;
}

export interface SessionTimerPolicy {
  /** What we ask for, and the most we accept. */
  readonly intervalSec: number;
  /** What we insist on at least. Never below 90. */
  readonly minSec: number;
}

export interface SessionExpires {
  readonly intervalSec: number;
  readonly refresher?: 'uac' | 'uas';
}

/** `Session-Expires: 1800;refresher=uas` (compact form x). Undefined when absent or unreadable. */
export function parseSessionExpires(value: string | undefined): SessionExpires | undefined {
  const match = /^\s*(\d{1,10})\s*((?:;.*)?)$/s.exec(value ?? '');
  if (match === null) return undefined;
  const refresher = /;\s*refresher\s*=\s*(uac|uas)\s*(?:;|$)/i.exec(match[2]!)?.[1]?.toLowerCase();
  const intervalSec = Number(match[1]);
  return refresher === undefined ? { intervalSec } : { intervalSec, refresher: refresher as 'uac' | 'uas' };
}

/** The number of a `Min-SE` header, or undefined. */
export function parseMinSe(value: string | undefined): number | undefined {
  const match = /^\s*(\d{1,10})\s*(?:;.*)?$/s.exec(value ?? '');
  return match === null ? undefined : Number(match[1]);
}

/**
 * What an INVITE or UPDATE of ours carries (§7.1, §7.4). In a refresh `current` keeps the roles as they are. `Supported: timer` is
 * the caller's to list.
 */
export function sessionTimerRequestHeaders(
  policy: SessionTimerPolicy,
  current?: SessionTimer,
): readonly SipHeader[] {
  const intervalSec = Math.max(current?.intervalSec ?? policy.intervalSec, policy.minSec, MIN_SE_FLOOR_SEC);
  const role = current === undefined ? '' : `;refresher=${current.refresher === 'us' ? 'uac' : 'uas'}`;
  return [
    { name: 'Session-Expires', value: `${intervalSec}${role}` },
    ...(policy.minSec > MIN_SE_FLOOR_SEC ? [{ name: 'Min-SE', value: String(policy.minSec) }] : []),
  ];
}

export type SessionTimerAnswer =
  /** Answer 422 with `Min-SE` (§6). */
  | { readonly type: 'too-small'; readonly minSec: number }
  /** Answer 2xx with these headers; `timer` absent: none runs. */
  | { readonly type: 'accept'; readonly timer?: SessionTimer; readonly headers: readonly SipHeader[] };

/** The UAS's side (§9): what a 2xx to this INVITE or UPDATE says, and the timer that runs from then on. */
export function answerSessionTimer(
  request: SipRequest,
  policy: SessionTimerPolicy,
  nowMs: number,
): SessionTimerAnswer {
  const peerSupports = hasOption(request, 'Supported', 'timer') || hasOption(request, 'Require', 'timer');
  const asked = parseSessionExpires(header(request, 'Session-Expires'));
  const ourMinSec = Math.max(policy.minSec, MIN_SE_FLOOR_SEC);
  // §9: 422 only to a UAC that understands it; another's interval may be too small by a proxy's doing, and is raised.
  if (asked !== undefined && asked.intervalSec < ourMinSec && peerSupports) {
    return { type: 'too-small', minSec: ourMinSec };
  }
  const floorSec = Math.max(ourMinSec, parseMinSe(header(request, 'Min-SE')) ?? 0);
  const intervalSec = Math.max(
    Math.min(asked?.intervalSec ?? policy.intervalSec, policy.intervalSec),
    floorSec,
  );
  // §9, table 2: a UAC without the extension cannot refresh, so we do.
  const refresher = peerSupports ? (asked?.refresher ?? 'uac') : 'uas';
  return {
    type: 'accept',
    timer: startSessionTimer(intervalSec, refresher === 'uas' ? 'us' : 'them', nowMs),
    headers: [
      { name: 'Session-Expires', value: `${intervalSec};refresher=${refresher}` },
      // §9: the UAC must know that it is to refresh.
      ...(refresher === 'uac' ? [{ name: 'Require', value: 'timer' }] : []),
    ],
  };
}

/**
 * The UAC's side (§7.2): the timer that a 2xx to our INVITE or UPDATE starts. Without `Session-Expires` in it the peer does not know of
 * session timers; we then refresh by ourselves if `policy` is given.
 */
export function sessionTimerFromAnswer(
  response: SipResponse,
  nowMs: number,
  policy?: SessionTimerPolicy,
): SessionTimer | undefined {
  const said = parseSessionExpires(header(response, 'Session-Expires'));
  if (said !== undefined) {
    // A peer that names no refresher breaks §9; refreshing ourselves keeps the call up.
    return startSessionTimer(
      Math.max(said.intervalSec, MIN_SE_FLOOR_SEC),
      said.refresher === 'uas' ? 'them' : 'us',
      nowMs,
    );
  }
  return policy === undefined ? undefined : startSessionTimer(policy.intervalSec, 'us', nowMs);
}

/** After 422 (§7.3): the policy to try again with, or undefined if the 422 names nothing that helps. */
export function policyAfter422(
  response: SipResponse,
  policy: SessionTimerPolicy,
): SessionTimerPolicy | undefined {
  const minSec = parseMinSe(header(response, 'Min-SE'));
  if (minSec === undefined || minSec <= policy.minSec) return undefined;
  return { intervalSec: Math.max(policy.intervalSec, minSec), minSec };
}

/** §10: refresh at half the interval; who waits for the peer's refresh gives up min(32 s, a third) before the end. */
export function startSessionTimer(
  intervalSec: number,
  refresher: SessionTimer['refresher'],
  nowMs: number,
): SessionTimer {
  const lengthMs = intervalSec * 1000;
  const marginMs = refresher === 'us' ? 0 : Math.min(32_000, lengthMs / 3);
  return {
    intervalSec,
    refresher,
    ...(refresher === 'us' ? { refreshAtMs: nowMs + lengthMs / 2 } : {}),
    endsAtMs: nowMs + lengthMs - marginMs,
  };
}

/** What a session timer asks for now. After `refresh` send one and call `refreshSent`; after `expired` send BYE. */
export function sessionTimerDue(timer: SessionTimer, nowMs: number): 'refresh' | 'expired' | 'nothing' {
  if (timer.endsAtMs <= nowMs) return 'expired';
  return timer.refreshAtMs !== undefined && timer.refreshAtMs <= nowMs ? 'refresh' : 'nothing';
}

/** The refresh is under way: its 2xx gives a new timer, its failure lets this one run out. */
export function refreshSent(timer: SessionTimer): SessionTimer {
  const { refreshAtMs: _, ...rest } = timer;
  return rest;
}

export function sessionTimerDeadlineMs(timer: SessionTimer): number {
  return Math.min(timer.refreshAtMs ?? timer.endsAtMs, timer.endsAtMs);
}
