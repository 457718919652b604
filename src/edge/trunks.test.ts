import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Authority, makeAuthority } from '../../test/support/certificates.ts';
import { eventually } from '../../test/support/edge-sockets.ts';
import { markOf } from '../../test/support/mark-of.ts';
import { type EdgeId, type FlowId, seededRandom, silentLogger } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { systemClock } from '../native/index.ts';
import { Counters } from './counters.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Listener } from './rim.ts';
import { Trunks } from './trunks.ts';

const HOST = '127.0.0.1';
/** RFC 4594 §4.2. */
const CS3 = 24;
const message = (text: string) =>
  Buffer.from(`OPTIONS sip:${text}@acme.test SIP/2.0\r\nCall-ID: ${text}\r\nContent-Length: 0\r\n\r\n`);

let directory: string;
let company: Authority;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'twinline-trunks-'));
  company = await makeAuthority(directory, 'company');
  for (const name of ['fra', 'ams']) write(name, await company.issue(`dc:${name}`));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const open: End[] = [];
afterEach(async () => {
  for (const end of open.splice(0)) await end.stop();
});

function write(name: string, { ca, cert, key }: { ca: string; cert: string; key: string }): void {
  mkdirSync(path.join(directory, name), { recursive: true });
  for (const [file, text] of Object.entries({ 'ca.crt': ca, 'dc.crt': cert, 'dc.key': key }))
    writeFileSync(path.join(directory, name, file), text);
}

/** The trunks of one edge. */
interface End {
  readonly trunks: Trunks;
  readonly heard: { readonly flow: Flow; readonly text: string }[];
  readonly closed: FlowId[];
  stop(): Promise<void>;
}

async function end(
  dataCentre: string,
  port: number,
  peer: { readonly id: string; readonly ports: readonly number[] },
  certificates = dataCentre,
): Promise<End> {
  const heard: End['heard'][number][] = [];
  const closed: FlowId[] = [];
  const trunks = new Trunks(
    {
      edge: `edge-${port}` as EdgeId,
      limits: DEFAULT_LIMITS,
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
      counters: new Counters(),
      receive: (flow, bytes) => heard.push({ flow, text: Buffer.from(bytes).toString('latin1') }),
      receiveUnreadable: () => {},
      flowClosed: (flow) => closed.push(flow),
    },
    {
      dataCentre,
      address: HOST,
      port,
      advertise: { address: '192.0.2.1', port: 5091 },
      peers: [{ id: peer.id, places: peer.ports.map((at) => ({ host: HOST, port: at })) }],
      certificates: path.join(directory, certificates),
      dscp: CS3,
    },
  );
  const listener: Listener = await trunks.listen();
  let stopped = false;
  const made: End = {
    trunks,
    heard,
    closed,
    stop: async () => {
      if (!stopped) await listener.close();
      stopped = true;
    },
  };
  open.push(made);
  return made;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, HOST, () => resolve((server.address() as { port: number }).port)),
        ),
    ),
  );
  for (const server of servers) server.close();
  return ports;
}

const toFra = 'i:fra' as FlowId;
const toAms = 'i:ams' as FlowId;

describe('trunks between data centres', () => {
  test('the first word connects, and the answer comes back the same way', async () => {
    const [a = 0, b = 0] = await freePorts(2);
    const fra = await end('fra', a, { id: 'ams', ports: [b] });
    const ams = await end('ams', b, { id: 'fra', ports: [a] });
    expect(fra.trunks.send(toAms, message('one'))).toBe(true);
    expect(fra.trunks.send(toAms, message('two'))).toBe(true);
    await eventually('both words come', () => ams.heard.length === 2);
    expect(ams.heard.map(({ text }) => text)).toEqual(['one', 'two'].map((text) => String(message(text))));
    const [{ flow }] = ams.heard as [End['heard'][number]];
    expect(flow).toMatchObject({
      id: toFra,
      transport: 'tls',
      dataCentre: 'fra',
      local: { address: '192.0.2.1', port: 5091 },
    });
    expect(ams.trunks.send(flow.id, message('three'))).toBe(true);
    await eventually('the answer comes', () => fra.heard.length === 1);
    expect(fra.heard[0]?.flow.dataCentre).toBe('ams');
  });

  test('what either end says is marked, whichever opened the connection (PH-QOS-03)', async () => {
    const [a = 0, b = 0] = await freePorts(2);
    const fra = await end('fra', a, { id: 'ams', ports: [b] });
    const ams = await end('ams', b, { id: 'fra', ports: [a] });
    fra.trunks.send(toAms, message('one'));
    await eventually('the word comes', () => ams.heard.length === 1);
    const opened = ams.heard[0]!.flow.remote.port;
    expect(markOf(opened, b)).toBe(CS3);
    expect(markOf(b, opened)).toBe(CS3);
  });

  test('an edge that is not there is passed over, and one that ends is replaced', async () => {
    const [a = 0, b = 0, c = 0] = await freePorts(3);
    const fra = await end('fra', a, { id: 'ams', ports: [b, c] });
    const second = await end('ams', c, { id: 'fra', ports: [a] });
    fra.trunks.send(toAms, message('one'));
    await eventually('the second place is reached', () => second.heard.length === 1);
    const first = await end('ams', b, { id: 'fra', ports: [a] });
    await second.stop();
    await eventually('the first edge is reached', () => {
      // Sent again, as a call does, until it comes.
      fra.trunks.send(toAms, message('two'));
      return first.heard.length > 0;
    });
    expect(fra.closed).toEqual([]);
  });

  test('a data centre that cannot be reached is said to be gone, and then at once', async () => {
    const [a = 0, b = 0] = await freePorts(2);
    const fra = await end('fra', a, { id: 'ams', ports: [b] });
    expect(fra.trunks.send(toAms, message('one'))).toBe(true);
    await eventually('nobody is reached', () => fra.closed.length === 1);
    expect(fra.closed).toEqual([toAms]);
    expect(fra.trunks.send(toAms, message('two'))).toBe(false);
    expect(fra.trunks.send('i:lon' as FlowId, message('three'))).toBe(false);
  });

  test('who bears another name, or one of another authority, is not talked to', async () => {
    const stranger = await makeAuthority(directory, 'stranger');
    write('false-ams', await stranger.issue('dc:ams'));
    write('lon', await company.issue('dc:lon'));
    for (const certificates of ['false-ams', 'lon']) {
      const [a = 0, b = 0] = await freePorts(2);
      const fra = await end('fra', a, { id: 'ams', ports: [b] });
      const other = await end('ams', b, { id: 'fra', ports: [a] }, certificates);
      fra.trunks.send(toAms, message('one'));
      other.trunks.send(toFra, message('two'));
      await eventually('neither believes the other', () => fra.closed.length > 0 && other.closed.length > 0);
      expect([fra.heard, other.heard]).toEqual([[], []]);
    }
  });

  test('who shows no certificate is not heard', async () => {
    const [a = 0, b = 0] = await freePorts(2);
    const fra = await end('fra', a, { id: 'ams', ports: [b] });
    const socket = connect({ host: HOST, port: a, rejectUnauthorized: false });
    socket.on('secureConnect', () => socket.write(message('one')));
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    expect(fra.heard).toEqual([]);
  });
});
