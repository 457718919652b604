import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, VirtualClock } from '../../src/base/index.ts';
import { type Channel, connectLink, listenLink, memoryLink, type Peer } from '../../src/link/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import { linkContract } from './link.ts';

const edge: Peer = { role: 'edge', id: 'edge1', pid: 11, startTime: 110 };
const callSwitch: Peer = { role: 'switch', id: 'a1', pid: 12, startTime: 120 };

linkContract('memory', async (options) => {
  const clock = new VirtualClock();
  const link = memoryLink({ clock, left: edge, right: callSwitch, delayMs: 1, ...options });
  return {
    left: link.left,
    right: link.right,
    clock,
    run: (outcome) => running(clock, outcome),
    crashLeft: () => link.crash('left'),
    async dispose() {},
  };
});

linkContract('a Unix socket', async (options) => {
  const directory = await mkdtemp(join(tmpdir(), 'twinline-link-'));
  const path = join(directory, 'sockets', 'a1.sock');
  const shared = { clock: systemClock, log: silentLogger, ...options };
  const right = waitFor<Channel>();
  const left = waitFor<Channel>();
  const listener = await listenLink({ ...shared, path, self: callSwitch, onChannel: right.set });
  const client = connectLink({ ...shared, path, self: edge, random: systemRandom, onChannel: left.set });
  return {
    left: await left.value,
    right: await right.value,
    clock: systemClock,
    run: (outcome) => outcome,
    crashLeft: () => client.close('crashed'),
    async dispose() {
      client.close();
      await listener.close();
      await rm(directory, { recursive: true });
    },
  };
});

/** Moves virtual time from timer to timer until the outcome is there. */
async function running<T>(clock: VirtualClock, outcome: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  outcome.then(done, done);
  for (let step = 0; step < 100_000; step++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (settled) break;
    clock.runNext();
  }
  return outcome;
}

function waitFor<T>(): { readonly value: Promise<T>; set(value: T): void } {
  let set = (_value: T): void => {};
  const value = new Promise<T>((resolve) => {
    set = resolve;
  });
  return { value, set: (given) => set(given) };
}
