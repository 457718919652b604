import type { Address } from './options.ts';

const MAGIC_COOKIE = 0x2112a442;
const BINDING_REQUEST = 0x0001;
const BINDING_RESPONSE = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;

/** What a datagram on a SIP port may be besides SIP: nothing but line breaks or zero bytes, or STUN (RFC 5626 §3.5.2, §4.4.2). */
export function keepAliveOf(bytes: Uint8Array): 'blank' | 'stun' | undefined {
  // STUN begins with two zero bits, any SIP message with a letter (RFC 5389 §6).
  if (bytes.length >= 20 && bytes[0]! < 4 && view(bytes).getUint32(4) === MAGIC_COOKIE) return 'stun';
  if (bytes.length > 4) return undefined;
  // Phones send one to four of these bytes to keep a NAT's binding open.
  return bytes.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0x00) ? 'blank' : undefined;
}

/** The answer to a STUN Binding request: the address that it came from. Undefined for anything else. */
export function answerStun(request: Uint8Array, source: Address): Uint8Array | undefined {
  const asked = view(request);
  if (asked.getUint16(0) !== BINDING_REQUEST || asked.getUint16(2) !== request.length - 20) return undefined;
  const address = addressBytes(source.address);
  if (!address) return undefined;
  const answer = new Uint8Array(20 + 8 + address.length);
  const out = view(answer);
  answer.set(request.subarray(0, 20));
  out.setUint16(0, BINDING_RESPONSE);
  out.setUint16(2, 8 + address.length);
  out.setUint16(20, XOR_MAPPED_ADDRESS);
  out.setUint16(22, 4 + address.length);
  out.setUint16(24, address.length === 4 ? 1 : 2);
  out.setUint16(26, source.port ^ (MAGIC_COOKIE >>> 16));
  // The cookie and the transaction id that follows it are the pad (RFC 5389 §15.2).
  for (let at = 0; at < address.length; at++) answer[28 + at] = address[at]! ^ request[4 + at]!;
  return answer;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function addressBytes(address: string): number[] | undefined {
  if (!address.includes(':')) {
    const parts = address.split('.').map(Number);
    return parts.length === 4 && parts.every((part) => part >= 0 && part <= 255) ? parts : undefined;
  }
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros =
    tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  const groups = [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
  if (groups.length !== 8 || groups.some((group) => Number.isNaN(group))) return undefined;
  return groups.flatMap((group) => [group >> 8, group & 0xff]);
}
