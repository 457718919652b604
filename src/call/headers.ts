import { encodeBase32, type Random, randomText } from '../base/index.ts';
import { END_TO_END_FEATURE, header, type SipHeader, type SipMessage } from '../sip/index.ts';
import type { Leg } from './model.ts';
import { callerLeg, peerOf, type Work } from './work.ts';

export const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER';
export const SUPPORTED = ['100rel', 'timer'];
/** Info package and option tag of RFC 8840. */
export const TRICKLE = 'trickle-ice';

/** What a request may require (RFC 3261 §8.2.2.3). */
export const UNDERSTOOD: ReadonlySet<string> = new Set([...SUPPORTED, TRICKLE]);

/** What a leg's peer may ask of us: candidates by INFO only where there is ICE. */
export const supportedOn = ({ media }: Leg): readonly string[] =>
  media.ice === undefined ? SUPPORTED : [...SUPPORTED, TRICKLE];

/** RFC 6086 §5.2.3: said wherever a dialog is made or its target refreshed. */
export const recvInfoOn = ({ media }: Leg): SipHeader[] =>
  media.ice === undefined ? [] : [{ name: 'Recv-Info', value: TRICKLE }];

/** Methods that we know of but do not serve inside a call: 405, while one never heard of gets 501 (RFC 3261 §21.4.6, §21.5.2). */
export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'NOTIFY',
  'SUBSCRIBE',
  'MESSAGE',
  'PUBLISH',
  'REGISTER',
]);

/** What one leg's headers may tell the other. All else stays on its leg, so that no address inside leaks (TR-MEDIA-07). */
const CARRIED: ReadonlySet<string> = new Set([
  'Subject',
  'Priority',
  'Accept-Language',
  'Alert-Info',
  'User-To-User',
  'Answer-Mode',
]);
const MAX_CARRIED = 8;
const MAX_CARRIED_LENGTH = 512;

export const carriedHeaders = (message: SipMessage): SipHeader[] =>
  message.headers
    .filter((entry) => CARRIED.has(entry.name) && entry.value.length <= MAX_CARRIED_LENGTH)
    .slice(0, MAX_CARRIED);

/** Why a call ends (RFC 3326) is for both ends to hear. */
export const reasonHeaders = (message: SipMessage | undefined): SipHeader[] =>
  (message?.headers ?? [])
    .filter((entry) => entry.name === 'Reason' && entry.value.length <= MAX_CARRIED_LENGTH)
    .slice(0, 2);

const NIL_UUID = '0'.repeat(32);

/** The UUID of the sender of a message, 32 hexadecimal digits in lower case; undefined for a client without RFC 7989. */
export function sessionIdOf(message: SipMessage): string | undefined {
  const uuid = /^\s*([0-9a-fA-F]{32})(?:\s*;|\s*$)/
    .exec(header(message, 'Session-ID') ?? '')?.[1]
    ?.toLowerCase();
  return uuid === NIL_UUID ? undefined : uuid;
}

export const newSessionId = (random: Random): string => Buffer.from(random.bytes(16)).toString('hex');

/** RFC 7989 §6: to this leg we speak with the other end's UUID. */
export function sessionIdHeader(work: Work, leg: Leg): SipHeader {
  const { call } = work;
  const other = peerOf(call, leg) ?? (leg === callerLeg(call) ? undefined : callerLeg(call));
  // Before one device is chosen the caller hears of a UUID that stands for the call itself.
  const local = other?.sessionId ?? call.sessionId;
  const remote = leg.role === 'callee' && leg.dialog === undefined ? NIL_UUID : leg.sessionId;
  return { name: 'Session-ID', value: `${local};remote=${remote}` };
}

export const newTag = (work: Work): string => `${work.ctx.token}.${randomText(work.ctx.random, 10)}`;

const host = (address: string): string => (address.includes(':') ? `[${address}]` : address);

export function viaFor(work: Work, leg: Leg): string {
  const { transport, local } = leg.flow;
  const branch = `z9hG4bK${work.ctx.token}.${encodeBase32(work.ctx.random.bytes(8))}`;
  return `SIP/2.0/${transport.toUpperCase()} ${host(local.address)}:${local.port};branch=${branch};rport`;
}

/** Also behind TLS a `sip:` URI (RFC 5630 §3.1.3); RFC 7118 names WebSocket `ws` whether secure or not. */
export function contactFor(work: Work, leg: Leg): string {
  const { transport, local } = leg.flow;
  const parameter = transport === 'udp' ? '' : `;transport=${transport === 'wss' ? 'ws' : transport}`;
  // The other data centre learns what the client here can: it stands for it there.
  const isAble = leg.trunk !== undefined && peerOf(work.call, leg)?.peer.endToEnd === true;
  const features = isAble ? `;${END_TO_END_FEATURE}` : '';
  return `<sip:${work.ctx.token}.${leg.id}@${host(local.address)}:${local.port}${parameter}>${features}`;
}
