import { isIP } from 'node:net';
import { type Random, randomBelow } from '../base/index.ts';
import type { SipUri } from './uri.ts';

export type TargetTransport = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

/** Where a request can be sent, one try after the other. */
export interface Target {
  readonly transport: TargetTransport;
  /** Numeric, IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  /** `SIP+D2U`, `SIPS+D2T` … */
  readonly service: string;
  readonly replacement: string;
}

export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** Lookups of names. An answer that is empty and one that fails (rejects) read the same: there is no such record. */
export interface Dns {
  naptr(name: string): Promise<readonly NaptrRecord[]>;
  srv(name: string): Promise<readonly SrvRecord[]>;
  /** A and AAAA, in the order to be tried. */
  addresses(name: string): Promise<readonly string[]>;
}

export interface ResolveOptions {
  /** What we can send over, the preferred first. Default UDP, TCP, TLS. */
  readonly transports?: readonly TargetTransport[];
}

const SERVICES: Readonly<Record<string, TargetTransport>> = {
  'SIP+D2U': 'udp',
  'SIP+D2T': 'tcp',
  'SIPS+D2T': 'tls',
  'SIP+D2W': 'ws',
  'SIPS+D2W': 'wss',
};
const SRV_PREFIX: Readonly<Record<TargetTransport, string>> = {
  udp: '_sip._udp.',
  tcp: '_sip._tcp.',
  tls: '_sips._tcp.',
  ws: '_sip._ws.',
  wss: '_sips._ws.',
};
const DEFAULT_PORT: Readonly<Record<TargetTransport, number>> = {
  udp: 5060,
  tcp: 5060,
  tls: 5061,
  ws: 80,
  wss: 443,
};
const SECURE: Readonly<Partial<Record<TargetTransport, TargetTransport>>> = { tcp: 'tls', ws: 'wss' };

/** A hostile zone may list records without end. */
const MAX_RECORDS = 16;
const MAX_TARGETS = 32;

/**
 * RFC 3263 §4: what to try for a request to this URI, in order; empty when there is nowhere to send it. The URI is the topmost Route's, or
 * the Request-URI.
 */
export async function resolve(
  uri: SipUri,
  dns: Dns,
  random: Random,
  options: ResolveOptions = {},
): Promise<Target[]> {
  const supported = (options.transports ?? ['udp', 'tcp', 'tls']).filter(
    (one) => uri.scheme === 'sip' || isSecure(one),
  );
  const look = new Lookup(dns, random);
  const maddr = uri.params['maddr'];
  const name = (typeof maddr === 'string' ? maddr : uri.host).replace(/^\[|\]$/g, '');
  const isNumeric = isIP(name) !== 0;
  const named = namedTransport(uri);
  if (named === null) return [];
  if (named !== undefined && !supported.includes(named)) return [];

  if (isNumeric || uri.port !== undefined) {
    // §4.1: "if the target is a numeric IP address … or a port is provided, the client SHOULD use UDP for a SIP URI, TCP for SIPS".
    const transport = named ?? (uri.scheme === 'sips' ? 'tls' : 'udp');
    if (!supported.includes(transport)) return [];
    const port = uri.port ?? DEFAULT_PORT[transport];
    return isNumeric ? [{ transport, address: name, port }] : look.addresses(transport, name, port);
  }
  const targets =
    named === undefined ? await look.anyTransport(name, supported) : await look.services(named, name);
  if (targets.length > 0) return targets.slice(0, MAX_TARGETS);
  const transport = named ?? (uri.scheme === 'sips' ? 'tls' : 'udp');
  return supported.includes(transport) ? look.addresses(transport, name, DEFAULT_PORT[transport]) : [];
}

const isSecure = (transport: TargetTransport): boolean => transport === 'tls' || transport === 'wss';

/** The transport that the URI names; undefined: none; null: one that we do not know. */
function namedTransport(uri: SipUri): TargetTransport | undefined | null {
  const param = uri.params['transport'];
  if (param === undefined) return undefined;
  const name = String(param).toLowerCase();
  if (!Object.hasOwn(DEFAULT_PORT, name)) return null;
  const transport = name as TargetTransport;
  // `sips:…;transport=tcp` means TLS over TCP (RFC 3261 §26.2.2, §19.1.4).
  return uri.scheme === 'sips' ? (SECURE[transport] ?? transport) : transport;
}

class Lookup {
  readonly #dns: Dns;
  readonly #random: Random;

  constructor(dns: Dns, random: Random) {
    this.#dns = dns;
    this.#random = random;
  }

  /** §4.1 without a transport in the URI: NAPTR names it, else whichever SRV records there are. */
  async anyTransport(name: string, supported: readonly TargetTransport[]): Promise<Target[]> {
    const naptr = [...(await orNone(this.#dns.naptr(name)))]
      .filter(
        ({ flags, service }) =>
          flags.toLowerCase() === 's' && supported.includes(SERVICES[service.toUpperCase()]!),
      )
      .sort((a, b) => a.order - b.order || a.preference - b.preference)
      .slice(0, MAX_RECORDS);
    const targets: Target[] = [];
    for (const { service, replacement } of naptr) {
      targets.push(...(await this.#srv(SERVICES[service.toUpperCase()]!, replacement)));
    }
    if (naptr.length > 0) return targets;
    for (const transport of supported) targets.push(...(await this.services(transport, name)));
    return targets;
  }

  services(transport: TargetTransport, name: string): Promise<Target[]> {
    return this.#srv(transport, SRV_PREFIX[transport] + name);
  }

  async addresses(transport: TargetTransport, name: string, port: number): Promise<Target[]> {
    const found = isIP(name) === 0 ? await orNone(this.#dns.addresses(name)) : [name];
    return found.slice(0, MAX_RECORDS).map((address) => ({ transport, address, port }));
  }

  async #srv(transport: TargetTransport, name: string): Promise<Target[]> {
    const records = (await orNone(this.#dns.srv(name))).slice(0, MAX_RECORDS);
    const targets: Target[] = [];
    for (const { target, port } of inOrder(records, this.#random)) {
      // "A Target of "." means that the service is decidedly not available" (RFC 2782).
      if (target === '.' || target === '') continue;
      targets.push(...(await this.addresses(transport, target.replace(/\.$/, ''), port)));
    }
    return targets;
  }
}

/** RFC 2782: by priority; among equals a draw in which a weight is a chance. */
function inOrder(records: readonly SrvRecord[], random: Random): SrvRecord[] {
  const left = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  const ordered: SrvRecord[] = [];
  while (left.length > 0) {
    const peers = left.filter(({ priority }) => priority === left[0]!.priority);
    const total = peers.reduce((sum, { weight }) => sum + weight, 0);
    // Those of weight 0 stand first, so they are drawn when the draw is 0: "a very small chance".
    const draw = randomBelow(random, total + 1);
    let sum = 0;
    let at = 0;
    for (; at < peers.length - 1; at++) {
      sum += peers[at]!.weight;
      if (sum >= draw) break;
    }
    const chosen = peers[at]!;
    ordered.push(chosen);
    left.splice(left.indexOf(chosen), 1);
  }
  return ordered;
}

/** What fails is what is not there: the next way of §4 is tried. */
async function orNone<T>(answer: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await answer;
  } catch {
    return [];
  }
}
