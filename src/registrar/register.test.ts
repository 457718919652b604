import { describe, expect, test } from 'vitest';
import type { AccountId, DeviceId, EdgeId, FlowId, UserId } from '../base/index.ts';
import type { Device, User } from '../directory/index.ts';
import type { Flow, TransportName } from '../link/index.ts';
import { createRequest, header, headerValues } from '../sip/index.ts';
import type { StoredBinding } from './bindings.ts';
import { register } from './register.ts';

const user: User = {
  id: 'ada' as UserId,
  siteId: 'main',
  extension: '1001',
  displayName: 'Ada',
  ring: { mode: 'all', maxWaitSec: 30 },
};
const device: Device = {
  id: 'ada' as DeviceId,
  userId: user.id,
  sipUser: '1001',
  domain: 'demo.test',
  ha1: {},
  digestAlgorithms: ['MD5'],
  mediaProfile: 'desk-128',
  maxBindings: 3,
};
const flowOf = (port: number, transport: TransportName = 'udp'): Flow => ({
  id: `f${port}` as FlowId,
  edge: 'edge1' as EdgeId,
  transport,
  local: { address: '127.0.0.1', port: 5060 },
  remote: { address: '127.0.0.1', port },
});

/** A registrar with a memory of one device. */
class Memory {
  bindings: readonly StoredBinding[] = [];
  utcMs = Date.UTC(2026, 0, 1);
  maxExpiresSec: number | undefined;

  send(init: {
    contacts?: readonly string[];
    expires?: string;
    callId?: string;
    cseq?: number;
    headers?: Record<string, string | string[]>;
    flow?: Flow;
    vias?: number;
  }) {
    const request = createRequest({
      method: 'REGISTER',
      uri: 'sip:demo.test',
      headers: {
        Via: Array.from(
          { length: init.vias ?? 1 },
          (_, at) => `SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bK${at}`,
        ),
        From: '<sip:1001@demo.test>;tag=a',
        To: '<sip:1001@demo.test>',
        'Call-ID': init.callId ?? 'one',
        CSeq: `${init.cseq ?? 1} REGISTER`,
        ...(init.contacts && { Contact: init.contacts }),
        ...(init.expires !== undefined && { Expires: init.expires }),
        ...init.headers,
      },
    });
    const outcome = register({
      request,
      flow: init.flow ?? flowOf(4000),
      account: 'demo' as AccountId,
      device,
      user,
      bindings: this.bindings,
      utcMs: this.utcMs,
      toTag: 'us',
      ...(this.maxExpiresSec === undefined ? {} : { maxExpiresSec: this.maxExpiresSec }),
    });
    const gone = new Set([...outcome.put, ...outcome.removed].map(({ id }) => id));
    this.bindings = [...this.bindings.filter(({ id }) => !gone.has(id)), ...outcome.put];
    return outcome.response;
  }

  get contacts(): string[] {
    return this.bindings.map(({ binding }) => binding.contact).sort();
  }
}

