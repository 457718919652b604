import { failed, ok, type Result } from '../base/index.ts';
import type { Peer } from './channel.ts';
import { PROTOCOL_VERSION } from './protocol.ts';
import type { Window } from './sent.ts';

/** The first frame of each side. */
export interface Greeting extends Peer {
  readonly version: number;
  /** What this side is ready to hold of the peer's frames, per lane. */
  readonly window: Window;
}

export function greetingOf(self: Peer, window: Window): Greeting {
  const { role, id, pid, startTime } = self;
  return { version: PROTOCOL_VERSION, role, id, pid, startTime, window };
}

/** Reads a greeting, or says in a sentence why this peer cannot be talked to. */
export function readGreeting(data: unknown): Result<Greeting, string> {
  const greeting = data as Partial<Greeting> | null | undefined;
  if (typeof greeting !== 'object' || greeting === null) return failed('the greeting is empty');
  const { version, role, id, pid, startTime, window } = greeting;
  if (version !== PROTOCOL_VERSION) {
    return failed(
      `the peer speaks protocol version ${String(version).slice(0, 20)}, this process ${PROTOCOL_VERSION}: run the same release on both sides`,
    );
  }
  if (!isName(role) || !isName(id)) return failed('the greeting names no role and id');
  if (!isCount(pid) || !isCount(startTime)) return failed('the greeting names no process');
  if (typeof window !== 'object' || window === null || !isCount(window.frames) || !isCount(window.bytes)) {
    return failed('the greeting names no window');
  }
  return ok({ version, role, id, pid, startTime, window: { frames: window.frames, bytes: window.bytes } });
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 64;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
