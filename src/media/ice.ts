import { ciphers, type HmacContext, type UdpAddress } from '../native/index.ts';
import type { IceCredentials } from './protocol.ts';

/*
 * ICE-lite (RFC 8445 §2.5): we send no checks, we answer them (`ice-check.ts`), and media goes where the peer nominates (`ice-path.ts`).
 * Here stands what is known of it per stream, as plain data.
 */

/** What a connectivity check must bear. A restart by either side makes a new one (RFC 8445 §9). */
export interface Generation {
  credentials: IceCredentials;
  /** USERNAME of the peer's checks; all before its own fragment until that is known. */
  username: Buffer;
  /** Of our password. Made when the first check comes. */
  key: HmacContext | undefined;
  lastCheckMs: number;
}

/** An address from where an authenticated check came lately. */
export interface IcePeer {
  readonly address: UdpAddress;
  seenMs: number;
}

export interface Nomination {
  readonly address: UdpAddress;
  readonly priority: number;
}

export interface IceAgent {
  current: Generation;
  /** From before a restart. Its checks are answered, as they keep the old path open until the new one is nominated. */
  previous: Generation | undefined;
  /** Counts restarts. */
  generation: number;
  /** The generation whose nomination `stream.rtp` follows; -1: none yet. */
  nominatedBy: number;
  priority: number;
  nominatedMs: number;
  /** Of lower priority: waits until the one before it is old. */
  pending: Nomination | undefined;
  /** When the last check came from the nominated address. */
  consentMs: number;
  readonly peers: IcePeer[];
  /** What switches were told last. */
  said: 'nothing' | 'connected' | 'failed';
  /** When the peer's credentials were known; -1: they are not. */
  sinceMs: number;
  tickMs: number;
  readonly checks: Allowance;
  readonly refusals: Allowance;
}

/** So many at once, and as many more each second. */
export interface Allowance {
  left: number;
  atMs: number;
}

/** A browser sends at most 20 checks a second (every 48 ms), RFC 8445 §14.2 allows 200. */
export const CHECKS_PER_SECOND = 200;
/** Refusals go to whoever asks: few, so that nobody is flooded by us. */
export const REFUSALS_PER_SECOND = 10;

export const newIceAgent = (credentials: IceCredentials, nowMs: number): IceAgent => ({
  current: newGeneration(credentials, nowMs),
  previous: undefined,
  generation: 0,
  nominatedBy: -1,
  priority: 0,
  nominatedMs: 0,
  pending: undefined,
  consentMs: nowMs,
  peers: [],
  said: 'nothing',
  sinceMs: credentials.remoteUfrag === undefined ? -1 : nowMs,
  tickMs: nowMs,
  checks: { left: CHECKS_PER_SECOND, atMs: nowMs },
  refusals: { left: REFUSALS_PER_SECOND, atMs: nowMs },
});

/** The credentials as a switch says them (again). Others than before are a restart: the path stays until the new ones nominate. */
export function applyCredentials(agent: IceAgent, credentials: IceCredentials, nowMs: number): void {
  const before = agent.current.credentials;
  if (sameCredentials(before, credentials)) return;
  const answered =
    before.remoteUfrag === undefined &&
    before.localUfrag === credentials.localUfrag &&
    before.localPassword === credentials.localPassword;
  if (answered) {
    agent.current.credentials = credentials;
    agent.current.username = usernameOf(credentials);
  } else {
    forgetPrevious(agent);
    agent.previous = agent.current;
    agent.current = newGeneration(credentials, nowMs);
    agent.generation++;
    agent.pending = undefined;
  }
  agent.sinceMs = credentials.remoteUfrag === undefined ? -1 : nowMs;
}

/** The generation is over. */
export function forgetPrevious(agent: IceAgent): void {
  agent.previous?.key?.free();
  agent.previous = undefined;
}

export function closeIce(agent: IceAgent): void {
  forgetPrevious(agent);
  agent.current.key?.free();
  agent.current.key = undefined;
}

export function keyOf(generation: Generation): HmacContext {
  generation.key ??= ciphers().hmacSha1(Buffer.from(generation.credentials.localPassword));
  return generation.key;
}

/** Takes one; false when none is left. */
export function spend(allowance: Allowance, perSecond: number, nowMs: number): boolean {
  const grown = ((nowMs - allowance.atMs) * perSecond) / 1000;
  allowance.left = Math.min(perSecond, allowance.left + Math.max(0, grown));
  allowance.atMs = nowMs;
  if (allowance.left < 1) return false;
  allowance.left--;
  return true;
}

export const newGeneration = (credentials: IceCredentials, nowMs: number): Generation => ({
  credentials,
  username: usernameOf(credentials),
  key: undefined,
  lastCheckMs: nowMs,
});

/** RFC 8445 §7.2.2: the receiver's fragment comes first. */
const usernameOf = ({ localUfrag, remoteUfrag = '' }: IceCredentials): Buffer =>
  Buffer.from(`${localUfrag}:${remoteUfrag}`);

const sameCredentials = (a: IceCredentials, b: IceCredentials): boolean =>
  a.localUfrag === b.localUfrag &&
  a.localPassword === b.localPassword &&
  a.remoteUfrag === b.remoteUfrag &&
  a.remotePassword === b.remotePassword;