describe('adding, asking and removing (RFC 3261 §10.3)', () => {
  test('several contacts in one request are all there in the answer, each with its time', () => {
    const memory = new Memory();
    const response = memory.send({
      contacts: ['<sip:1001@10.0.0.1>;expires=300', '<sip:1001@10.0.0.2:5070>;q=0.5'],
      expires: '600',
    });
    expect(response.status).toBe(200);
    expect(headerValues(response, 'Contact')).toEqual([
      '<sip:1001@10.0.0.1>;expires=300',
      '<sip:1001@10.0.0.2:5070>;q=0.5;expires=600',
    ]);
    expect(header(response, 'To')).toBe('<sip:1001@demo.test>;tag=us');
  });

  test('where a phone must soon find out that its data centre is gone, it is registered for less than it asks', () => {
    const memory = new Memory();
    memory.maxExpiresSec = 28;
    const contacts = ['<sip:1001@10.0.0.1>;expires=300', '<sip:1001@10.0.0.2>'];
    const registered = headerValues(memory.send({ contacts, expires: '3600' }), 'Contact');
    expect(registered.map((contact) => contact.split(';').at(-1))).toEqual(['expires=28', 'expires=28']);
  });

  test.each([
    [';+g.twinline.e2ee', true],
    [';+G.Twinline.E2EE="TRUE"', true],
    [';+g.twinline.e2ee="FALSE"', undefined],
    [';+g.twinline.e2ee="!TRUE"', undefined],
    ['', undefined],
  ])('a client whose Contact ends in %j can encrypt end to end: %s (RFC 3840)', (features, endToEnd) => {
    const memory = new Memory();
    const response = memory.send({ contacts: [`<sip:1001@10.0.0.1>${features}`], expires: '600' });
    expect(memory.bindings[0]?.binding.endToEnd).toBe(endToEnd);
    const told = endToEnd === true ? ';+g.twinline.e2ee' : '';
    expect(header(response, 'Contact')).toBe(`<sip:1001@10.0.0.1>${told};expires=600`);
  });

  test('a request without Contact fetches', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'] });
    memory.utcMs += 1_000_000;
    expect(headerValues(memory.send({ cseq: 2 }), 'Contact')).toEqual(['<sip:1001@10.0.0.1>;expires=2600']);
    expect(memory.contacts).toHaveLength(1);
  });

  test('expires=0 removes one, the star removes all', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>, <sip:1001@10.0.0.2>', '<sip:1001@10.0.0.3>'] });
    memory.send({ contacts: ['<sip:1001@10.0.0.2>;expires=0'], cseq: 2 });
    expect(memory.contacts).toEqual(['sip:1001@10.0.0.1', 'sip:1001@10.0.0.3']);
    const response = memory.send({ contacts: ['*'], expires: '0', cseq: 3 });
    expect([response.status, headerValues(response, 'Contact')]).toEqual([200, []]);
    expect(memory.contacts).toEqual([]);
  });

  test('the star with another expiry or with company is refused and removes nothing', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'] });
    expect(memory.send({ contacts: ['*'], expires: '60', cseq: 2 }).status).toBe(400);
    expect(memory.send({ contacts: ['*'], cseq: 2 }).status).toBe(400);
    expect(memory.send({ contacts: ['*', '<sip:1001@10.0.0.1>'], expires: '0', cseq: 2 }).status).toBe(400);
    expect(memory.contacts).toHaveLength(1);
  });

  test('too brief is 423 with Min-Expires, too long is cut, malformed is the default', () => {
    const memory = new Memory();
    const brief = memory.send({ contacts: ['<sip:1001@10.0.0.1>;expires=59'] });
    expect([brief.status, header(brief, 'Min-Expires')]).toEqual([423, '60']);
    const long = memory.send({ contacts: ['<sip:1001@10.0.0.1>;expires=4294967295'], cseq: 2 });
    expect(header(long, 'Contact')).toContain('expires=3600');
    const odd = memory.send({ contacts: ['<sip:1001@10.0.0.1>;expires=soon'], cseq: 3 });
    expect(header(odd, 'Contact')).toContain('expires=3600');
  });

  test('one contact that cannot be accepted leaves all as it was', () => {
    const memory = new Memory();
    expect(memory.send({ contacts: ['<sip:1001@10.0.0.1>', '<sip:1001@10.0.0.2>;expires=5'] }).status).toBe(
      423,
    );
    expect(memory.send({ contacts: ['<sip:1001@10.0.0.1>', '<mailto:ada@demo.test>'] }).status).toBe(400);
    expect(memory.contacts).toEqual([]);
  });
});

describe('order of requests', () => {
  test('an older one that comes late is refused, the same one again is harmless', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'], cseq: 5 });
    expect(memory.send({ contacts: ['<sip:1001@10.0.0.1>;expires=0'], cseq: 4 }).status).toBe(500);
    expect(memory.send({ contacts: ['*'], expires: '0', cseq: 4 }).status).toBe(500);
    expect(memory.send({ contacts: ['<sip:1001@10.0.0.1>'], cseq: 5 }).status).toBe(200);
    expect(memory.contacts).toHaveLength(1);
  });

  test('another Call-ID has its own order', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'], cseq: 5 });
    expect(memory.send({ contacts: ['<sip:1001@10.0.0.1>'], cseq: 1, callId: 'two' }).status).toBe(200);
  });

  test('a renewal counts though the wall clock was set back', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'] });
    const before = memory.bindings[0]!.binding.registeredUtcMs;
    memory.utcMs -= 60_000;
    memory.send({ contacts: ['<sip:1001@10.0.0.1>'], cseq: 2 });
    expect(memory.bindings[0]!.binding.registeredUtcMs).toBeGreaterThan(before);
  });
});

