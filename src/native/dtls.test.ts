import { afterAll, afterEach, describe, expect, test } from 'vitest';
import {
  digestOf,
  makeIdentity,
  OpenSslPeer,
  SessionOnUdp,
  type TestIdentity,
  talk,
} from '../../test/support/dtls-peer.ts';
import { ImpairedPath, openSocket } from '../../test/support/impairer.ts';
import { loadDtls } from './dtls.ts';
import { cutDatagrams } from './dtls-datagrams.ts';
import type { DtlsContext, DtlsSession } from './dtls-types.ts';

const ours = makeIdentity();
const theirs = makeIdentity();
const context = loadDtls('process')!.newContext(ours);
const peerContext = loadDtls('process')!.newContext(theirs);
afterAll(() => {
  for (const identity of [ours, theirs]) identity.remove();
  context.free();
  peerContext.free();
});

const closing: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
});

const client = (identity: TestIdentity = theirs, by: DtlsContext = context): DtlsSession =>
  track(by.open({ role: 'client', fingerprints: [identity.sha256] }));
const server = (identity: TestIdentity = ours, by: DtlsContext = peerContext): DtlsSession =>
  track(by.open({ role: 'server', fingerprints: [identity.sha256] }));
function track(session: DtlsSession): DtlsSession {
  closing.push({ close: () => session.free() });
  return session;
}

describe('two of ours', () => {
  test('agree on AES-256-GCM and on keys that differ by direction', () => {
    const [a, b] = [client(), server()];
    a.start();
    expect(a.keys()).toBeUndefined();
    talk(a, b);
    expect([a.state, b.state]).toEqual(['connected', 'connected']);
    expect(a.keys()).toEqual(b.keys());
    expect(a.keys()!.suite).toBe('AEAD_AES_256_GCM');
    expect(a.keys()!.client).toHaveLength(44);
    expect(a.keys()!.client).not.toEqual(a.keys()!.server);
    expect([a.timeoutMs(), b.timeoutMs()]).toEqual([undefined, undefined]);
  });

  test('the same through a libssl beside Node’s own', () => {
    const beside = loadDtls('libssl')!.newContext(theirs);
    const [a, b] = [client(), server(ours, beside)];
    a.start();
    talk(a, b);
    expect(b.keys()).toEqual(a.keys());
    expect(a.keys()).toBeDefined();
    beside.free();
  });

  test('a server with a cookie answers it first, and goes on only for the address that it was given to', () => {
    const a = client();
    const b = track(
      peerContext.open({ role: 'server', fingerprints: [ours.sha256], cookieFor: '192.0.2.1:9' }),
    );
    a.start();
    const [hello] = a.takeDatagrams();
    b.receive(hello!, hello!.length);
    const [verify] = b.takeDatagrams();
    expect(verify![13]).toBe(3);
    a.receive(verify!, verify!.length);
    const [again] = a.takeDatagrams();
    const elsewhere = track(
      peerContext.open({ role: 'server', fingerprints: [ours.sha256], cookieFor: '192.0.2.2:9' }),
    );
    elsewhere.receive(hello!, hello!.length);
    elsewhere.takeDatagrams();
    elsewhere.receive(again!, again!.length);
    expect(elsewhere.state).toBe('failed');
    b.receive(again!, again!.length);
    talk(a, b);
    expect([a.state, b.state]).toEqual(['connected', 'connected']);
  });

  test.each(['client', 'server'] as const)(
    'a %s that sees another certificate than the fingerprint’s fails and has no keys',
    (who) => {
      const a = client(who === 'client' ? ours : theirs);
      const b = server(who === 'server' ? theirs : ours);
      a.start();
      talk(a, b);
      const [deceived, other] = who === 'client' ? [a, b] : [b, a];
      expect(deceived.problem).toMatch(/not the one that its fingerprint/);
      expect(other.problem).toMatch(/refused our certificate/);
      for (const session of [a, b]) {
        expect(session.state).toBe('failed');
        if (session === deceived) expect(session.keys()).toBeUndefined();
      }
    },
  );

  test.each(['sha-1', 'sha-256', 'sha-384', 'sha-512'] as const)('a fingerprint by %s', (hash) => {
    const right = digestOf(theirs.certificatePem, hash);
    for (const digest of [right, { hash, digest: right.digest.map((octet) => octet ^ 1) }]) {
      const a = track(context.open({ role: 'client', fingerprints: [digest] }));
      const b = server();
      a.start();
      talk(a, b);
      expect(a.state).toBe(digest === right ? 'connected' : 'failed');
    }
  });

  test('of several fingerprints the strongest hash counts, and any of its values', () => {
    const wrong = { hash: 'sha-256', digest: new Uint8Array(32) } as const;
    const weak = digestOf(theirs.certificatePem, 'sha-1');
    const outcome = (fingerprints: Parameters<DtlsContext['open']>[0]['fingerprints']) => {
      const [a, b] = [track(context.open({ role: 'client', fingerprints })), server()];
      a.start();
      talk(a, b);
      return a.state;
    };
    expect(outcome([wrong, theirs.sha256])).toBe('connected');
    expect(outcome([weak, wrong])).toBe('failed');
  });

  test('a Finished that comes again is answered again, a close is heard', () => {
    const [a, b] = [client(), server()];
    a.start();
    for (const datagram of a.takeDatagrams()) b.receive(datagram, datagram.length);
    for (const datagram of b.takeDatagrams()) a.receive(datagram, datagram.length);
    const last = a.takeDatagrams();
    for (const datagram of last) b.receive(datagram, datagram.length);
    expect(b.state).toBe('connected');
    const lost = b.takeDatagrams();
    expect(lost.length).toBeGreaterThan(0);
    // The same record again is a replay; the same message in a new record is a retransmission.
    for (const datagram of last) b.receive(datagram, datagram.length);
    expect(b.takeDatagrams()).toEqual([]);
    const until = performance.now() + a.timeoutMs()! + 1;
    while (performance.now() < until);
    a.handleTimeout();
    talk(a, b);
    expect(a.state).toBe('connected');
    expect(a.keys()).toEqual(b.keys());
    a.close();
    talk(a, b);
    expect([a.state, b.state]).toEqual(['closed', 'closed']);
  });

  test('certificates of many kilobytes travel in pieces, both ways', () => {
    const long = makeIdentity({ names: 300 });
    expect(long.certificatePem.length).toBeGreaterThan(10_000);
    const longContext = loadDtls('process')!.newContext(long);
    for (const [a, b] of [
      [client(long), server(ours, longContext)],
      [client(theirs, longContext), server(long, peerContext)],
    ] as const) {
      a.start();
      const sizes: number[] = [];
      for (let said = a.takeDatagrams(), from = a; said.length > 0; ) {
        const to = from === a ? b : a;
        for (const datagram of said) {
          sizes.push(datagram.length);
          to.receive(datagram, datagram.length);
        }
        from = to;
        said = to.takeDatagrams();
      }
      expect([a.state, b.state]).toEqual(['connected', 'connected']);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(1200);
      expect(sizes.length).toBeGreaterThan(8);
    }
    longContext.free();
    long.remove();
  });
});

