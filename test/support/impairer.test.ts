import { afterEach, expect, it } from 'vitest';
import { ImpairedPath, type Impairment, openSocket } from './impairer.ts';

const closing: { close(): void }[] = [];
afterEach(() => {
  for (const one of closing.splice(0)) one.close();
});

/** Sends the numbers 0 to n - 1 up the path and gives what arrives, in order, with the time each took. */
async function sendThrough(n: number, up: Impairment, seed = 1) {
  const [client, server] = await Promise.all([openSocket('127.0.0.1'), openSocket('127.0.0.1')]);
  const path = await ImpairedPath.open({ seed, up, server: server.address() });
  closing.push(client, server, path);
  const arrived: number[] = [];
  const tookMs: number[] = [];
  let expected = Number.POSITIVE_INFINITY;
  const all = new Promise<void>((resolve) => {
    server.on('message', (packet) => {
      arrived.push(packet.readUInt32BE(0));
      tookMs.push(performance.timeOrigin + performance.now() - packet.readDoubleBE(4));
      if (arrived.length === expected) resolve();
    });
    client.on('message', () => {});
  });
  for (let i = 0; i < n; i++) {
    const packet = Buffer.alloc(12);
    packet.writeUInt32BE(i, 0);
    packet.writeDoubleBE(performance.timeOrigin + performance.now(), 4);
    await new Promise((resolve) => client.send(packet, path.near.port, path.near.address, resolve));
  }
  // What was sent on loopback is counted by the path before the echo of this last packet can come back.
  await untilCounted(path, n);
  expected = path.up.passed + path.up.duplicated;
  if (arrived.length < expected) await all;
  return { arrived, tookMs, path, client, server };
}

async function untilCounted(path: ImpairedPath, n: number): Promise<void> {
  while (path.up.passed + path.up.dropped < n) await new Promise((resolve) => setImmediate(resolve));
}

const inOrder = Array.from({ length: 200 }, (_, i) => i);

it('a path without impairment changes nothing, and carries answers back', async () => {
  const { arrived, path, client, server } = await sendThrough(200, {});
  expect(arrived).toEqual(inOrder);
  const answer = new Promise((resolve) => client.once('message', (packet) => resolve(packet.toString())));
  server.send('pong', path.far.port, path.far.address);
  expect(await answer).toBe('pong');
});

it('drops and duplicates at its rates, the same packets for the same seed', async () => {
  const impairment = { dropRate: 0.2, duplicateRate: 0.1 };
  const first = await sendThrough(200, impairment, 5);
  expect(first.path.up.dropped).toBeGreaterThan(20);
  expect(first.path.up.dropped).toBeLessThan(60);
  expect(first.arrived.length).toBe(first.path.up.passed + first.path.up.duplicated);
  expect(first.path.up.duplicated).toBeGreaterThan(5);
  const second = await sendThrough(200, impairment, 5);
  expect(second.arrived).toEqual(first.arrived);
  expect((await sendThrough(200, impairment, 6)).arrived).not.toEqual(first.arrived);
});

it('delays by at least the delay and keeps the order under jitter', async () => {
  const { arrived, tookMs } = await sendThrough(200, { delayMs: 20, jitterMs: 15 });
  expect(arrived).toEqual(inOrder);
  expect(Math.min(...tookMs)).toBeGreaterThanOrEqual(19);
});

it('lets packets be overtaken', async () => {
  const { arrived, path } = await sendThrough(200, { reorderRate: 0.1, reorderMs: 20 });
  expect(path.up.reordered).toBeGreaterThan(5);
  expect(arrived).not.toEqual(inOrder);
  expect([...arrived].sort((a, b) => a - b)).toEqual(inOrder);
});