describe('several phones of one user (PH-DEVICE-08)', () => {
  test('equal URIs are one binding though written differently (§19.1.4)', () => {
    const memory = new Memory();
    memory.send({ contacts: ['<sip:%31001@Example.COM;transport=tcp>'] });
    memory.send({ contacts: ['<sip:1001@example.com;transport=tcp;line=7>'], cseq: 2 });
    memory.send({ contacts: ['<sip:1001@example.com>'], cseq: 3 });
    expect(memory.contacts).toEqual(['sip:1001@example.com', 'sip:1001@example.com;transport=tcp;line=7']);
  });

  test('beyond the limit the one not heard of for longest goes', () => {
    const memory = new Memory();
    for (const at of [1, 2, 3, 4]) {
      memory.utcMs += 1000;
      memory.send({ contacts: [`<sip:1001@10.0.0.${at}>`], callId: `phone ${at}` });
    }
    expect(memory.contacts).toEqual(['sip:1001@10.0.0.2', 'sip:1001@10.0.0.3', 'sip:1001@10.0.0.4']);
    expect(memory.send({ contacts: [1, 2, 3, 4].map((at) => `<sip:1001@10.1.0.${at}>`) }).status).toBe(403);
  });

  test('a phone that was started anew replaces itself', () => {
    const memory = new Memory();
    const instance = '+sip.instance="<urn:uuid:0A1B>"';
    memory.send({ contacts: [`<sip:1001-x1@127.0.0.1:4000>;${instance}`] });
    memory.send({
      contacts: [`<sip:1001-x2@127.0.0.1:4100>;${instance}`],
      callId: 'after',
      flow: flowOf(4100),
    });
    expect(memory.contacts).toEqual(['sip:1001-x2@127.0.0.1:4100']);
  });
});

describe('outbound (RFC 5626) and Path (RFC 3327)', () => {
  const contact = (port: number, regId: number): string =>
    `<sip:1001@10.0.0.1:${port}>;reg-id=${regId};+sip.instance="<urn:uuid:0A1B>"`;

  test('instance and reg-id replace, whatever the URI; two reg-ids are two flows', () => {
    const memory = new Memory();
    const headers = { Supported: 'path, outbound' };
    const first = memory.send({ contacts: [contact(1, 1)], headers, flow: flowOf(1, 'tls') });
    expect([header(first, 'Require'), header(first, 'Flow-Timer')]).toEqual(['outbound', '120']);
    memory.send({ contacts: [contact(2, 2)], headers, flow: flowOf(2, 'tls'), callId: 'two' });
    memory.send({ contacts: [contact(3, 1)], headers, flow: flowOf(3, 'tls'), callId: 'three' });
    expect(memory.contacts).toEqual(['sip:1001@10.0.0.1:2', 'sip:1001@10.0.0.1:3']);
    const response = memory.send({ cseq: 9 });
    expect(headerValues(response, 'Contact').join()).toContain(
      '+sip.instance="<urn:uuid:0a1b>";reg-id=1;expires=',
    );
  });

  test('without outbound in Supported the answer requires nothing', () => {
    const response = new Memory().send({ contacts: [contact(1, 1)] });
    expect([response.status, header(response, 'Require')]).toEqual([200, undefined]);
  });

  test('a proxy in between without ob in its Path is 439', () => {
    const memory = new Memory();
    const headers = { Supported: 'path, outbound' };
    expect(memory.send({ contacts: [contact(1, 1)], headers, vias: 2 }).status).toBe(439);
    const path = '<sip:edge.test;lr;ob>';
    const response = memory.send({ contacts: [contact(1, 1)], headers: { ...headers, Path: path }, vias: 2 });
    expect([response.status, header(response, 'Path'), header(response, 'Require')]).toEqual([
      200,
      path,
      'outbound',
    ]);
    expect(memory.bindings[0]!.binding.path).toEqual([path]);
  });

  test('an extension that we do not know is 420', () => {
    const response = new Memory().send({
      contacts: ['<sip:1001@h>'],
      headers: { Require: 'path, teleport' },
    });
    expect([response.status, header(response, 'Unsupported')]).toEqual([420, 'teleport']);
  });
});
