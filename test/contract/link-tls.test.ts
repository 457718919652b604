import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Logger, silentLogger } from '../../src/base/index.ts';
import {
  type Channel,
  connectTlsLink,
  type LinkCredentials,
  listenTlsLink,
  type Peer,
} from '../../src/link/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import { type Authority, makeAuthority } from '../support/certificates.ts';
import { linkContract } from './link.ts';

const edge: Peer = { role: 'edge', id: 'edge1', pid: 11, startTime: 110 };
const callSwitch: Peer = { role: 'switch', id: 'a1', pid: 12, startTime: 120 };
const shared = { clock: systemClock, log: silentLogger };

let directory: string;
let authority: Authority;
let edgeCredentials: LinkCredentials;
let switchCredentials: LinkCredentials;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twinline-tls-'));
  authority = await makeAuthority(directory, 'installation');
  edgeCredentials = await authority.issue('edge:edge1');
  switchCredentials = await authority.issue('anything', { uri: 'twinline:switch:a1' });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rm(directory, { recursive: true }));

linkContract('mutual TLS', async (options) => {
  const right = waitFor<Channel>();
  const left = waitFor<Channel>();
  const listener = await listenTlsLink({
    ...shared,
    ...options,
    host: '127.0.0.1',
    port: 0,
    credentials: switchCredentials,
    self: callSwitch,
    onChannel: right.set,
  });
  const client = connectTlsLink({
    ...shared,
    ...options,
    host: '127.0.0.1',
    port: listener.port,
    credentials: edgeCredentials,
    self: edge,
    expect: callSwitch,
    random: systemRandom,
    onChannel: left.set,
  });
  return {
    left: await left.value,
    right: await right.value,
    clock: systemClock,
    run: (outcome) => outcome,
    crashLeft: () => client.close('crashed'),
    async dispose() {
      client.close();
      await listener.close();
    },
  };
});

async function listen(onChannel: (channel: Channel) => void, credentials = switchCredentials) {
  const listener = await listenTlsLink({
    ...shared,
    host: '127.0.0.1',
    port: 0,
    credentials,
    self: callSwitch,
    onChannel,
  });
  cleanups.push(() => listener.close());
  return listener;
}

/** How the first attempt of a client with these credentials ends: `up`, or why not. */
function outcome(
  port: number,
  credentials: LinkCredentials,
  expecting: { role: string; id: string } = callSwitch,
  self = edge,
): Promise<string> {
  return new Promise((resolve) => {
    const client = connectTlsLink({
      ...shared,
      host: '127.0.0.1',
      port,
      credentials,
      expect: expecting,
      self,
      random: systemRandom,
      // Whether a server refuses a certificate of TLS 1.3 is heard only after the client's part is done.
      onChannel: (channel) =>
        channel.request({ kind: 'there?', data: 0 }, 5000).then(
          () => resolve('up'),
          () => {},
        ),
      onState: (state, reason) => state === 'down' && resolve(reason),
    });
    cleanups.push(() => client.close());
  });
}

test('who has a certificate of the installation and bears its name is let in', async () => {
  const { port } = await listen((channel) => channel.onFrame(() => undefined));
  expect(await outcome(port, edgeCredentials)).toBe('up');
});

test('a certificate of another authority is not believed, in either direction', async () => {
  const others = await makeAuthority(directory, 'others');
  const stranger = await others.issue('edge:edge1');
  const { port } = await listen(() => expect.unreachable());
  expect(await outcome(port, { ...stranger, ca: edgeCredentials.ca })).toMatch(
    /unknown ca|ECONNRESET|socket|ended/i,
  );
  const impostor = await listen(() => expect.unreachable(), await others.issue('switch:a1'));
  expect(await outcome(impostor.port, edgeCredentials)).toMatch(/self.signed|unable to (get|verify)/i);
});

test('a client without a certificate gets nowhere', async () => {
  const { port } = await listen(() => expect.unreachable());
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: edgeCredentials.ca,
    checkServerIdentity: () => undefined,
  });
  let heard = 0;
  socket.on('data', (bytes: Buffer) => {
    heard += bytes.length;
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  expect(heard).toBe(0);
});

test('an expired certificate is refused with its date, by either end (TR-MEDIA-12)', async () => {
  const expired = await authority.issue('edge:edge1', { days: -1 });
  const warnings: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (fields: object) => void warnings.push(fields) };
  const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  const listener = await listenTlsLink({
    ...shared,
    log,
    host: '127.0.0.1',
    port: 0,
    credentials: switchCredentials,
    self: callSwitch,
    onChannel: () => expect.unreachable(),
  });
  cleanups.push(() => listener.close());
  await outcome(listener.port, expired);
  expect(warnings).toContainEqual(
    expect.objectContaining({
      reason: expect.stringMatching(`the certificate for edge:edge1 expired on ${day}T.*Z: renew it`),
    }),
  );
  const { port } = await listen(() => expect.unreachable(), await authority.issue('switch:a1', { days: -1 }));
  expect(await outcome(port, edgeCredentials)).toMatch(`the certificate for switch:a1 expired on ${day}T`);
});

test('a peer that bears another name than its certificate is refused with both names', async () => {
  const { port } = await listen(() => expect.unreachable());
  const reason = await outcome(port, await authority.issue('edge:edge2'));
  expect(reason).toBe('refused: the certificate is for edge:edge2, not for edge:edge1');
});

test('a server that is not the one we mean is refused, though its certificate is valid', async () => {
  const { port } = await listen(() => expect.unreachable());
  expect(await outcome(port, edgeCredentials, { role: 'switch', id: 'b1' })).toMatch(
    /for anything, switch:a1, not for switch:b1/,
  );
});

test('TLS 1.2 is refused', async () => {
  const { port } = await listen(() => expect.unreachable());
  const socket = connect({ ...edgeCredentials, port, host: '127.0.0.1', maxVersion: 'TLSv1.2' });
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  expect(error.message).toMatch(/protocol version/i);
});

test('a certificate renewed in place is used for the next connection and ends none', async () => {
  const listener = await listen((channel) => channel.onFrame(() => undefined));
  const first = waitFor<Channel>();
  const client = connectTlsLink({
    ...shared,
    host: '127.0.0.1',
    port: listener.port,
    credentials: () => edgeCredentials,
    expect: callSwitch,
    self: edge,
    random: systemRandom,
    onChannel: first.set,
  });
  cleanups.push(() => client.close());
  const channel = await first.value;
  listener.reload(await authority.issue('switch:a9'));
  expect(await outcome(listener.port, edgeCredentials)).toMatch(/switch:a9, not for switch:a1/);
  expect((await channel.request({ kind: 'there?', data: 0 }, 5000)).data).toBeUndefined();
});

test('closing the listener does not wait for clients that never finish their handshake', async () => {
  const listener = await listen(() => expect.unreachable());
  const silent = connectTcp(listener.port, '127.0.0.1');
  await new Promise<void>((resolve) => silent.once('connect', () => resolve()));
  const ended = new Promise((resolve) => silent.once('close', resolve));
  silent.on('error', () => {});
  await listener.close();
  await ended;
});

function waitFor<T>(): { readonly value: Promise<T>; set(value: T): void } {
  let set = (_value: T): void => {};
  const value = new Promise<T>((resolve) => {
    set = resolve;
  });
  return { value, set: (given) => set(given) };
}
