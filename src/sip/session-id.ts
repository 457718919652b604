import type { Random } from '../base/index.ts';
import { header } from './headers.ts';
import type { SipHeader, SipMessage } from './message.ts';
import { parseTokenParams } from './params.ts';

/** RFC 7989: the UUIDs of the two ends, each 32 lower-case hex digits. `local` is the sender's. */
export interface SessionId {
  readonly local: string;
  /** Absent from a sender that speaks only RFC 7329. */
  readonly remote?: string;
}

/** "The nil UUID": this end does not know the other one yet (RFC 7989 §5). */
export const NIL_UUID = '0'.repeat(32);

const UUID = /^[0-9a-f]{32}$/;

export function sessionIdOf(message: SipMessage): SessionId | undefined {
  const value = header(message, 'Session-ID');
  if (value === undefined) return undefined;
  const semicolon = value.indexOf(';');
  const local = (semicolon === -1 ? value : value.slice(0, semicolon)).trim();
  const params = semicolon === -1 ? {} : parseTokenParams(value, semicolon);
  if (!UUID.test(local) || params === undefined) return undefined;
  const remote = (params as Record<string, string | true | undefined>)['remote'];
  if (remote === undefined) return { local };
  return typeof remote === 'string' && UUID.test(remote) ? { local, remote } : undefined;
}

/** What we send: our end first, the other end as `remote`, nil while unknown. */
export const sessionIdHeader = ({ local, remote }: SessionId): SipHeader => ({
  name: 'Session-ID',
  value: `${local};remote=${remote ?? NIL_UUID}`,
});

/** A random UUID (version 4) in the form of RFC 7989 §4.1. */
export function newSessionUuid(random: Random): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex');
}
