import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import {
  type Dns,
  type NaptrRecord,
  parseUri,
  resolve,
  type SipUri,
  type SrvRecord,
  type TargetTransport,
} from './index.ts';

interface Zone {
  readonly naptr?: Readonly<Record<string, readonly NaptrRecord[]>>;
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
}

/** Names that are not in the zone fail, as resolvers do. */
function dnsOf(zone: Zone): Dns {
  const look = async <T>(records: Readonly<Record<string, T>> | undefined, name: string): Promise<T> => {
    const found = records?.[name];
    if (found === undefined) throw new Error(`queryX ENOTFOUND ${name}`);
    return found;
  };
  return {
    naptr: (name) => look(zone.naptr, name),
    srv: (name) => look(zone.srv, name),
    addresses: (name) => look(zone.addresses, name),
  };
}

const srv = (target: string, port: number, priority = 1, weight = 0): SrvRecord => ({
  target,
  port,
  priority,
  weight,
});
const naptr = (order: number, service: string, replacement: string): NaptrRecord => ({
  order,
  preference: 10,
  flags: 's',
  service,
  replacement,
});

async function targets(uri: string, zone: Zone, transports?: TargetTransport[]): Promise<string[]> {
  const found = await resolve(
    parseUri(uri) as SipUri,
    dnsOf(zone),
    seededRandom(1),
    transports && { transports },
  );
  return found.map(({ transport, address, port }) => `${transport} ${address} ${port}`);
}

const example: Zone = {
  naptr: {
    'example.com': [
      naptr(90, 'SIP+D2U', '_sip._udp.example.com'),
      naptr(50, 'SIPS+D2T', '_sips._tcp.example.com'),
      naptr(10, 'SIP+D2S', '_sip._sctp.example.com'),
    ],
  },
  srv: {
    '_sips._tcp.example.com': [srv('b.example.com.', 5061, 2), srv('a.example.com', 5063, 1)],
    '_sip._udp.example.com': [srv('a.example.com', 5060)],
    '_sip._tcp.example.com': [srv('a.example.com', 5070)],
    '_sip._tcp.closed.com': [srv('.', 0)],
  },
  addresses: {
    'a.example.com': ['192.0.2.1', '2001:db8::1'],
    'b.example.com': ['192.0.2.2'],
    'example.com': ['192.0.2.9'],
    'plain.com': ['192.0.2.8'],
  },
};

describe('resolve (RFC 3263)', () => {
  it.each([
    ['sip:192.0.2.1', ['udp 192.0.2.1 5060']],
    ['sip:a@[2001:db8::1]:5070;transport=tcp', ['tcp 2001:db8::1 5070']],
    ['sips:192.0.2.1', ['tls 192.0.2.1 5061']],
    ['sips:192.0.2.1;transport=tcp', ['tls 192.0.2.1 5061']],
    ['sip:example.com:5099', ['udp 192.0.2.9 5099']],
    ['sips:example.com:5099', ['tls 192.0.2.9 5099']],
    ['sip:ignored.com;maddr=192.0.2.7', ['udp 192.0.2.7 5060']],
    ['sip:192.0.2.1;transport=sctp', []],
    ['sip:192.0.2.1;transport=toString', []],
    ['sips:192.0.2.1;transport=udp', []],
  ])('%s needs no services', async (uri, expected) => expect(await targets(uri, example)).toEqual(expected));

  it('takes the transports that NAPTR names, in its order, and skips those that we do not speak', async () => {
    expect(await targets('sip:example.com', example)).toEqual([
      'tls 192.0.2.1 5063',
      'tls 2001:db8::1 5063',
      'tls 192.0.2.2 5061',
      'udp 192.0.2.1 5060',
      'udp 2001:db8::1 5060',
    ]);
  });

  it('keeps to TLS for sips', async () => {
    expect((await targets('sips:example.com', example)).every((target) => target.startsWith('tls'))).toBe(
      true,
    );
  });

  it('asks for the services of the transport that the URI names', async () => {
    expect(await targets('sip:example.com;transport=TCP', example)).toEqual([
      'tcp 192.0.2.1 5070',
      'tcp 2001:db8::1 5070',
    ]);
  });

  it('asks for services of each transport where there is no NAPTR', async () => {
    const { srv: services, addresses } = example;
    expect(
      await targets('sip:example.com', { srv: services!, addresses: addresses! }, ['tcp', 'udp']),
    ).toEqual(['tcp 192.0.2.1 5070', 'tcp 2001:db8::1 5070', 'udp 192.0.2.1 5060', 'udp 2001:db8::1 5060']);
  });

  it('falls back to the address of the name itself', async () => {
    expect(await targets('sip:plain.com', example)).toEqual(['udp 192.0.2.8 5060']);
    expect(await targets('sips:plain.com', example)).toEqual(['tls 192.0.2.8 5061']);
    expect(await targets('sip:unknown.com', example)).toEqual([]);
  });

  it('believes a service that says it is not there', async () => {
    expect(await targets('sip:closed.com;transport=tcp', example)).toEqual([]);
  });

  it('draws among equals by weight', async () => {
    const zone: Zone = {
      srv: { '_sip._udp.w.com': [srv('a', 1, 1, 75), srv('b', 2, 1, 25), srv('z', 3, 1, 0)] },
      addresses: { a: ['192.0.2.1'], b: ['192.0.2.2'], z: ['192.0.2.3'] },
    };
    const random = seededRandom(5);
    const first = new Map<number, number>();
    for (let i = 0; i < 4000; i++) {
      const found = await resolve(parseUri('sip:w.com;transport=udp') as SipUri, dnsOf(zone), random);
      expect(found).toHaveLength(3);
      first.set(found[0]!.port, (first.get(found[0]!.port) ?? 0) + 1);
    }
    expect(first.get(1)! / 4000).toBeCloseTo(0.75, 1);
    expect(first.get(2)! / 4000).toBeCloseTo(0.25, 1);
    expect(first.get(3) ?? 0).toBeLessThan(120);
  });

  it('bounds what a zone without end can make it do', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => srv('a', i + 1));
    const zone: Zone = {
      srv: { '_sip._udp.many.com': many },
      addresses: { a: Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`) },
    };
    expect((await targets('sip:many.com;transport=udp', zone)).length).toBeLessThanOrEqual(32);
  });
});