describe('Debian’s openssl', () => {
  const export88 = ['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '88'];

  test.each([
    ['SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM', 'AEAD_AES_256_GCM', 32, 12],
    ['SRTP_AEAD_AES_128_GCM', 'AEAD_AES_128_GCM', 16, 12],
    ['SRTP_AES128_CM_SHA1_80', 'AES_CM_128_HMAC_SHA1_80', 16, 14],
  ] as const)('as client with %s exports the same keys', async (profiles, suite, keyLength, saltLength) => {
    const socket = await openSocket('127.0.0.1');
    const end = new SessionOnUdp(
      context.open({ role: 'server', fingerprints: [theirs.sha256], cookieFor: 'it' }),
      socket,
    );
    closing.push(end);
    const peer = new OpenSslPeer('s_client', theirs, [
      '-connect',
      `127.0.0.1:${socket.address().port}`,
      '-use_srtp',
      profiles,
      ...export88.slice(0, 3),
      String(2 * (keyLength + saltLength)),
    ]);
    closing.push(peer);
    expect(await end.done()).toBe('connected');
    const [, hex] = await peer.said(/Keying material: ([0-9A-F]+)/);
    const material = Buffer.from(hex!, 'hex');
    const keys = end.session.keys()!;
    expect(keys.suite).toBe(suite);
    const salts = material.subarray(2 * keyLength);
    const joined = (key: number, salt: number) =>
      Buffer.concat([material.subarray(key, key + keyLength), salts.subarray(salt, salt + saltLength)]);
    expect(Buffer.from(keys.client)).toEqual(joined(0, 0));
    expect(Buffer.from(keys.server)).toEqual(joined(keyLength, saltLength));
    peer.hangUp();
    await peer.close();
  });

  test.each(['ec', 'rsa'] as const)('as server with a key of kind %s', async (kind) => {
    const identity = makeIdentity({ key: kind });
    const probe = await openSocket('127.0.0.1');
    const { port } = probe.address();
    probe.close();
    const peer = new OpenSslPeer('s_server', identity, [
      '-accept',
      `127.0.0.1:${port}`,
      '-Verify',
      '1',
      '-use_srtp',
      'SRTP_AEAD_AES_256_GCM',
      ...export88,
    ]);
    closing.push(peer);
    await peer.said(/ACCEPT/);
    const end = new SessionOnUdp(
      context.open({ role: 'client', fingerprints: [identity.sha256] }),
      await openSocket('127.0.0.1'),
      { address: '127.0.0.1', port },
    );
    closing.push(end);
    end.start();
    expect(await end.done()).toBe('connected');
    const [, hex] = await peer.said(/Keying material: ([0-9A-F]+)/);
    expect(Buffer.from(end.session.keys()!.client.subarray(0, 32)).toString('hex').toUpperCase()).toBe(
      hex!.slice(0, 64),
    );
    identity.remove();
  });
});

describe('what a network does', () => {
  test.each([
    [1, { dropRate: 0.1, duplicateRate: 0.2, reorderRate: 0.2, reorderMs: 15 }],
    [2, { dropRate: 0.3, duplicateRate: 0.1 }],
    [3, { dropRate: 0.3, jitterMs: 30, delayMs: 40 }],
    [4, { duplicateRate: 1 }],
  ])('seed %i: handshakes end well, with long certificates too', async (seed, impairment) => {
    const long = makeIdentity({ names: 60 });
    const longContext = loadDtls('process')!.newContext(long);
    const [near, far] = await Promise.all([openSocket('127.0.0.1'), openSocket('127.0.0.1')]);
    const path = await ImpairedPath.open({ seed, up: impairment, down: impairment, server: far.address() });
    const a = new SessionOnUdp(
      context.open({ role: 'client', fingerprints: [long.sha256] }),
      near,
      path.near,
    );
    const b = new SessionOnUdp(longContext.open({ role: 'server', fingerprints: [ours.sha256] }), far);
    closing.push(path, a, b);
    a.start();
    expect(await Promise.all([a.done(), b.done()])).toEqual(['connected', 'connected']);
    expect(a.session.keys()).toEqual(b.session.keys());
    longContext.free();
    long.remove();
  });

  test('damaged and foreign datagrams never throw, and leave no other session worse', () => {
    const b = server();
    for (const bytes of [[], [22], [22, 254, 253], Array(2000).fill(22), Array(5000).fill(23)])
      b.receive(Uint8Array.from(bytes), bytes.length);
    b.receive(new Uint8Array(10), 99);
    expect(b.state).toBe('handshaking');
    const hello = client();
    hello.start();
    const [good] = hello.takeDatagrams();
    for (let at = 13; at < good!.length; at++) {
      const damaged = Uint8Array.from(good!);
      damaged[at] = damaged[at]! ^ 0x5a;
      const victim = server();
      victim.receive(damaged, damaged.length);
      victim.takeDatagrams();
      victim.handleTimeout();
      if (victim.state === 'failed') expect(victim.problem).not.toBe('');
      victim.free();
      victim.receive(damaged, damaged.length);
      expect(victim.takeDatagrams()).toEqual([]);
    }
    const [a, c] = [client(), server()];
    a.start();
    talk(a, c);
    expect(c.state).toBe('connected');
  });
});

test('a record too short for its cipher harms no association', () => {
  const [a, b] = [client(), server()];
  a.start();
  talk(a, b);
  const short = Buffer.concat([Buffer.from([22, 254, 253, 0, 1, 0, 0, 0, 0, 9, 9, 0, 14]), Buffer.alloc(14)]);
  b.receive(short, short.length);
  expect(b.state).toBe('connected');
  a.close();
  talk(a, b);
  expect(b.state).toBe('closed');
});

test('a context says what is wrong with a certificate or key', () => {
  const library = loadDtls('process')!;
  expect(() => library.newContext({ ...ours, keyPem: theirs.keyPem })).toThrow(/key/);
  expect(() => library.newContext({ ...ours, keyPem: 'nonsense' })).toThrow(/PEM key/);
  expect(() => library.newContext({ ...ours, certificatePem: 'nonsense' })).toThrow();
  expect(context.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
});

test('datagrams are whole records, as many as fit', () => {
  const record = (length: number) => {
    const bytes = new Uint8Array(13 + length);
    bytes.set([22, 254, 253]);
    bytes.set([length >> 8, length & 255], 11);
    return bytes;
  };
  const lengths = (records: number[], limit: number) =>
    cutDatagrams(Buffer.concat(records.map(record)), limit).map(({ length }) => length);
  expect(lengths([100, 200, 300], 1200)).toEqual([639]);
  expect(lengths([500, 600, 100], 1200)).toEqual([1126, 113]);
  expect(lengths([1500, 10], 1200)).toEqual([1513, 23]);
  expect(cutDatagrams(record(50).subarray(0, 40), 1200)).toEqual([]);
});
