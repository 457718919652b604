import { createSocket } from 'node:dgram';
import { copyFileSync, readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { request } from '../../test/support/edge-core.ts';
import { eventually, SocketBench } from '../../test/support/edge-sockets.ts';

let bench: SocketBench;
const sockets: { destroy(): void }[] = [];
beforeEach(() => {
  bench = new SocketBench();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await bench.stop();
});

interface Client {
  readonly socket: Socket;
  text: string;
  closed: boolean;
}

function watch(socket: Socket): Client {
  sockets.push(socket);
  const client: Client = { socket, text: '', closed: false };
  socket.on('data', (chunk) => {
    client.text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    client.closed = true;
  });
  return client;
}

const tcp = (index = 0): Client => watch(connect({ host: '127.0.0.1', port: bench.port(index) }));
const tls = (options: ConnectionOptions = {}, index = 0): Client =>
  watch(connectTls({ host: '127.0.0.1', port: bench.port(index), rejectUnauthorized: false, ...options }));

const options = (callId = 'c1', transport = 'TCP') =>
  request('OPTIONS', { callId, via: `SIP/2.0/${transport} 192.0.2.1:5060;rport;branch=z9hG4bK${callId}` });

/** Virtual time passes, in steps that let the sweep see each second. */
const pass = (seconds: number): void => {
  for (let second = 0; second < seconds; second++) bench.clock.advance(1_000);
};

const engines = process.platform === 'linux' ? (['kernel', 'dgram'] as const) : (['dgram'] as const);

describe.each(engines)('UDP by %s', (udp) => {
  test('a request goes to the switch and its answer comes back to the phone', async () => {
    await bench.start([{ transport: 'udp' }], {}, udp);
    const phone = createSocket('udp4');
    const answers: string[] = [];
    phone.on('message', (bytes) => answers.push(bytes.toString('latin1')));
    await new Promise<void>((resolve) => phone.bind(0, '127.0.0.1', resolve));
    phone.send(options('u1', 'UDP'), bench.port(), '127.0.0.1');
    await eventually('the answer', () => answers.length === 1);
    expect(answers[0]).toMatch(/^SIP\/2\.0 200 OK/);
    const { flow } = bench.got[0]!;
    expect(flow.id).toBe(`u:edge1:0:127.0.0.1:${phone.address().port}`);
    expect(flow.local).toEqual({ address: '127.0.0.1', port: bench.port() });

    // The id means the same without the phone having said anything to this process: an edge that was started anew.
    bench.send(`u:edge1:0:127.0.0.1:${phone.address().port}` as never, 'NOTIFY sip:x SIP/2.0\r\n\r\n');
    await eventually('the request', () => answers.length === 2);
    phone.close();
  });

  test('STUN is answered and CRLF is not', async () => {
    await bench.start([{ transport: 'udp' }], {}, udp);
    const phone = createSocket('udp4');
    const answers: Buffer[] = [];
    phone.on('message', (bytes) => answers.push(bytes));
    phone.send('\r\n\r\n', bench.port(), '127.0.0.1');
    phone.send(Buffer.from('000100002112a442000102030405060708090a0b', 'hex'), bench.port(), '127.0.0.1');
    await eventually('the STUN answer', () => answers.length > 0);
    expect(answers[0]!.readUInt16BE(0)).toBe(0x0101);
    expect(answers[0]!.readUInt16BE(26) ^ 0x2112).toBe(phone.address().port);
    expect(bench.count('keepalives_total{kind="blank"}')).toBe(1);
    expect(answers).toHaveLength(1);
    phone.close();
  });

  test('works over IPv6', async () => {
    await bench.start([{ transport: 'udp', address: '::1' }], {}, udp);
    const phone = createSocket('udp6');
    const answers: string[] = [];
    phone.on('message', (bytes) => answers.push(bytes.toString('latin1')));
    phone.send(options('u6', 'UDP'), bench.port(), '::1');
    await eventually('the answer', () => answers.length === 1);
    expect(bench.got[0]!.flow.remote.address).toBe('::1');
    phone.close();
  });

  test('one IPv6 listener serves IPv4 phones too, under their own addresses', async () => {
    await bench.start([{ transport: 'udp', address: '::' }], {}, udp);
    const phone = createSocket('udp4');
    const answers: string[] = [];
    phone.on('message', (bytes) => answers.push(bytes.toString('latin1')));
    phone.send(options('u46', 'UDP'), bench.port(), '127.0.0.1');
    await eventually('the answer', () => answers.length === 1);
    const { flow } = bench.got[0]!;
    expect(flow.remote).toEqual({ address: '127.0.0.1', port: phone.address().port });
    expect(flow.id).toBe(`u:edge1:0:127.0.0.1:${phone.address().port}`);
    phone.close();
  });

  test('a datagram as large as UDP allows arrives and is answered whole', async () => {
    await bench.start([{ transport: 'udp' }], {}, udp);
    const phone = createSocket('udp4');
    phone.bind(0, '127.0.0.1');
    const answers: string[] = [];
    phone.on('message', (bytes) => answers.push(bytes.toString('latin1')));
    const text = options('big', 'UDP').replace(
      'Content-Length',
      `X-Long: ${'x'.repeat(60_000)}\r\nContent-Length`,
    );
    phone.send(text, bench.port(), '127.0.0.1');
    await eventually('the answer', () => answers.length === 1);
    expect(bench.got[0]!.text).toHaveLength(text.length);
    phone.close();
  });

  test('each of two listeners answers from its own port, to the phone that it knows', async () => {
    await bench.start([{ transport: 'udp' }, { transport: 'udp' }], {}, udp);
    const phone = createSocket('udp4');
    const from: number[] = [];
    phone.on('message', (_bytes, source) => from.push(source.port));
    phone.send(options('p0', 'UDP'), bench.port(0), '127.0.0.1');
    await eventually('the first answer', () => from.length === 1);
    phone.send(options('p1', 'UDP'), bench.port(1), '127.0.0.1');
    await eventually('the second answer', () => from.length === 2);
    expect(from).toEqual([bench.port(0), bench.port(1)]);
    expect(bench.got.map(({ flow }) => flow.id.split(':')[2])).toEqual(['0', '1']);
    phone.close();
  });

  test('what cannot be sent harms nothing: too large, to a closed port, to an address of the other family', async () => {
    await bench.start([{ transport: 'udp' }], {}, udp);
    const gone = createSocket('udp4');
    await new Promise<void>((resolve) => gone.bind(0, '127.0.0.1', resolve));
    const { port } = gone.address();
    await new Promise<void>((resolve) => gone.close(() => resolve()));
    bench.send(`u:edge1:0:127.0.0.1:${port}` as never, 'NOTIFY sip:x SIP/2.0\r\n\r\n');
    bench.send(`u:edge1:0:127.0.0.1:${port}` as never, 'x'.repeat(70_000));
    for (const flow of [
      'u:edge1:0:::1:5060',
      'u:edge1:0:localhost:5060',
      'u:edge1:0:127.0.0.1:0',
      'u:edge1:7:127.0.0.1:5060',
    ])
      bench.send(flow as never, 'NOTIFY sip:x SIP/2.0\r\n\r\n');
    const phone = createSocket('udp4');
    const answers: string[] = [];
    phone.on('message', (bytes) => answers.push(bytes.toString('latin1')));
    phone.send(options('after', 'UDP'), bench.port(), '127.0.0.1');
    await eventually('the answer', () => answers.length === 1);
    expect(bench.count('unsendable_total')).toBe(4);
    phone.close();
  });
});

describe('TCP', () => {
  test('messages are cut out of the stream however it is chopped, and pings answered', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const phone = tcp();
    const stream = `${options('t1')}\r\n\r\n${options('t2')}${options('t3')}`;
    for (let at = 0; at < stream.length; at += 7) {
      phone.socket.write(stream.slice(at, at + 7), 'latin1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('three answers', () => phone.text.split('SIP/2.0 200').length === 4);
    expect(bench.got.map(({ text }) => /Call-ID: (.*)/.exec(text)![1])).toEqual(['t1', 't2', 't3']);
    expect(bench.count('keepalives_total{kind="crlf"}')).toBe(1);
    expect(new Set(bench.got.map(({ flow }) => flow.id)).size).toBe(1);
  });

  test('the end of a connection is told to the switch and leaves nothing behind', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const phone = tcp();
    phone.socket.write(options());
    await eventually('the answer', () => phone.text !== '');
    expect(bench.edge.status().flows).toEqual({ tcp: 1 });
    phone.socket.destroy();
    await eventually('flow-closed', () => bench.closed.length === 1);
    expect(bench.closed).toEqual([bench.got[0]!.flow.id]);
    expect(bench.edge.status().flows).toEqual({});
    expect(bench.edge.metrics()).toContain('twinline_edge_sockets 0\n');
  });

  test('a header that is not whole within 10 s ends the connection; one that is, does not', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const slow = tcp();
    const good = tcp();
    good.socket.write(options());
    slow.socket.write('OPTIONS sip:x SIP/2.0\r\n');
    await eventually('both connected', () => bench.edge.status().flows.tcp === 2 && good.text !== '');
    for (let second = 0; second < 14 && !slow.closed; second++) {
      pass(1);
      slow.socket.write('X-Slow: loris\r\n');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('the slow one is gone', () => slow.closed);
    expect(bench.count('connections_refused_total{reason="slow_header"}')).toBe(1);
    pass(60);
    expect(bench.edge.status().flows).toEqual({ tcp: 1 });
    expect(good.closed).toBe(false);
  });

  test('hundreds of connections that say nothing are let go after 30 s, and harm nobody meanwhile', async () => {
    await bench.start([{ transport: 'tcp' }], { connectionsPerSource: 1_000 });
    const silent = Array.from({ length: 400 }, () => tcp());
    await eventually('all connected', () => bench.edge.status().flows.tcp === 400);
    const phone = tcp();
    phone.socket.write(options());
    await eventually('the answer', () => phone.text.startsWith('SIP/2.0 200'));
    pass(32);
    await eventually('all gone', () => silent.every(({ closed }) => closed));
    expect(bench.edge.status().flows).toEqual({ tcp: 1 });
    await eventually('the sockets too', () => bench.edge.metrics().includes('twinline_edge_sockets 1\n'));
    expect(bench.closed).toEqual([]);
  });

  test('connections are capped per source and in total', async () => {
    await bench.start([{ transport: 'tcp' }], { connectionsPerSource: 3, connections: 4 });
    const first = Array.from({ length: 5 }, () => tcp());
    await eventually('two refused', () => first.filter(({ closed }) => closed).length === 2);
    const other = (host: string): Client =>
      watch(connect({ host: '127.0.0.1', port: bench.port(), localAddress: host }));
    const fromElsewhere = [other('127.0.0.2'), other('127.0.0.3')];
    await eventually('one refused', () => fromElsewhere.filter(({ closed }) => closed).length === 1);
    expect(bench.count('connections_refused_total{reason="per_source"}')).toBe(2);
    expect(bench.count('connections_refused_total{reason="total"}')).toBe(1);
    for (const client of first) client.socket.destroy();
    await eventually('room again', () => bench.edge.status().flows.tcp === 1);
    const late = tcp();
    late.socket.write(options());
    await eventually('the answer', () => late.text !== '');
  });

  test('a client that does not read is dropped at 256 KiB unsent', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const deaf = tcp();
    deaf.socket.write(options());
    await eventually('the first answer', () => deaf.text !== '');
    deaf.socket.pause();
    const { id } = bench.got[0]!.flow;
    const large = `NOTIFY sip:x SIP/2.0\r\nContent-Length: 60000\r\n\r\n${'x'.repeat(60_000)}`;
    for (let turn = 0; turn < 2_000 && bench.closed.length === 0; turn++) {
      bench.send(id, large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('it is dropped', () => bench.closed.length > 0);
    expect(bench.closed[0]).toBe(id);
    expect(bench.count('connections_refused_total{reason="unread"}')).toBe(1);
    expect(bench.edge.status().flows).toEqual({});
  });

  test('what cannot be cut into messages is answered and the connection closed', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const confused = tcp();
    confused.socket.write(options().replace('Content-Length: 0', 'Content-Length: 0\r\nContent-Length: 5'));
    await eventually('closed', () => confused.closed);
    expect(confused.text).toMatch(/^SIP\/2\.0 400 /);
    const endless = tcp();
    endless.socket.write(`OPTIONS sip:x SIP/2.0\r\nX: ${'y'.repeat(100_000)}`);
    await eventually('closed', () => endless.closed);
    expect(bench.got).toHaveLength(0);
    expect(bench.edge.status().flows).toEqual({});
  });

  test('a half-closed connection is ended', async () => {
    await bench.start([{ transport: 'tcp' }]);
    const phone = tcp();
    phone.socket.write(options());
    await eventually('the answer', () => phone.text !== '');
    phone.socket.end();
    await eventually('gone', () => bench.edge.status().flows.tcp === undefined);
  });
});

describe('TLS', () => {
  test('TLS 1.2 and 1.3 with AES-256; older versions and smaller ciphers fail in the handshake', async () => {
    await bench.start([{ transport: 'tls', tls: bench.certificate('one') }]);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const phone = tls({ minVersion: version, maxVersion: version });
      phone.socket.write(options(version.replace('.', '-'), 'TLS'));
      await eventually('the answer', () => phone.text.startsWith('SIP/2.0 200'));
      const socket = phone.socket as TLSSocket;
      expect(socket.getProtocol()).toBe(version);
      expect(socket.getCipher().name).toMatch(/AES.?256.GCM/);
    }
    const weak: ConnectionOptions[] = [
      // Security level 0: our own OpenSSL would not even try the old ones.
      { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' },
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    ];
    for (const one of weak) {
      const old = tls(one);
      await eventually('refused', () => old.closed);
    }
    expect(bench.count('connections_refused_total{reason="tls_handshake"}')).toBe(3);
    expect(bench.edge.status().flows).toEqual({ tls: 2 });
  });

  test('a handshake that does not come to an end is given up after 10 s', async () => {
    await bench.start([{ transport: 'tls', tls: bench.certificate('one') }]);
    const stuck = tcp();
    await eventually('accepted', () => bench.edge.metrics().includes('twinline_edge_sockets 1\n'));
    pass(12);
    await eventually('gone', () => stuck.closed);
    expect(bench.count('connections_refused_total{reason="slow_handshake"}')).toBe(1);
  });

  test('a new certificate is used without dropping a connection; a broken one is not used', async () => {
    const files = bench.certificate('one');
    const next = bench.certificate('two');
    await bench.start([{ transport: 'tls', tls: files }]);
    const before = tls();
    before.socket.write(options('before', 'TLS'));
    await eventually('the answer', () => before.text !== '');
    copyFileSync(next.certificateFile, files.certificateFile);
    // The key does not fit yet.
    await expect(bench.edge.reloadCertificates()).rejects.toMatchObject({ code: 'certificate_unusable' });
    copyFileSync(next.keyFile, files.keyFile);
    pass(31);
    await eventually('it was read again', () =>
      bench.logged.some(({ event }) => event === 'edge.certificate_changed'),
    );
    const after = tls();
    after.socket.write(options('after', 'TLS'));
    await eventually('the answer', () => after.text !== '');
    expect((after.socket as TLSSocket).getPeerCertificate().subject.CN).toBe('two');
    before.text = '';
    before.socket.write(options('again', 'TLS'));
    await eventually('the old connection goes on', () => before.text.startsWith('SIP/2.0 200'));
  });

  test('alarms 30, 7 and 1 days before the certificate expires, each once', async () => {
    const files = bench.certificate('short', { days: 40 });
    await bench.start([{ transport: 'tls', tls: files }]);
    const ends = bench.logged.filter(({ event }) => event.startsWith('edge.certificate_expire'));
    // Virtual time began on 1 January 2026; the certificate is valid from today.
    expect(ends).toHaveLength(0);
    const alarms = (): unknown[] =>
      bench.logged
        .filter(({ event }) => event.startsWith('edge.certificate_expire'))
        .map(({ event, fields }) => [event, fields['daysLeft']]);
    const daysFromNow = (days: number): number => {
      const utcMs = Date.now() + days * 86_400_000;
      return utcMs - bench.clock.utcMs();
    };
    for (const day of [5.5, 11.5, 12.5, 34.5, 39.5, 41.5]) {
      bench.clock.advance(Math.max(0, daysFromNow(day) - 40_000));
      bench.clock.advance(31_000);
      await eventually('the files were looked at', () => bench.clock.nextDueMs() !== undefined);
    }
    await eventually('all alarms', () => alarms().length === 4);
    expect(alarms()).toEqual([
      ['edge.certificate_expires_soon', 28],
      ['edge.certificate_expires_soon', 5],
      ['edge.certificate_expires_soon', 0],
      ['edge.certificate_expired', -2],
    ]);
  });

  test('a client certificate that is not trusted is refused with its date; none at all is fine', async () => {
    const files = bench.certificate('server');
    const ca = bench.certificate('phone-ca');
    const stranger = bench.certificate('stranger');
    await bench.start([{ transport: 'tls', tls: { ...files, clientCaFile: ca.certificateFile } }]);
    const withCertificate = (one: { certificateFile: string; keyFile: string }): Client =>
      tls({ cert: readFileSync(one.certificateFile), key: readFileSync(one.keyFile) });
    const bad = withCertificate(stranger);
    await eventually('refused', () => bad.closed);
    const refusal = bench.logged.find(({ event }) => event === 'edge.client_certificate_refused');
    expect(refusal?.fields).toMatchObject({ subject: 'stranger', validTo: expect.stringContaining('GMT') });
    for (const phone of [withCertificate(ca), tls()]) {
      phone.socket.write(options('ok', 'TLS'));
      await eventually('the answer', () => phone.text.startsWith('SIP/2.0 200'));
    }
    expect(bench.got.map(({ flow }) => bench.edge.clientCertificate(flow.id)?.subject)).toEqual([
      'phone-ca',
      undefined,
    ]);
  });
});

describe('WebSocket', () => {
  const webSocket = (scheme: 'ws' | 'wss', protocols: string[] = ['sip'], extra = {}, index = 0) => {
    const socket = new WebSocket(`${scheme}://127.0.0.1:${bench.port(index)}/`, protocols, {
      rejectUnauthorized: false,
      ...extra,
    });
    const client = {
      socket,
      got: [] as { text: string; binary: boolean }[],
      closed: false,
      open: false,
      status: 0,
    };
    sockets.push({ destroy: () => socket.terminate() });
    socket.on('open', () => {
      client.open = true;
    });
    socket.on('message', (data: Buffer, binary) =>
      client.got.push({ text: data.toString('latin1'), binary }),
    );
    socket.on('error', () => {});
    socket.on('unexpected-response', (_request, response) => {
      client.status = response.statusCode ?? 0;
      response.destroy();
      socket.terminate();
    });
    socket.on('close', () => {
      client.closed = true;
    });
    return client;
  };

  test.each(['ws', 'wss'] as const)(
    '%s: a browser registers and is answered in text, or in binary if it speaks so',
    async (scheme) => {
      await bench.start([{ transport: scheme, ...(scheme === 'wss' && { tls: bench.certificate('one') }) }]);
      const browser = webSocket(scheme);
      await eventually('open', () => browser.open);
      expect(browser.socket.protocol).toBe('sip');
      browser.socket.send(options('w1', scheme.toUpperCase()));
      await eventually('the answer', () => browser.got.length === 1);
      expect(browser.got[0]).toMatchObject({ binary: false, text: expect.stringMatching(/^SIP\/2\.0 200/) });
      browser.socket.send(Buffer.from(options('w2', scheme.toUpperCase())));
      await eventually('the answer', () => browser.got.length === 2);
      expect(browser.got[1]).toMatchObject({ binary: true });
      browser.socket.send('\r\n\r\n');
      await eventually('the pong', () => browser.got.length === 3);
      expect(browser.got[2]!.text).toBe('\r\n');
      expect(bench.got[0]!.flow).toMatchObject({ transport: scheme, edge: 'edge1' });
      expect(bench.edge.status().flows).toEqual({ [scheme]: 1 });
      browser.socket.close();
      await eventually('flow-closed', () => bench.closed.length === 1);
      await eventually('no socket left', () => bench.edge.metrics().includes('twinline_edge_sockets 0\n'));
    },
  );

  test('without the subprotocol sip, from a page that may not, or without WebSocket at all: refused', async () => {
    await bench.start([{ transport: 'ws', origins: ['https://phone.test'] }]);
    const other = webSocket('ws', ['chat'], { origin: 'https://phone.test' });
    const foreign = webSocket('ws', ['sip'], { origin: 'https://evil.test' });
    const right = webSocket('ws', ['chat', 'sip'], { origin: 'https://phone.test' });
    await eventually('all decided', () => other.closed && foreign.closed && right.open);
    expect([other.status, foreign.status]).toEqual([400, 403]);
    const response = await fetch(`http://127.0.0.1:${bench.port()}/`);
    expect(response.status).toBe(426);
  });

  test('a frame larger than a message may be ends the connection', async () => {
    await bench.start([{ transport: 'ws' }], { messageBytes: 10_000 });
    const browser = webSocket('ws');
    await eventually('open', () => browser.open);
    browser.socket.send('x'.repeat(20_000));
    await eventually('closed', () => browser.closed);
    expect(bench.edge.status().flows).toEqual({});
  });

  test('a browser that went without a word is found out', async () => {
    await bench.start([{ transport: 'ws' }]);
    const browser = webSocket('ws', ['sip'], { autoPong: false });
    const lively = webSocket('ws');
    await eventually('open', () => browser.open && lively.open);
    for (const one of [browser, lively]) one.socket.send(options('w', 'WS'));
    await eventually('answers', () => browser.got.length + lively.got.length === 2);
    let pings = 0;
    lively.socket.on('ping', () => pings++);
    pass(32);
    await eventually('the ping', () => pings === 1);
    await eventually('the pong', () => {
      pass(1);
      return browser.closed || pings > 1;
    });
    await eventually('gone', () => browser.closed);
    expect(lively.closed).toBe(false);
    expect(bench.count('connections_refused_total{reason="no_pong"}')).toBe(1);
  });

  test('an HTTP request that does not come to an end is given up after 10 s', async () => {
    await bench.start([{ transport: 'ws' }]);
    const slow = tcp();
    slow.socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
    await eventually('accepted', () => bench.edge.metrics().includes('twinline_edge_sockets 1\n'));
    pass(12);
    await eventually('gone', () => slow.closed);
  });
});

describe('starting', () => {
  test('a port in use is named, and nothing stays open', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const failed = bench.start([{ transport: 'udp' }, { transport: 'tcp', port }]);
    await expect(failed).rejects.toMatchObject({
      code: 'port_in_use',
      message: `SIP over TCP cannot listen on 127.0.0.1 port ${port}: another program uses it; end that program or choose another port.`,
    });
    other.close();
  });

  test('an address that is not ours and a certificate that is missing are named', async () => {
    await expect(bench.start([{ transport: 'udp', address: '192.0.2.1' }])).rejects.toMatchObject({
      code: 'address_unavailable',
      message: expect.stringContaining('192.0.2.1 port 0'),
    });
    const missing = { certificateFile: '/nowhere/sip.crt', keyFile: '/nowhere/sip.key' };
    await expect(bench.start([{ transport: 'tls', tls: missing }])).rejects.toMatchObject({
      code: 'certificate_unusable',
      message: expect.stringContaining('the certificate file /nowhere/sip.crt does not exist'),
    });
  });

  test('control is told the status and the counters', async () => {
    await bench.start([{ transport: 'udp' }, { transport: 'tcp' }]);
    const phone = tcp(1);
    phone.socket.write(options());
    await eventually('the answer', () => phone.text !== '');
    const channel = await bench.connect('control', 'control');
    const { data } = await channel.request({ kind: 'status', data: {} }, 1_000);
    expect(data).toMatchObject({
      id: 'edge1',
      listeners: [{ transport: 'udp', address: '127.0.0.1', port: bench.port() }, { transport: 'tcp' }],
      flows: { tcp: 1 },
      zones: [{ id: 'a', open: true, switches: [{ id: 'a1', newCalls: 0 }] }],
      counters: { 'received_total{transport="tcp"}': 1 },
    });
    const metrics = (await channel.request({ kind: 'metrics', data: {} }, 1_000)).data as { text: string };
    expect(metrics.text).toContain(
      '# TYPE twinline_edge_received_total counter\ntwinline_edge_received_total{transport="tcp"} 1\n',
    );
    expect(metrics.text).toContain('twinline_edge_flows{transport="tcp"} 1\n');
    await expect(channel.request({ kind: 'dance', data: {} }, 1_000)).rejects.toThrow('dance');
  });
});
