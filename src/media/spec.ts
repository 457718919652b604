import { isPacketMs } from '../audio/index.ts';
import { TwinlineError } from '../base/index.ts';
import { parseAddress, type UdpAddress } from '../native/index.ts';
import { isUsableKey } from '../rtp/index.ts';
import { problemOfTerms } from './dtls-terms.ts';
import { checkPlane } from './plane/check.ts';
import type { StreamSpec } from './protocol.ts';

const DIRECTIONS = new Set(['sendrecv', 'sendonly', 'recvonly', 'inactive']);
const ICE_CHARS = /^[A-Za-z0-9+/]+$/;
const MOST_CODECS = 64;
/** Of internal links: both ends are ours, so there is nothing to negotiate. */
export const LINK_SUITE = 'AEAD_AES_256_GCM';

/**
 * Checks what came over the control channel. Throws `TwinlineError` `bad_spec` that names the field: switches are ours, but of another
 * version perhaps, and a media process must not fall over any of them.
 */
export function checkSpec(value: unknown, isOurs: (address: UdpAddress) => boolean): StreamSpec {
  if (!isObject(value)) throw bad('stream', 'is no object');
  for (const name of ['id', 'call', 'bundle'] as const)
    if (typeof value[name] !== 'string' || value[name] === '' || value[name].length > 64)
      throw bad(name, 'must be a text of 1 to 64 characters');
  if (!Number.isSafeInteger(value.epoch) || (value.epoch as number) < 0)
    throw bad('epoch', 'must be a whole number from 0');
  if (value.family !== 4 && value.family !== 6) throw bad('family', 'must be 4 or 6');
  if (typeof value.rtcpMux !== 'boolean') throw bad('rtcpMux', 'must be true or false');
  if (!DIRECTIONS.has(value.direction as string)) throw bad('direction', 'is none of RFC 4566');
  if (value.source !== undefined && typeof value.source !== 'string')
    throw bad('source', 'must be a stream id');
  if (value.source === value.id) throw bad('source', 'must be another stream');
  checkRemote(value.remote, value.family);
  checkKey('sendKey', value.sendKey);
  checkKey('receiveKey', value.receiveKey);
  if (value.receiveKeyKept !== undefined && typeof value.receiveKeyKept !== 'boolean')
    throw bad('receiveKeyKept', 'must be true or false');
  checkCodecs(value.codecs);
  if (value.packetMs !== undefined && !isPacketMs(value.packetMs))
    throw bad('packetMs', 'must be 10, 20, 30, 40 or 60');
  if (value.voipMetrics !== undefined && typeof value.voipMetrics !== 'boolean')
    throw bad('voipMetrics', 'must be true or false');
  checkMove(value.movedFrom);
  checkPlane(value);
  if (value.udptl !== undefined) checkUdptl(value);
  if (value.link !== undefined) checkLink(value, isOurs);
  if (value.ice !== undefined) checkIce(value);
  if (value.dtls !== undefined) checkDtls(value);
  return value as unknown as StreamSpec;
}

/** The signalled addresses of RTP and RTCP; undefined for an unspecified one (RFC 3264 §5.1 hold of old), which gets nothing. */
export function remoteAddresses(spec: StreamSpec): { rtp?: UdpAddress; rtcp?: UdpAddress } {
  if (spec.remote === undefined) return {};
  const rtp = parseAddress(spec.remote.address, spec.remote.port);
  const rtcp = parseAddress(spec.remote.address, spec.remote.rtcpPort);
  return { ...(rtp?.unsendable === false ? { rtp } : {}), ...(rtcp?.unsendable === false ? { rtcp } : {}) };
}

function checkRemote(remote: unknown, family: 4 | 6): void {
  if (remote === undefined) return;
  if (!isObject(remote)) throw bad('remote', 'is no object');
  for (const name of ['port', 'rtcpPort'] as const) {
    const port = remote[name];
    if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65_535)
      throw bad(`remote.${name}`, 'must be a port');
  }
  if (typeof remote.address !== 'string') throw bad('remote.address', 'must be an IP address');
  const address = parseAddress(remote.address, 9);
  if (address === undefined) throw bad('remote.address', 'must be an IP address');
  if (address.family !== family) throw bad('remote.address', `must be an IPv${family} address`);
  const everybodys = address.unsendable && address.words.some((word) => word !== 0);
  if (everybodys) throw bad('remote.address', 'must not be a multicast or broadcast address');
}

