import { isIPv4, isIPv6 } from 'node:net';

/**
 * Address and port of a UDP peer as numbers: compared and copied on the packet path without garbage. Mutable on purpose: the
 * loop fills one instance per slot again and again; keep a copy (`copyFrom`), not the instance.
 */
export class UdpAddress {
  family: 4 | 6 = 4;
  port = 0;
  /** The address in network order, 32 bits a word; IPv4 uses the first alone. */
  readonly words = new Int32Array(4);
  /** IPv6 link-local zone; 0 elsewhere. */
  scope = 0;

  equals(other: UdpAddress): boolean {
    const a = this.words;
    const b = other.words;
    if (this.port !== other.port || this.family !== other.family || a[0] !== b[0]) return false;
    if (this.family === 4) return true;
    return a[1] === b[1] && a[2] === b[2] && a[3] === b[3] && this.scope === other.scope;
  }

  copyFrom(other: UdpAddress): void {
    this.family = other.family;
    this.port = other.port;
    this.scope = other.scope;
    for (let i = 0; i < 4; i++) this.words[i] = other.words[i]!;
  }

  clone(): UdpAddress {
    const copy = new UdpAddress();
    copy.copyFrom(this);
    return copy;
  }

  /** Nobody's, everybody's or a group's address: 0.0.0.0/8, ::, multicast, limited broadcast. Media never goes there (PH-EDGE-08). */
  get unsendable(): boolean {
    if (this.port === 0) return true;
    const first = this.words[0]! >>> 24;
    if (this.family === 4) return first === 0 || first >= 224;
    const [a, b, c, d] = this.words as unknown as [number, number, number, number];
    if (first === 0xff) return true;
    if (a === 0 && b === 0 && c === 0) return d === 0;
    // An IPv4 address in IPv6 clothes (::ffff:a.b.c.d) obeys the same rule.
    return a === 0 && b === 0 && c === 0xffff && (d >>> 24 === 0 || d >>> 24 >= 224);
  }

  toString(): string {
    const host = formatAddress(this);
    return this.family === 6 ? `[${host}]:${this.port}` : `${host}:${this.port}`;
  }
}

/** A literal address; undefined for anything else (names are never resolved here) or a port outside 0..65535. */
export function parseAddress(address: string, port: number): UdpAddress | undefined {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return undefined;
  const parsed = new UdpAddress();
  parsed.port = port;
  if (isIPv4(address)) {
    parsed.words[0] = ipv4Word(address);
    return parsed;
  }
  const [literal = '', zone] = address.split('%');
  if (!isIPv6(literal) || (zone !== undefined && !/^\d{1,9}$/.test(zone))) return undefined;
  parsed.family = 6;
  parsed.scope = zone === undefined ? 0 : Number(zone);
  ipv6Words(literal, parsed.words);
  return parsed;
}

/** The address alone, as in SDP. IPv6 in full groups without `::` shortening beyond RFC 5952's longest run. */
export function formatAddress(address: UdpAddress): string {
  const words = address.words;
  if (address.family === 4) {
    const word = words[0]!;
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups: number[] = [];
  for (const word of words) groups.push(word >>> 16, word & 0xffff);
  const run = longestZeroRun(groups);
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  const text =
    run.length < 2
      ? hex(groups)
      : `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
  return address.scope === 0 ? text : `${text}%${address.scope}`;
}

function ipv4Word(address: string): number {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return (a << 24) | (b << 16) | (c << 8) | d;
}

function ipv6Words(literal: string, words: Int32Array): void {
  let text = literal;
  const dotted = /(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (dotted !== undefined) {
    const word = ipv4Word(dotted);
    text = `${text.slice(0, -dotted.length)}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const groupsOf = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const groups = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  for (let i = 0; i < 4; i++) words[i] = (groups[2 * i]! << 16) | groups[2 * i + 1]!;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