/** A link carries nothing but our own packets, between addresses of our own, under keys that nobody else negotiated. */
function checkLink(value: Record<string, unknown>, isOurs: (address: UdpAddress) => boolean): void {
  const { link, remote, sendKey, receiveKey } = value;
  if (!isObject(link) || typeof link.peer !== 'string' || link.peer === '' || link.peer === value.id)
    throw bad('link', 'must name its other end');
  if ((sendKey === undefined) !== (receiveKey === undefined)) throw bad('link', 'has both keys or none');
  for (const key of [sendKey, receiveKey] as ({ suite: string } | undefined)[])
    if (key !== undefined && key.suite !== LINK_SUITE) throw bad('link', `is under ${LINK_SUITE} alone`);
  if (remote === undefined) return;
  const { address, port } = remote as { address: string; port: number };
  if (!isOurs(parseAddress(address, port)!))
    throw bad('remote.address', 'must be of ours: the stream is a link');
}

/** RFC 8839 §5.4: letters, digits, + and /; the password holds 128 bits at least. One component: RTCP shares the port. */
function checkIce({ ice, link, rtcpMux }: Record<string, unknown>): void {
  if (!isObject(ice)) throw bad('ice', 'is no object');
  for (const [name, least] of [
    ['localUfrag', 4],
    ['localPassword', 22],
    ['remoteUfrag', 4],
    ['remotePassword', 22],
  ] as const) {
    const text = ice[name];
    if (text === undefined && name.startsWith('remote')) continue;
    if (typeof text !== 'string' || text.length < least || text.length > 256 || !ICE_CHARS.test(text))
      throw bad(`ice.${name}`, `must be ${least} to 256 letters, digits, + or /`);
  }
  if ((ice.remoteUfrag === undefined) !== (ice.remotePassword === undefined))
    throw bad('ice', 'has both halves of the peer or none');
  if (rtcpMux !== true) throw bad('ice', 'needs rtcpMux: there is one component');
  if (link !== undefined) throw bad('ice', 'is of no use to a link');
}

function checkDtls({ dtls, sendKey, link }: Record<string, unknown>): void {
  const problem = problemOfTerms(dtls);
  if (problem !== undefined) throw bad('dtls', problem);
  if (sendKey !== undefined || link !== undefined) throw bad('dtls', 'and keys exclude each other');
}

/** Fax goes from peer to peer as it is: nothing of it can be opened, encrypted or listened to here. */
function checkUdptl(value: Record<string, unknown>): void {
  if (typeof value.udptl !== 'boolean') throw bad('udptl', 'must be true or false');
  if (!value.udptl) return;
  for (const name of [
    'sendKey',
    'receiveKey',
    'ice',
    'dtls',
    'link',
    'hears',
    'room',
    'plays',
    'detects',
    'taps',
  ])
    if (value[name] !== undefined) throw bad('udptl', `and ${name} exclude each other`);
  if ((value.codecs as readonly unknown[]).length > 0) throw bad('udptl', 'has no codecs');
}

function checkMove(from: unknown): void {
  if (from === undefined) return;
  if (!isObject(from) || typeof from.bundle !== 'string' || !Number.isSafeInteger(from.epoch))
    throw bad('movedFrom', 'must be a bundle and its epoch');
}

function checkKey(name: string, key: unknown): void {
  if (key === undefined) return;
  if (!isObject(key) || typeof key.suite !== 'string' || typeof key.keySalt !== 'string')
    throw bad(name, 'must have suite and keySalt');
  if (!isUsableKey(key as unknown as Parameters<typeof isUsableKey>[0]))
    throw bad(name, `is no key of a suite that we have (${key.suite})`);
}

function checkCodecs(codecs: unknown): void {
  if (!Array.isArray(codecs) || codecs.length > MOST_CODECS) throw bad('codecs', 'must be a list');
  for (const [i, codec] of codecs.entries()) {
    if (!isObject(codec)) throw bad(`codecs[${i}]`, 'is no object');
    if (!inRange(codec.payloadType, 0, 127)) throw bad(`codecs[${i}].payloadType`, 'must be 0 to 127');
    if (!isShort(codec.name)) throw bad(`codecs[${i}].name`, 'must be a text');
    if (codec.fmtp !== undefined && !isShort(codec.fmtp))
      throw bad(`codecs[${i}].fmtp`, 'must be a text of at most 256 characters');
    if (codec.wants !== undefined && !isShort(codec.wants))
      throw bad(`codecs[${i}].wants`, 'must be a text of at most 256 characters');
    if (!inRange(codec.clockRateHz, 1, 1_000_000))
      throw bad(`codecs[${i}].clockRateHz`, 'must be a rate in Hz');
    if (!inRange(codec.channels, 1, 255)) throw bad(`codecs[${i}].channels`, 'must be 1 to 255');
  }
}

const isShort = (value: unknown): boolean => typeof value === 'string' && value.length <= 256;

const inRange = (value: unknown, from: number, to: number): boolean =>
  Number.isInteger(value) && (value as number) >= from && (value as number) <= to;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const bad = (field: string, what: string): TwinlineError =>
  new TwinlineError('bad_spec', `a stream's ${field} ${what}`);
